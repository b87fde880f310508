"""At most one change a second is published of a Service; the first of them is never late."""

from __future__ import annotations

LEAST_S = 1.0


def wait(last_change: float | None, now: float) -> float:
    """Return after how many seconds the next change may be written: 0 for at once.

    `last_change` is when one was last written, in monotonic seconds; None if never.
    """
    return 0.0 if last_change is None else max(0.0, last_change + LEAST_S - now)
