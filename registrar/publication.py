"""Brings what the cluster holds for a Service to what ought to be published of it, step by step.

What it writes rests on one look: if the Service changes meanwhile it stops, to be decided again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

import structlog

from registrar.cluster.forms import (
    Action,
    Step,
    Write,
    let_go,
    next_step,
    strange,
    takes_over,
)
from registrar.cluster.objects import EndpointSlice
from registrar.cluster.publisher import Publisher
from registrar.cluster.ranges import Ranges
from registrar.cluster.services import new_service
from registrar.cluster.term import Alone, Leadership
from registrar.cluster.view import ClusterView, Held
from registrar.contest import LONGEST_S, Contest
from registrar.decide import pace
from registrar.decide.services import not_ours
from registrar.due import Due
from registrar.errors import Rejected
from registrar.model import (
    Desired,
    Endpoint,
    Hold,
    HoldReason,
    Publish,
    ServiceKey,
    ServiceMapping,
    ServiceState,
)
from registrar.transitions import Adopted, LetGo, Listener, ServiceCreated, nobody

LET_GO_S = 30.0
"""A Service that gains a selector keeps our slices so long, if no pod of it serves before."""

MIRROR_S = 10.0
"""Mirrored slices are waited for so long before their absence is reported."""

MOST_STEPS = 8

_Wanted: TypeAlias = tuple[ServiceState | None, frozenset[Endpoint]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster's end: what it holds, what writes to it, and the time of day for its objects.

    `ranges` are its own, where nothing may be published; `tell` is told of transitions;
    `leadership` says whether this replica writes.
    """

    view: ClusterView
    publisher: Publisher
    now: Callable[[], datetime]
    ranges: Ranges
    tell: Listener = nobody
    leadership: Leadership = field(default_factory=Alone)


@dataclass(frozen=True, slots=True)
class Published:
    """What came of it: the writes, and what is held of the form in which it is published.

    `is_partial`: the slices are right, and what follows from them waits for other Services' slices.
    `is_early`: nothing was written, for too much was written of it a moment ago.
    `is_all`: there was nothing to be written, and there is nothing to be waited for.
    """

    writes: tuple[Write, ...]
    holds: tuple[Hold, ...] = ()
    is_partial: bool = False
    is_early: bool = False
    is_all: bool = False


