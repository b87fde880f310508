"""The loop with all that is around it, on the embedded API server, in virtual time.

The ends are played by the test: what sources say, how checks end, what others do to the cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any

from structlog.testing import capture_logs

from registrar.announcer import Announcer
from registrar.app.app import App
from registrar.app.orders import Orders
from registrar.checks import Checks
from registrar.cluster import slices
from registrar.cluster.endpoints import decode
from registrar.cluster.events import EventWriter
from registrar.cluster.objects import Endpoints, EndpointSlice
from registrar.cluster.pacing import Pace
from registrar.cluster.publisher import ClusterPublisher
from registrar.cluster.ranges import Ranges
from registrar.cluster.term import Alone
from registrar.cluster.view import ClusterView
from registrar.config import Config
from registrar.draining import Draining
from registrar.due import Due
from registrar.feeds import Feeds
from registrar.model import (
    Answer,
    CheckResult,
    ClusterRange,
    ClusterRanges,
    HoldReason,
    NetworkRules,
    Observation,
    Outcome,
    PartState,
    Periodic,
    PortMapping,
    Publish,
    QueryRef,
    RangeKind,
    ServiceKey,
    ServiceMapping,
)
from registrar.orphans import Orphans
from registrar.periodic import PeriodicResync
from registrar.publication import Cluster
from registrar.reconciler import Reconciler
from registrar.reload import difference
from registrar.resync import Resync
from registrar.standing import Standing
from registrar.transitions import Transition, nobody
from registrar.wishes import Wishes
from tests.embedded_cluster import EmbeddedCluster, time_of_day
from tests.fakes import KEY, QUERY, RecordingEngine, answer, pass_time, target

INSTANCE = "office"

ELSEWHERE = NetworkRules(
    cluster=ClusterRanges((ClusterRange(ip_network("198.51.100.0/24"), RangeKind.GIVEN),))
)
"""Rules that have the cluster's own ranges given, where no backend is: nothing of them is read."""


