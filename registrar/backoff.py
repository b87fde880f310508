"""How long to wait after failures in a row: doubling, capped, jittered."""

from __future__ import annotations

from random import Random


class Backoff:
    """Delays in seconds: the n-th lies between half and all of `first * 2**n`, capped at `most`."""

    def __init__(self, first: float, most: float, rng: Random) -> None:
        self._first = first
        self._most = most
        self._rng = rng
        self._failures = 0

    def next(self, at_least: float | None = None) -> float:
        """Return the delay after one more failure, `at_least` what the other side asked for."""
        full = min(self._most, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return max(full * self._rng.uniform(0.5, 1.0), at_least or 0.0)

    def reset(self) -> None:
        """Begin again, after a success."""
        self._failures = 0
