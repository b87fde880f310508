"""The running parts, and what is asked of them all at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from registrar.app.gauges import samples
from registrar.app.orders import Orders
from registrar.app.overview import service_status, source_status, status
from registrar.app.summary import Summarizing
from registrar.checks import Checks
from registrar.cluster.election import Election
from registrar.cluster.endpoints import is_ours
from registrar.cluster.pacing import Pace
from registrar.cluster.ranges import Ranges
from registrar.cluster.view import ClusterView
from registrar.config import Config
from registrar.difference import Difference, difference
from registrar.draining import Draining, DrainOrder, DrainOutcome
from registrar.due import Due
from registrar.errors import Forbidden, LeaseForbidden, RangesForbidden, Unauthorized
from registrar.feeds import Feeds
from registrar.metrics.meters import Meters
from registrar.model import Hold, HoldReason, ServiceKey, ServiceMapping
from registrar.orphans import Orphans
from registrar.periodic import PeriodicResync
from registrar.reconciler import Reconciler, is_warm
from registrar.reload import Change
from registrar.resync import Order, Outcomes, Resync
from registrar.standing import Standing
from registrar.status import ServiceRows, ServiceStatus, SourceStatus, Status, Summary
from registrar.threads import in_thread
from registrar.wishes import Wishes

SETTLE_LOOK_S = 0.05

SURE_S = 5.0
"""A refusal for want of a right is believed after so long, at the start."""


def fed(config: Config) -> Config:
    """Return the configuration of what is asked while standing by."""
    return config if is_warm(config) else replace(config, mappings=())


@dataclass(slots=True)
class App:
    """The running parts, and what is asked of them all at once."""

    config: Config
    view: ClusterView
    due: Due
    feeds: Feeds
    checks: Checks
    reconciler: Reconciler
    orphans: Orphans
    ranges: Ranges
    resyncs: Resync
    wishes: Wishes
    periodic: PeriodicResync
    draining: Draining
    orders: Orders
    pace: Pace
    election: Election | None = None
    meters: Meters = field(default_factory=Meters)
    events_dropped: Callable[[], int] = lambda: 0
    summarizing: Summarizing = field(default_factory=Summarizing)

    async def heard(self, patience: float) -> None:
        """Wait until the cluster has been heard, its own ranges are known, and who may lead.

        Raise RangesForbidden, LeaseForbidden, or the ClusterError that says why not, as `view`,
        `ranges` and `election` do.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                await self._heard(began + patience)
            except (Forbidden, Unauthorized, RangesForbidden, LeaseForbidden):
                # An API server that has just begun knows neither users nor rights yet.
                if loop.time() - began >= SURE_S:
                    raise
                await asyncio.sleep(SETTLE_LOOK_S)
            else:
                return

    async def _heard(self, deadline: float) -> None:
        def left() -> float:
            return max(0.0, deadline - asyncio.get_running_loop().time())

        await self.view.heard(left())
        await self.ranges.heard(left())
        if self.election is not None:
            await self.election.heard(left())

    def apply(self, config: Config, change: Change) -> None:
        """Go over to another configuration, all parts in one step. What is the same goes on."""
        # First, because a source may refuse to be made.
        self.feeds.apply(config if self._is_awake else fed(config))
        if not config.networks.cluster.all:
            self.ranges.need()
        self.view.apply(mapping.key for mapping in config.mappings)
        self.pace.apply(config.api)
        self.checks.apply(config.preservation)
        self.reconciler.apply(config, change.added | change.changed)
        self.orphans.apply(config)
        self.resyncs.apply(config)
        self.periodic.apply(config.resync)
        self.draining.apply(config)
        self.config = config

    @property
    def is_ready(self) -> bool:
        """Whether what the cluster holds is known, so that decisions are made."""
        return self.view.is_synced

    async def status(self) -> Status:
        """Return the state of everything, now."""
        return await status(self)

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics as `accept` asks for them, and their content type."""
        found = await samples(self)
        return await in_thread(partial(self.meters.written_down, found, accept))

    def summary(self) -> Summary:
        """Return the state of everything in short, now."""
        return self.summarizing.summary(self)

    def rows(self) -> ServiceRows:
        """Return all Services in short, now."""
        return self.summarizing.rows(self)

    def service(self, key: ServiceKey) -> ServiceStatus | None:
        """Return the state of one Service, now; None where it has no mapping."""
        return service_status(self, key)

    def source(self, name: str) -> SourceStatus | None:
        """Return the state of one source, now; None where there is none that is asked."""
        return source_status(self, name)

    async def resync(self, order: Order) -> Outcomes:
        """Look at everything again; return what came of it for each Service."""
        return await self.orders.resync(order)

    async def drain(self, order: DrainOrder) -> DrainOutcome:
        """Take backends out, or back in; return what came of it."""
        return await self.orders.drain(order)

    def lead_changed(self) -> None:
        """Go over to leading, or to standing by."""
        self.meters.lead_changed(leads=self.leads)
        if not is_warm(self.config):
            self.feeds.apply(self.config if self._is_awake else fed(self.config))
        self.reconciler.mark_all()

    @property
    def leads(self) -> bool:
        """Whether this replica is the one that writes."""
        return self.election is None or self.election.term is not None

    @property
    def _is_awake(self) -> bool:
        """Whether it leads, or has to be ready to at any time."""
        return self.leads or is_warm(self.config)

    def doubt(self) -> None:
        """Take nothing away while the file says something else than what is in force."""
        self.orphans.doubt()

    def reloaded(self, outcome: str) -> None:
        """Take note of what came of a change of the configuration."""
        self.meters.reloaded(outcome)

    async def settle(self, patience: float) -> Mapping[ServiceKey, Standing]:
        """Wait until each Service is in place or held, `patience` seconds at most.

        That takes an answer or an error of each source, and a judgement of each backend.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not self._is_settled():  # noqa: ASYNC110  what it waits for has many parts
                    await asyncio.sleep(SETTLE_LOOK_S)
        return {mapping.key: self._standing(mapping.key) for mapping in self.config.mappings}

    def waits_for(self) -> str:
        """Return what `settle` still waits for, in words."""
        if not self.view.is_synced:
            return "waiting for the API server"
        unsettled = [one.key for one in self.config.mappings if not self._has_settled(one)]
        if not unsettled:
            return "waiting for the last writes"
        standing = self.reconciler.standings.get(unsettled[0])
        why = "; ".join(map(str, standing.holds)) if standing is not None else ""
        which = f"{len(unsettled)} of {len(self.config.mappings)} Services"
        return f"waiting for {which}: {unsettled[0]}: {why or 'its backends are being checked'}"

    def differences(self) -> list[Difference]:
        """Return what a look at each Service has come to, where nothing is written."""
        found = []
        for mapping in sorted(self.config.mappings, key=lambda mapping: mapping.key):
            key = mapping.key
            held = self.view.held(key)
            takes_over = held.endpoints is not None and not is_ours(
                held.endpoints, self.config.instance
            )
            reasons = self.checks.reasons(key)
            found.append(difference(key, self._standing(key), reasons, takes_over=takes_over))
        return found

    def _standing(self, key: ServiceKey) -> Standing:
        # Not having been listed in time is no longer "no news" to one who waited for it.
        unlisted = Hold(HoldReason.CLUSTER_UNREACHABLE, f"{key.namespace} was not listed in time")
        return self.reconciler.standings.get(key, Standing(unlisted))

    def _is_settled(self) -> bool:
        return self.due.idle and all(map(self._has_settled, self.config.mappings))

    def _has_settled(self, mapping: ServiceMapping) -> bool:
        key, queries = mapping.key, {q for port in mapping.ports for q in port.queries}
        standing = self.reconciler.standings.get(key)
        if standing is None or standing.is_early:
            return False
        if standing.hold is not None and standing.hold.reason not in _PASSING:
            return True
        return self.feeds.asked(queries) and self.checks.settled(key)


_PASSING = frozenset({HoldReason.SOURCE_UNKNOWN, HoldReason.WAITING})