class Says(Feeds):
    """The sources: what the test had them say, an answer or an error; `defects` are raised."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.error: str | None = None
        self.answers = 0
        self.hurried: list[float] = []
        self.renewed = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self.defects: list[Exception] = []

    def apply(self, config: Config) -> None:
        """Say the same to whatever is asked."""

    def observe(self, queries: Iterable[QueryRef]) -> Mapping[QueryRef, Observation]:
        if self.defects:
            raise self.defects.pop(0)
        when = 1.0 if self.answer else None
        part = PartState("racks.yaml", self.answer, when, self.error, self.answers)
        return dict.fromkeys(queries, Observation((part,), None))

    def states(self) -> Mapping[str, tuple[Observation, ...]]:
        return {QUERY.source: tuple(self.observe([QUERY]).values())}

    async def renew(self, queries: Iterable[QueryRef]) -> None:
        """Say the same once more, when the test lets it."""
        del queries
        self.renewed += 1
        await self.answering.wait()

    def hurry(self, queries: Iterable[QueryRef], within: float) -> None:
        """Note it: the test says when an answer comes."""
        del queries
        self.hurried.append(within)


CHANGE_S = 1.1
"""A Service changes once a second at most; whatever is due has been done after that."""


class World:
    """A process of registrar: `running` starts it, and leaving that block kills it."""

    def __init__(
        self,
        *mappings: ServiceMapping,
        cluster: EmbeddedCluster | None = None,
        instance_is_given: bool = True,
        networks: NetworkRules = ELSEWHERE,
        events: bool = False,
    ) -> None:
        rng = Random(1)  # noqa: S311  the same in each run
        self.cluster = cluster or EmbeddedCluster()
        self.says = Says()
        self.due = Due()
        self.checks = Checks(self.due.mark)
        self.engine = RecordingEngine()
        self.checks.start(self.engine)
        self.keys = [one.key for one in mappings]
        config = Config(
            Path(), INSTANCE, networks, (), mappings, instance_is_given=instance_is_given
        )
        client = self.cluster.client
        self.view = ClusterView(client, INSTANCE, self.keys, self._changed, rng)
        self.ranges = Ranges(client, self.mark_all, rng)
        if not networks.cluster.all:
            self.ranges.need()
        publisher = ClusterPublisher(client, self.view, Alone())
        self.announcer = Announcer(EventWriter(client, time_of_day, rng), self.view.uid)
        tell = self.announcer.tell if events else nobody
        end = Cluster(self.view, publisher, time_of_day, self.ranges, tell)
        self.reconciler = Reconciler(config, self.due, end, self.says, self.checks, rng)
        self.orphans = Orphans(end, config, self.due.mark)
        resync = Resync(config, self.due, self.view, self.says, self.checks, self.reconciler)
        self.resynced: list[Transition] = []
        self.wishes = Wishes(self.view, resync, Alone(), self.resynced.append)
        self.app = App(
            config,
            self.view,
            self.due,
            self.says,
            self.checks,
            self.reconciler,
            self.orphans,
            self.ranges,
            resync,
            self.wishes,
            PeriodicResync(config.resync, resync, Alone(), time_of_day),
            draining := Draining(config, self.due, self.view, self.reconciler),
            Orders(resync, draining, None, None),
            Pace(config.api),
        )
        self.logs: list[MutableMapping[str, Any]] = []

    def _changed(self, key: ServiceKey) -> None:
        self.due.mark(key)
        self.wishes.note(key)

    def resyncs(self, settings: Periodic) -> None:
        """Have everything looked at by itself."""
        self.app.periodic.apply(settings)

    def mark_all(self) -> None:
        for key in self.keys:
            self.due.mark(key)

    @asynccontextmanager
    async def running(self, seconds: float = 1.0) -> AsyncIterator[None]:
        own = (self.view, self.ranges, self.reconciler, self.orphans, self.announcer)
        parts = (*own, self.wishes, self.app.periodic)
        with capture_logs() as self.logs:
            tasks = [asyncio.create_task(part.run()) for part in parts]
            self.mark_all()
            try:
                await pass_time(seconds)
                yield
                assert not any(task.done() for task in tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def say(self, *addresses: str) -> None:
        """Have the sources answer with these, and wait until that has been looked at."""
        self.says.answer = answer(*addresses)
        self.says.answers += 1
        await self.look()

    async def reload(self, *mappings: ServiceMapping, accept_removed: str | None = None) -> None:
        """Have the configuration map these instead, and wait until that has been looked at."""
        old = self.app.config
        config = replace(old, mappings=mappings, accept_removed=accept_removed)
        self.app.apply(config, difference(old, config))
        self.keys = [one.key for one in mappings]
        await pass_time(0.1)

    async def judge(self, address: str, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            self.checks.report(target(address), CheckResult(outcome, "as told"))
        await pass_time(CHANGE_S)

    async def look(self) -> None:
        self.mark_all()
        await pass_time(CHANGE_S)

    def standing(self, key: ServiceKey = KEY) -> Standing:
        return self.reconciler.standings[key]

    def reason(self, key: ServiceKey = KEY) -> HoldReason | None:
        """Return why nothing of a Service may change, None if it may."""
        hold = self.standing(key).hold
        return hold.reason if hold else None

    def reasons(self, key: ServiceKey = KEY) -> list[HoldReason]:
        """Return all that is held of a Service, in whole or in part."""
        return [hold.reason for hold in self.standing(key).holds]

    def published(self, key: ServiceKey = KEY) -> dict[str, bool] | None:
        """Return the addresses that the Endpoints hold, with their readiness."""
        found = self.cluster.find(Endpoints, key.name, key.namespace)
        if found is None:
            return None
        return {str(e.id.address): e.ready for e in decode(found)}

    def own_slices(self, key: ServiceKey = KEY) -> list[EndpointSlice]:
        """Return the slices with our marks, of whichever uid of the Service."""
        return [one for one in self.cluster.slices(key) if slices.is_marked(one, INSTANCE)]

    def sliced(self, key: ServiceKey = KEY) -> dict[str, bool] | None:
        """Return the addresses that our slices hold, with their readiness."""
        found = self.own_slices(key)
        if not found:
            return None
        return {str(e.id.address): e.ready for e in slices.decode(found)}

    def logged(self, *events: str) -> list[tuple[str, str | None]]:
        return [
            (line["event"], line.get("reason")) for line in self.logs if line["event"] in events
        ]


def unchecked(
    key: ServiceKey = KEY, publish: Publish = Publish.ENDPOINTS, *, adopt: bool = False
) -> ServiceMapping:
    """Return a mapping whose backends all count as up."""
    ports = (PortMapping(None, (QUERY,), None, None),)
    return ServiceMapping(key, ports, publish, adopt)
