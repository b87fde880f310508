"""Measures how long a change takes: from when it is known to when it is written for the nodes.

A change that needs no write is none, and one that waits for a person or for an answer counts from
when that has come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from registrar.clock import loop_time
from registrar.cluster.forms import Write
from registrar.cluster.objects import Service
from registrar.cluster.publisher import Publisher
from registrar.cluster.view import Held
from registrar.model import HoldReason, ServiceKey
from registrar.standing import Standing

_STILL_TO_BE_WRITTEN = frozenset(
    {
        HoldReason.CLUSTER_UNREACHABLE,
        HoldReason.FORBIDDEN,
        HoldReason.REJECTED,
        HoldReason.INTERNAL_ERROR,
    }
)


class Latency:
    """Follows each Service's oldest change through the queue and its look.

    `standing` says where a Service stands after the look, `told` gets the seconds.
    """

    def __init__(
        self,
        standing: Callable[[ServiceKey], Standing | None],
        told: Callable[[float], None],
        clock: Callable[[], float] = loop_time,
    ) -> None:
        self._standing = standing
        self._told = told
        self._clock = clock
        self._waiting: dict[ServiceKey, float] = {}
        self._looked_at: dict[ServiceKey, float] = {}

    def changed(self, key: ServiceKey) -> None:
        """Take note that a source or a check has said something new of a Service."""
        self._waiting.setdefault(key, self._clock())

    def begun(self, key: ServiceKey) -> None:
        """Take note that a look at a Service begins, which sees all changes until now."""
        if (since := self._waiting.pop(key, None)) is not None:
            self._looked_at[key] = since

    def wrote(self, key: ServiceKey) -> None:
        """Take note that what the nodes read of a Service has been written."""
        if (since := self._looked_at.pop(key, None)) is not None:
            self._told(self._clock() - since)

    def ended(self, key: ServiceKey) -> None:
        """Take note that the look is over; what is to be written all the same is waited for."""
        since = self._looked_at.pop(key, None)
        if since is not None and _is_to_be_written(self._standing(key)):
            self._waiting[key] = since


def _is_to_be_written(standing: Standing | None) -> bool:
    if standing is None:
        return False
    hold = standing.hold
    return standing.is_early or (hold is not None and hold.reason in _STILL_TO_BE_WRITTEN)


class Counted(Protocol):
    """Counts waits and looks, in seconds."""

    def waited(self, seconds: float) -> None:
        """Count for how long a Service has waited for its look."""
        ...

    def looked(self, seconds: float) -> None:
        """Count how long a look at a Service has taken."""
        ...


class MeasuredLooks:
    """Has looks counted, and what changes they see followed."""

    def __init__(self, counted: Counted, latency: Latency) -> None:
        self._counted = counted
        self._latency = latency

    def begun(self, key: ServiceKey, waited: float) -> None:
        """Take note that a look begins."""
        self._counted.waited(waited)
        self._latency.begun(key)

    def ended(self, key: ServiceKey, took: float) -> None:
        """Take note that a look is over."""
        self._counted.looked(took)
        self._latency.ended(key)


class MeasuredPublisher:
    """A Publisher that tells, for each Service, when what the nodes read has been written."""

    def __init__(self, publisher: Publisher, wrote: Callable[[ServiceKey], None]) -> None:
        self._publisher = publisher
        self._wrote = wrote
        self.lasts = publisher.lasts

    async def carry_out(self, key: ServiceKey, held: Held, writes: Sequence[Write]) -> Held:
        """Carry out writes, as the publisher does."""
        found = await self._publisher.carry_out(key, held, writes)
        if any(not isinstance(write.object, Service) for write in writes):
            self._wrote(key)
        return found
