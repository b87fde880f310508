"""What the verdicts need of whoever runs the health checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from registrar.counts import Durations, Tally
from registrar.model import Target


class Engine(Protocol):
    """Runs health checks and reports what is news: the same again and again is none."""

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """How many checks of each type have ended how."""
        ...

    @property
    def lateness(self) -> Durations:
        """By how many seconds checks have begun after they were due."""
        ...

    def add(self, target: Target, durations: tuple[Durations, ...]) -> None:
        """Check a target from now on; `durations` are told how long each answer took.

        The first check comes at once where few are added. A target that was added twice is checked
        once, reported anew, and to be removed twice.
        """
        ...

    def remove(self, target: Target, durations: tuple[Durations, ...]) -> None:
        """Stop checking a target, as it was added: with these very `durations`."""
        ...

    async def renew(self, targets: Iterable[Target]) -> None:
        """Check each once more; return once all have been reported."""
        ...

    def recheck(self, targets: Iterable[Target]) -> None:
        """Check each once more, and wait for nothing."""
        ...

    def tell_all(self, *, is_on: bool) -> None:
        """Report every outcome, news or not, for as long as it is on."""
        ...
