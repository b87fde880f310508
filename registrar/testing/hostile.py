"""What a place may answer that it shouldn't, and what that must lead to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Hostile:
    """An answer that `serve_hostile` is given, and what must become of it.

    `drops`: how many records of it are dropped, None where all of it is not knowing. `words`:
    what the error, or the reason of a drop, says among other things.
    """

    answer: Any
    drops: int | None
    words: str


def error(answer: Any, words: str = "") -> Hostile:  # noqa: ANN401  only the author knows it
    """Say that an answer is not knowing: a SourceError, or the end of the deadline."""
    return Hostile(answer, None, words)


def dropped(answer: Any, words: str = "", *, count: int = 1) -> Hostile:  # noqa: ANN401  as above
    """Say that so many records of an answer are dropped, and all others are served."""
    return Hostile(answer, count, words)
