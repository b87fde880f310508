"""Counts of health checks: how they ended, and how long they took.

Quick enough to be told of every one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """How many checks have ended how."""

    passed: int = 0
    failed: int = 0
    silent: int = 0
    unknown: int = 0


class Durations:
    """Counts of seconds, one for each bound (included) and one for what is above the last."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        """The sum of all, in seconds."""

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds
