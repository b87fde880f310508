"""What is kept of a target that is judged, and of a Service that wants some judged."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from registrar.counts import Durations
from registrar.decide.health import HealthState
from registrar.metrics.catalogue import CHECK_S
from registrar.model import ServiceKey, Target, Verdict

REMEMBERED = 20
"""So many turns of a verdict, the latest."""


@dataclass(frozen=True, slots=True)
class Turn:
    """When (monotonic seconds) a verdict became what, and why."""

    at: float
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a target, how its last check ended in words, and its last turns."""

    verdict: Verdict
    reason: str
    turns: tuple[Turn, ...]


@dataclass(slots=True)
class Judged:
    """A target: how it stands, who wants it judged, its last turns, how its last check ended."""

    state: HealthState
    turns: tuple[Turn, ...]
    owners: Collection[ServiceKey] = ()
    reason: str | None = None

    def turn(self, turn: Turn) -> None:
        """Note a turn of the verdict."""
        self.turns = (*self.turns, turn)[-REMEMBERED:]


class Wanting:
    """A Service: which targets it wants judged, and how long their checks take.

    What is the same for each target is here once.
    """

    __slots__ = ("durations", "owners", "targets")

    def __init__(self, key: ServiceKey) -> None:
        self.owners = (key,)
        self.targets: tuple[Target, ...] = ()
        self.durations = (Durations(CHECK_S.buckets),)
