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
from registrar.cluster.publisher import EndpointsPublisher
from registrar.cluster.view import ClusterView, hold_for
from registrar.config import Config
from registrar.decide.plan import plan
from registrar.decide.policy import candidates, decide
from registrar.due import Due
from registrar.errors import ClusterBusy, ClusterError, Conflict, NotFound, Rejected
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
        self._not_before: dict[ServiceKey, float] = {}
        self._conflicts: set[ServiceKey] = set()

    async def run(self) -> None:
        """Look at Services as they become due, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._due.take()
            try:
                await self._look(self._mappings[key])
            finally:
                self._due.done(key)

    async def _look(self, mapping: ServiceMapping) -> None:
        try:
            await self._attempt(mapping)
        except Exception as error:  # noqa: BLE001  a defect met in one Service must not stop the others
            detail = f"a defect of registrar ({type(error).__name__}); report it with the log"
            self._stand(mapping.key, hold=Hold(HoldReason.INTERNAL_ERROR, detail), defect=error)
            self._retry(mapping.key)

    async def _attempt(self, mapping: ServiceMapping) -> None:
        key = mapping.key
        wait = self._not_before.get(key, 0.0) - asyncio.get_running_loop().time()
        if wait > 0:  # the API server asked for it
            self._due.mark(key, wait)
            return
        try:
            await self._reconcile_or_reread(mapping)
        except Rejected as error:
            self._stand(key, hold=Hold(HoldReason.REJECTED, str(error)))
            self._retry(key)
        except ClusterError as error:
            self._stand(key, hold=hold_for(error))
            self._retry(key, error.retry_after if isinstance(error, ClusterBusy) else None)

    async def _reconcile_or_reread(self, mapping: ServiceMapping) -> None:
        key = mapping.key
        try:
            await self._reconcile(mapping)
        except (Conflict, NotFound) as error:
            await self._view.reread(key)
            if key in self._conflicts:  # having read it again did not help
                raise Rejected(str(error)) from None
            self._conflicts.add(key)
            self._due.mark(key)
        else:
            self._backoffs[key].reset()
            self._conflicts.discard(key)

    def _retry(self, key: ServiceKey, not_before: float | None = None) -> None:
        if not_before is not None:
            self._not_before[key] = asyncio.get_running_loop().time() + not_before
        self._due.mark(key, self._backoffs[key].next(not_before))

    async def _reconcile(self, mapping: ServiceMapping) -> None:
        key = mapping.key
        if not self._view.is_listed(key.namespace):
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
            self._view.note(await self._publisher.publish(key, desired, current))
            log.info(
                "published",
                service=str(key),
                added=len(difference.adds),
                removed=len(difference.removals),
                changed=len(difference.changes),
                endpoints=len(desired.endpoints),
            )
        self._stand(key, desired=desired, written=int(not difference.is_empty))

    def _stand(
        self,
        key: ServiceKey,
        *,
        hold: Hold | None = None,
        desired: Desired | None = None,
        written: int = 0,
        defect: Exception | None = None,
    ) -> None:
        before = self.standings.get(key, Standing())
        if hold is not None and hold != before.hold:
            said = log.bind(service=str(key), reason=hold.reason.value, detail=hold.detail)
            if defect is not None:
                said.error("hold", exc_info=defect)
            elif hold.reason is HoldReason.WAITING:  # as everything does at first
                said.info("hold")
            else:
                said.warning("hold")
        elif hold is None and before.hold is not None:
            log.info("hold-ended", service=str(key), reason=before.hold.reason.value)
        if desired is not None:
            known = before.desired.dropped if before.desired else ()
            for drop in [drop for drop in desired.dropped if drop not in known][:10]:
                log.warning(
                    "backend-dropped", service=str(key), backend=drop.record, reason=drop.reason
                )
        self.standings[key] = Standing(hold, desired or before.desired, before.written + written)
