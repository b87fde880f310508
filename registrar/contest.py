"""Puts right at once what others change in our objects, and ever later those who don't stop."""

from __future__ import annotations

from dataclasses import dataclass

from registrar.model import ServiceKey

FREE = 3
"""So many corrections come without delay: a person who tries something is no fight."""

LONGEST_S = 60.0
QUIET_S = 300.0
"""After so long without a correction the next one counts as the first."""


@dataclass(slots=True)
class _Fight:
    corrections: int = 0
    last: float = 0.0


class Contest:
    """Remembers corrections of each Service. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._fights: dict[ServiceKey, _Fight] = {}

    def wait(self, key: ServiceKey, now: float, longest: float = LONGEST_S) -> float:
        """Return how long the next correction has to wait: 0 if it may come at once.

        It is `longest` seconds after the last one at most.
        """
        fight = self._fights.get(key)
        if fight is None or fight.corrections < FREE or now - fight.last > QUIET_S:
            return 0.0
        delay = min(longest, 2.0 ** min(fight.corrections - FREE, 32))
        return max(0.0, fight.last + delay - now)

    def corrected(self, key: ServiceKey, now: float) -> None:
        """Note that a Service was put right."""
        fight = self._fights.setdefault(key, _Fight())
        if now - fight.last > QUIET_S:
            fight.corrections = 0
        fight.corrections += 1
        fight.last = now

    def forget(self, key: ServiceKey) -> None:
        """Begin anew with a Service."""
        self._fights.pop(key, None)

    def corrections(self, key: ServiceKey) -> int:
        """Return how often a Service was put right lately."""
        fight = self._fights.get(key)
        return fight.corrections if fight else 0
