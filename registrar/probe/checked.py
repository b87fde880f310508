"""One target that is checked: all that the worker knows of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from registrar.counts import Durations, Tally
from registrar.model import Address, CheckResult, Outcome, Target
from registrar.probe.dial import family_of
from registrar.probe.exchange import Exchange, Prober
from registrar.probe.libc import sockaddr_of
from registrar.probe.ring import Slot

OVER = 0.0
"""The deadline of what is not awaited."""

News: TypeAlias = list[tuple[Target, CheckResult]]
Told: TypeAlias = list[Callable[[], None]]


class Checked(Slot):
    """One target that is checked: all that is known of it, and its check while it is under way."""

    __slots__ = (
        "answering",
        "at",
        "deadline",
        "durations",
        "enough",
        "exchange",
        "family",
        "in_a_row",
        "kept",
        "prober",
        "repeats",
        "result",
        "sockaddr",
        "started",
        "tally",
        "target",
        "waiting",
    )

    def __init__(
        self,
        target: Target,
        place: tuple[Address, int],
        prober: Prober,
        tally: Tally,
        durations: Sequence[Sequence[Durations]],
    ) -> None:
        super().__init__(target.check.interval)
        self.target = target
        self.family = family_of(place[0])
        self.at = str(place[0]), place[1]
        self.sockaddr = sockaddr_of(*place)
        self.prober = prober
        self.tally = tally
        self.durations = durations
        self.kept: object = None
        self.exchange: Exchange | None = None
        self.started = 0.0
        self.deadline = OVER
        self.result: CheckResult | None = None
        self.enough = max(target.check.rise, target.check.fall)
        """So many equal results in a row are news."""
        self.repeats = 0
        """How many results in a row were the last one."""
        self.in_a_row = 0
        """How many outcomes in a row were successes (above 0) or not (below); 0 at first."""
        self.waiting: Told | None = None
        self.answering: Told | None = None


def fast_interval(checked: Checked, outcome: Outcome) -> float | None:
    """Return the interval that holds while a verdict is about to change, if it is."""
    check = checked.target.check
    if outcome is Outcome.UNKNOWN:
        return None
    if outcome is Outcome.PASSED:
        # What was never checked before is up after one success.
        checked.in_a_row = max(checked.in_a_row, 0) + 1 if checked.in_a_row else check.rise
        return check.fast_interval if checked.in_a_row < check.rise else None
    checked.in_a_row = min(checked.in_a_row, 0) - 1
    return check.fast_interval if -checked.in_a_row < check.fall else None
