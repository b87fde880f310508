"""What the worker knows: of one question that is asked of a backend, and of how it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from registrar.counts import Durations, Tally
from registrar.model import Address, CheckResult, HealthCheck, Outcome, Target
from registrar.probe.dial import family_of
from registrar.probe.exchange import Exchange, Prober
from registrar.probe.libc import sockaddr_of
from registrar.probe.ring import Slot

OVER = 0.0
"""The deadline of what is not awaited."""

Told: TypeAlias = list[Callable[[], None]]
T = TypeVar("T")


@dataclass(slots=True)
class Manner:
    """How all are asked that have one HealthCheck."""

    check: HealthCheck
    prober: Prober
    tally: Tally
    enough: int = field(init=False)
    """So many equal results in a row are news."""

    def __post_init__(self) -> None:
        self.enough = max(self.check.rise, self.check.fall)


class Checked(Slot):
    """One question, with all who ask it, and its check while it is under way."""

    __slots__ = (
        "_address",
        "askers",
        "deadline",
        "durations",
        "exchange",
        "family",
        "in_a_row",
        "is_settled",
        "kept",
        "manner",
        "repeats",
        "result",
        "sockaddr",
        "started",
    )

    def __init__(self, manner: Manner, place: tuple[Address, int]) -> None:
        super().__init__(manner.check.interval)
        self.manner = manner
        self._address = place[0]
        self.family = family_of(place[0])
        self.sockaddr = sockaddr_of(*place)
        self.askers: tuple[Target, ...] = ()
        """Replaced, never changed, by the main loop alone; so are the durations."""
        self.durations: tuple[Durations, ...] = ()
        self.kept: object = None
        self.exchange: Exchange | None = None
        self.started = 0.0
        self.deadline = OVER
        self.result: CheckResult | None = None
        self.repeats = 0
        """How many results in a row were the last one."""
        self.is_settled = False
        """Whether the main loop has said that the same silence again would change nothing."""
        self.in_a_row = 0
        """How many outcomes in a row were successes (above 0) or not (below); 0 at first."""

    @property
    def at(self) -> tuple[str, int]:
        """Where it is asked, as Python has it."""
        return str(self._address), int.from_bytes(self.sockaddr[2:4], "big")

    def join(self, asker: Target, durations: tuple[Durations, ...]) -> None:
        """Have somebody ask it too."""
        self.askers += (asker,)
        # What a Service has for all of its targets is not copied for each.
        self.durations = self.durations + durations if self.durations else durations

    def leave(self, asker: Target, durations: tuple[Durations, ...]) -> None:
        """Have somebody ask it no more who has joined with these very durations."""
        self.askers = _without(self.askers, asker)
        for one in durations:
            self.durations = _without(self.durations, one)


News: TypeAlias = list[tuple[Checked, CheckResult]]


def fast_interval(checked: Checked, outcome: Outcome) -> float | None:
    """Return the interval that holds while a verdict is about to change, if it is."""
    check = checked.manner.check
    if outcome is Outcome.UNKNOWN:
        return None
    if outcome is Outcome.PASSED:
        # What was never checked before is up after one success.
        checked.in_a_row = max(checked.in_a_row, 0) + 1 if checked.in_a_row else check.rise
        return check.fast_interval if checked.in_a_row < check.rise else None
    checked.in_a_row = min(checked.in_a_row, 0) - 1
    return check.fast_interval if -checked.in_a_row < check.fall else None


def _without(some: tuple[T, ...], one: T) -> tuple[T, ...]:
    at = some.index(one)
    return some[:at] + some[at + 1 :]