class Publication:
    """Publishes for one instance, and has a Service looked at again where that is of use."""

    def __init__(self, cluster: Cluster, instance: str, due: Due) -> None:
        self._view = cluster.view
        self._publisher = cluster.publisher
        self._now = cluster.now
        self._tell = cluster.tell
        self._leadership = cluster.leadership
        self._instance = instance
        self._due = due
        self._contest = Contest()
        self._last: dict[ServiceKey, _Wanted] = {}
        self._changed_at: dict[ServiceKey, float] = {}
        self._partial: set[ServiceKey] = set()
        self._since: dict[tuple[ServiceKey, str], float] = {}

    async def held(self, mapping: ServiceMapping) -> Held:
        """Return what the cluster holds for a mapping; make the Service where that is asked for."""
        held = self._view.held(mapping.key)
        if held.service is None and mapping.create is not None:
            write = Write(Action.CREATE, new_service(mapping.key, self._instance, mapping.create))
            held = await self._publisher.carry_out(mapping.key, held, [write])
            log.info("service-created", service=str(mapping.key))
            self._tell(ServiceCreated(mapping.key))
        return held

    async def publish(
        self, mapping: ServiceMapping, held: Held, desired: Desired
    ) -> Published | None:
        """Write what differs. Return None if the Service changed meanwhile.

        Raise Conflict or NotFound if something else was not as it is known.
        """
        key, service = mapping.key, held.service
        wanted = (service, desired.endpoints)
        last = self._last.get(key)
        is_new = last != wanted
        is_change = last is not None and last[1] != desired.endpoints and not desired.withdrawn
        paced = is_change and self._publisher.lasts
        if paced and (wait := pace.wait(self._changed_at.get(key), self._time())):
            self._due.mark(key, wait)
            return Published((), is_early=True)
        is_correction = not is_new and key not in self._partial
        self._lasts(key, "selector", LET_GO_S, applies=False)
        writes: list[Write] = []
        for _ in range(MOST_STEPS):
            if service is None or held.service != service:
                return None
            step = self._next_step(mapping, service, held, desired)
            if not step.writes or (
                is_correction and not writes and self._has_to_wait(key, held, desired)
            ):
                self._note(key, wanted, is_new=is_new and bool(writes))
                holds = tuple(self._holds(mapping, step))
                is_all = not writes and step == Step()
                return Published(tuple(writes), holds, is_all=is_all)
            was = held
            held = await self._publisher.carry_out(key, held, step.writes)
            writes += step.writes
            if takes_over(was, step.writes, self._instance):
                log.info("adopted", service=str(key))
                self._tell(Adopted(key))
            if self._may_wait(mapping, step):
                self._note(key, wanted, is_new=is_new)
                self._partial.add(key)  # what follows is no correction of what others did
                self._due.follow_up(key)
                return Published(tuple(writes), is_partial=True)
        raise Rejected("what was written did not stay for long enough to go on")

    async def let_go(self, key: ServiceKey, held: Held, hold: Hold) -> None:
        """Take our slices away from a Service that has a selector, as soon as its pods serve."""
        applies = hold.reason is HoldReason.SERVICE_HAS_SELECTOR
        is_over = self._lasts(key, "selector", LET_GO_S, applies=applies)
        if applies and (writes := let_go(held, self._instance, patience_over=is_over)):
            await self._publisher.carry_out(key, held, writes)
            log.info("let-go", service=str(key), slices=len(writes))
            self._tell(LetGo(key, len(writes)))

    def forget(self, key: ServiceKey) -> None:
        """Begin anew with a Service, whose mapping is another: what it writes is no correction."""
        self._contest.forget(key)
        self._last.pop(key, None)
        self._changed_at.pop(key, None)
        self._partial.discard(key)
        for entry in [entry for entry in self._since if entry[0] == key]:
            del self._since[entry]

    def _note(self, key: ServiceKey, wanted: _Wanted, *, is_new: bool) -> None:
        self._partial.discard(key)
        self._last[key] = wanted
        if is_new:
            self._changed_at[key] = self._time()

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()

    def _next_step(
        self, mapping: ServiceMapping, service: ServiceState, held: Held, desired: Desired
    ) -> Step:
        stamp = self._now().isoformat(timespec="seconds").removesuffix("+00:00") + "Z"
        return next_step(mapping, self._instance, held, service, desired.endpoints, stamp)

    def _may_wait(self, mapping: ServiceMapping, done: Step) -> bool:
        """Whether what follows comes after other Services' slices, which nodes wait for."""
        were_slices = all(isinstance(write.object, EndpointSlice) for write in done.writes)
        follows = mapping.publish is not Publish.ENDPOINTSLICES
        return self._publisher.lasts and self._due.has_waiting and were_slices and follows

    def _has_to_wait(self, key: ServiceKey, held: Held, desired: Desired) -> bool:
        term = self._leadership.term
        if term is not None and strange(held, self._instance, term):
            return False  # a former leader was frozen in the middle of a write: that is no fight
        now = self._time()
        # What must not be published may not stay for a minute, whoever insists on it.
        longest = pace.LEAST_S if desired.withdrawn else LONGEST_S
        if wait := self._contest.wait(key, now, longest):
            self._due.mark(key, wait)
            return True
        self._contest.corrected(key, now)
        return False

    def _holds(self, mapping: ServiceMapping, step: Step) -> Iterator[Hold]:
        key = mapping.key
        if step.writes:
            times = self._contest.corrections(key)
            yield Hold(
                HoldReason.CONTESTED,
                f"somebody else keeps changing what is published (put right {times} times); "
                "it is put right again ever later, until that stops",
            )
        if step.conflict:
            yield Hold(HoldReason.NOT_OURS, not_ours(mapping))
        if step.leftovers:
            yield Hold(
                HoldReason.LEFTOVER_SLICES,
                "slices from when the Service had a selector still serve its pods "
                f"({', '.join(step.leftovers)}); give the mapping `adopt: true` to have them "
                "deleted, or delete them",
            )
        if self._lasts(key, "mirror", MIRROR_S, applies=step.awaits_mirror):
            yield Hold(
                HoldReason.MIRRORING_ABSENT,
                "the cluster's mirroring controller makes no slices of the Endpoints, so ours "
                "stay; switch it on, or use another `publish`",
            )

    def _lasts(self, key: ServiceKey, what: str, seconds: float, *, applies: bool) -> bool:
        """Whether something has applied for so long; if not yet, have it looked at then."""
        if not applies:
            self._since.pop((key, what), None)
            return False
        now = self._time()
        left = self._since.setdefault((key, what), now) + seconds - now
        if left > 0:
            self._due.mark(key, left)
        return left <= 0
