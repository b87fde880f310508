"""The union of answers that rotate: each names a part of what there is, and a moment later another.

A backend that no answer has named for a whole window is gone; while there are no answers, none is.
"""

from __future__ import annotations

from collections.abc import Mapping

from registrar.model import Address, Answer, Backend

Place = tuple[Address, int | None]

Seen = Mapping[Place, tuple[Backend, float]]
"""What was named, and when last, in seconds."""


def all_named(answer: Answer, at: float) -> Seen:
    """Return what an answer that stands for itself alone has named, at such a time."""
    return {(one.address, one.port): (one, at) for one in answer.backends}


def unite(seen: Seen, answer: Answer, now: float) -> Seen:
    """Return what has been named within the answer's window, as it was named last.

    `now` is a clock that stands still while there are no answers, in seconds.

    An answer without a window stands for itself alone.
    """
    kept = {
        place: (backend, named)
        for place, (backend, named) in seen.items()
        if now - named < answer.window
    }
    return {**kept, **all_named(answer, now)}
