"""The loop: for each Service that is due, look at everything, decide, and write what differs.

Level-triggered and keyed: what made a key due doesn't matter, so lost, doubled and reordered
events are harmless. It never decides from anything but the latest of everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Protocol

import structlog

from registrar.backoff import Backoff
from registrar.checks import Checks
from registrar.cluster.endpoints import decode
from registrar.cluster.objects import Endpoints
from registrar.cluster.publisher import EndpointsPublisher
from registrar.cluster.view import ClusterView, hold_for
from registrar.config import Config
from registrar.decide.plan import plan
from registrar.decide.policy import candidates, decide
from registrar.due import Due
from registrar.errors import ClusterBusy, ClusterError, Conflict, Rejected
from registrar.model import (
    Desired,
    Hold,
    HoldReason,
    Observation,
    QueryRef,
    ServiceKey,
    ServiceMapping,
)

WORKERS = 8
FIRST_RETRY_S = 0.5
MOST_RETRY_S = 60.0

log = structlog.get_logger()


class Observations(Protocol):
    """What the sources say."""

    def observe(self, queries: Iterable[QueryRef]) -> Mapping[QueryRef, Observation]:
        """Return the latest observation of each query."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a Service stands: why it is held, or what is published of it; `written` counts."""

    hold: Hold | None = None
    desired: Desired | None = None
    written: int = 0


class Reconciler:
    """Runs the loop over all mappings; `standings` says where each Service stands."""

    def __init__(
        self,
        config: Config,
        due: Due,
        view: ClusterView,
        observations: Observations,
        checks: Checks,
        publisher: EndpointsPublisher,
        rng: Random,
    ) -> None:
        self.standings: dict[ServiceKey, Standing] = {}
        self._config = config
        self._mappings = {mapping.key: mapping for mapping in config.mappings}
        self._due = due
        self._view = view
        self._observations = observations
        self._checks = checks
        self._publisher = publisher
        self._backoffs = {key: Backoff(FIRST_RETRY_S, MOST_RETRY_S, rng) for key in self._mappings}

    async def run(self) -> None:
        """Look at Services as they become due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._due.take()
            try:
                await self._attempt(self._mappings[key])
            finally:
                self._due.done(key)

    async def _attempt(self, mapping: ServiceMapping) -> None:
        backoff = self._backoffs[mapping.key]
        try:
            await self._reconcile(mapping)
            backoff.reset()
        except Conflict:
            await self._reread(mapping.key)
            self._due.mark(mapping.key, backoff.next())
        except Rejected as error:
            self._stand(mapping.key, hold=Hold(HoldReason.REJECTED, str(error)))
            self._due.mark(mapping.key, backoff.next())
        except ClusterError as error:
            self._stand(mapping.key, hold=hold_for(error))
            after = error.retry_after if isinstance(error, ClusterBusy) else None
            self._due.mark(mapping.key, backoff.next(after))

    async def _reconcile(self, mapping: ServiceMapping) -> None:
        key = mapping.key
        if hold := self._view.hold(key.namespace):
            self._stand(key, hold=hold)
            return
        current = self._view.endpoints(key)
        published = decode(current, self._config.instance) if current else None
        queries = {query for port in mapping.ports for query in port.queries}
        found = candidates(
            mapping,
            self._view.service(key),
            published,
            self._observations.observe(queries),
            self._config.networks,
        )
        if isinstance(found, Hold):
            self._stand(key, hold=found)
            return
        wanted = {c.target: c.published_ready for c in found.all if c.target is not None}
        self._checks.want(key, wanted)
        desired = decide(found, published, self._checks.verdicts(key))
        if isinstance(desired, Hold):
            self._stand(key, hold=desired)
            return
        difference = plan(desired, published)
        if not difference.is_empty:
            await self._write(key, desired, current)
            log.info(
                "published",
                service=str(key),
                added=len(difference.adds),
                removed=len(difference.removals),
                changed=len(difference.changes),
                endpoints=len(desired.endpoints),
            )
        self._stand(key, desired=desired, written=int(not difference.is_empty))

    async def _write(self, key: ServiceKey, desired: Desired, current: Endpoints | None) -> None:
        self._view.note(await self._publisher.publish(key, desired, current))

    async def _reread(self, key: ServiceKey) -> None:
        try:
            await self._view.reread(key)
        except ClusterError as error:
            self._stand(key, hold=hold_for(error))

    def _stand(
        self,
        key: ServiceKey,
        *,
        hold: Hold | None = None,
        desired: Desired | None = None,
        written: int = 0,
    ) -> None:
        before = self.standings.get(key, Standing())
        if hold is not None and hold != before.hold:
            log.warning("hold", service=str(key), reason=hold.reason.value, detail=hold.detail)
        elif hold is None and before.hold is not None:
            log.info("hold-ended", service=str(key), reason=before.hold.reason.value)
        if desired is not None:
            known = before.desired.dropped if before.desired else ()
            for drop in [drop for drop in desired.dropped if drop not in known][:10]:
                log.warning(
                    "backend-dropped", service=str(key), backend=drop.record, reason=drop.reason
                )
        self.standings[key] = Standing(hold, desired or before.desired, before.written + written)
