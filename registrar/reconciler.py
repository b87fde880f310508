"""The loop: for each Service that is due, look at everything, decide, and write what differs.

Level-triggered and keyed: what made a key due doesn't matter, so lost, doubled and reordered
events are harmless. It never decides from anything but the latest of everything.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import Protocol

from registrar.backoff import Backoff
from registrar.checks import Checks
from registrar.cluster.forms import bears_marks, drained, published, strange
from registrar.cluster.term import Term
from registrar.cluster.view import Held, hold_for
from registrar.config import Config
from registrar.decide.candidates import candidates
from registrar.decide.guard import Missing
from registrar.decide.plan import plan
from registrar.decide.withdrawal import withdrawal
from registrar.drains import Drains
from registrar.due import Due
from registrar.errors import (
    ClusterBusy,
    ClusterError,
    Conflict,
    NotFound,
    NotLeading,
    Rejected,
)
from registrar.model import (
    Desired,
    Endpoint,
    EndpointId,
    Hold,
    HoldReason,
    NetworkRules,
    Observation,
    Published,
    QueryRef,
    ServiceKey,
    ServiceMapping,
)
from registrar.publication import Cluster, Publication
from registrar.standing import Standings

FIRST_RETRY_S = 0.5
MOST_RETRY_S = 60.0


class Observations(Protocol):
    """What the sources say."""

    def observe(self, queries: Iterable[QueryRef]) -> Mapping[QueryRef, Observation]:
        """Return the latest observation of each query."""
        ...

    def hurry(self, queries: Iterable[QueryRef], within: float) -> None:
        """Ask each part of the queries again, within so many seconds."""
        ...


class Reconciler:
    """Runs the loop over all mappings; `standings` says where each Service stands."""

    def __init__(
        self,
        config: Config,
        due: Due,
        cluster: Cluster,
        observations: Observations,
        checks: Checks,
        rng: Random,
    ) -> None:
        self.standings = Standings(cluster.tell)
        self.drains = Drains()
        self._config = config
        self._workers: asyncio.TaskGroup | None = None
        self._hired = 0
        self._mappings = {mapping.key: mapping for mapping in config.mappings}
        self._due = due
        self._view = cluster.view
        self._ranges = cluster.ranges
        self._publication = Publication(cluster, config.instance, due)
        self._observations = observations
        self._checks = checks
        self._backoffs = defaultdict[ServiceKey, Backoff](
            lambda: Backoff(FIRST_RETRY_S, MOST_RETRY_S, rng)
        )
        self._not_before: dict[ServiceKey, float] = {}
        self._conflicts: set[ServiceKey] = set()
        self._missing: dict[ServiceKey, Mapping[EndpointId, Missing]] = {}
        self._leadership = cluster.leadership
        self._term: Term | None = None
        self._accepted: set[ServiceKey] = set()
        self._decided: dict[ServiceKey, frozenset[Endpoint]] = {}
        self._left: dict[ServiceKey, frozenset[Endpoint]] = {}  # by the leader before, as last seen

    def apply(self, config: Config, changed: Iterable[ServiceKey]) -> None:
        """Go over to another configuration. `changed`: the mappings that are to be looked at."""
        removed = self._mappings.keys() - {mapping.key for mapping in config.mappings}
        self._config = config
        self._mappings = {mapping.key: mapping for mapping in config.mappings}
        for key in removed:
            self._forget(key)
        for key in changed:
            self._publication.forget(key)
            self._missing.pop(key, None)  # what is gone is confirmed anew, by the new rules
            self._due.mark(key)
        self._hire()

    def accept_removals(self, keys: Iterable[ServiceKey]) -> None:
        """Have the next look at each Service believe what has gone, however much it is."""
        self._accepted.update(keys)

    def is_settled(self, key: ServiceKey) -> bool:
        """Whether the last look at a Service has left nothing to be done a moment later."""
        standing = self.standings.get(key)
        unfinished = standing is None or standing.is_early or standing.is_partial
        return not unfinished and key not in self._conflicts

    def mark_all(self) -> None:
        """Have every Service looked at."""
        for key in self._mappings:
            self._due.mark(key)

    async def run(self) -> None:
        """Look at Services as they become due, until cancelled."""
        async with asyncio.TaskGroup() as self._workers:
            self._hire()

    def _hire(self) -> None:
        while self._workers is not None and self._hired < self._config.api.concurrency:
            self._hired += 1
            self._workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._due.take()
            if self._hired > self._config.api.concurrency:
                self._hired -= 1
                self._due.mark(key, 0)
                self._due.done(key)
                return
            try:
                if (mapping := self._mappings.get(key)) is not None:
                    await self._look(mapping)
            finally:
                if key not in self._mappings:  # it was removed while one looked
                    self._forget(key)
                self._due.done(key)

    def _forget(self, key: ServiceKey) -> None:
        self._checks.forget(key)
        self.drains.forget(key)
        self._publication.forget(key)
        self.standings.forget(key)
        self._backoffs.pop(key, None)
        self._missing.pop(key, None)
        self._decided.pop(key, None)
        self._left.pop(key, None)
        self._accepted.discard(key)
        self._not_before.pop(key, None)
        self._conflicts.discard(key)

    async def _look(self, mapping: ServiceMapping) -> None:
        try:
            await self._attempt(mapping)
        except Exception as error:  # noqa: BLE001  a defect met in one Service must not stop the others
            detail = f"a defect of registrar ({type(error).__name__}); report it with the log"
            hold = Hold(HoldReason.INTERNAL_ERROR, detail)
            self.standings.hold(mapping.key, hold, defect=error)
            self._retry(mapping.key)

    async def _attempt(self, mapping: ServiceMapping) -> None:
        key = mapping.key
        wait = self._not_before.get(key, 0.0) - self._monotonic()
        if wait > 0:  # the API server asked for it
            self._due.mark(key, wait)
            return
        if not self._view.is_listed(key):
            if hold := self._view.hold(key):
                self.standings.hold(key, hold)
            return
        try:
            await self._reconcile_or_reread(mapping)
        except NotLeading:
            return  # whoever leads again looks at everything
        except Rejected as error:
            self.standings.hold(key, Hold(HoldReason.REJECTED, str(error)))
            self._retry(key)
        except ClusterError as error:
            self.standings.hold(key, hold_for(error))
            self._retry(key, error.retry_after if isinstance(error, ClusterBusy) else None)

    async def _reconcile_or_reread(self, mapping: ServiceMapping) -> None:
        key = mapping.key
        try:
            await self._reconcile(mapping)
        except (Conflict, NotFound) as error:
            if key in self._conflicts:  # having read it again did not help
                raise Rejected(str(error)) from None
            self._conflicts.add(key)
            self._due.mark(key)
        else:
            self._backoffs[key].reset()
            self._conflicts.discard(key)

    def _retry(self, key: ServiceKey, not_before: float | None = None) -> None:
        if not_before is not None:
            self._not_before[key] = self._monotonic() + not_before
        self._due.mark(key, self._backoffs[key].next(not_before))

    async def _reconcile(self, mapping: ServiceMapping) -> None:
        key = mapping.key
        term = self._leadership.term
        if term != self._term:
            self._begin(term)
        if term is None:
            self._stand_by(mapping)
            return
        held = await self._publication.held(mapping)
        if self._mappings.get(key) != mapping:  # it was changed meanwhile, and is due again
            return
        there = self._there(key, held, term)
        self._adopt_drained(key, held, term if self.drains.knows(key) else None)
        rules = self._ranges.over(self._config.networks)
        desired = rules if isinstance(rules, Hold) else self._decide(mapping, held, there, rules)
        if isinstance(desired, Hold):
            hold = desired
            certain = self._config.networks if isinstance(rules, Hold) else rules
            left = withdrawal(held.service, there, certain, hold)
            if left is None:
                self.standings.hold(key, hold)
                await self._publication.let_go(key, held, hold)
                return
            desired = left
        done = await self._publication.publish(mapping, held, desired)
        if done is None:
            self._due.mark(key)
            return
        if done.is_early:
            self.standings.wait(key)
            return
        if done.is_partial:
            self.standings.wrote(key, desired, plan(desired, there), done.writes)
            return
        desired = replace(desired, holds=(*desired.holds, *done.holds))
        self.standings.settle(key, desired, plan(desired, there), done.writes)

    def _begin(self, term: Term | None) -> None:
        """Begin a term, or stand by: what was known of another's or an earlier one is no guide."""
        self._left, self._decided = ({} if term is None else self._decided), {}
        self._term = term
        self.drains.begin()
        self._not_before.clear()
        self._conflicts.clear()
        for key in self._mappings:
            self._publication.forget(key)

    def _stand_by(self, mapping: ServiceMapping) -> None:
        """Decide as a leader would, so as to be ready to be one, and leave it at that."""
        key = mapping.key
        if not is_warm(self._config):
            self._checks.want(key, {})
            self.standings.hold(key, Hold(HoldReason.WAITING, "another replica leads"))
            return
        held = self._view.held(key)
        there = published(held, self._config.instance)
        self.drains.forget(key)
        self._adopt_drained(key, held, None)
        rules = self._ranges.over(self._config.networks)
        desired = rules if isinstance(rules, Hold) else self._decide(mapping, held, there, rules)
        self._decided[key] = there.endpoints if there is not None else frozenset()
        if isinstance(desired, Hold):
            self.standings.hold(key, desired)
        else:
            self.standings.settle(key, desired, plan(desired, there), ())

    def _adopt_drained(self, key: ServiceKey, held: Held, before: Term | None) -> None:
        # Hardly ever is there anything of it, and to read all slices takes time.
        some = self.drains.marks(key) or bears_marks(held)
        self.drains.adopt(key, drained(held, self._config.instance, before) if some else {})

    def _there(self, key: ServiceKey, held: Held, term: Term) -> Published | None:
        """Return what is published, and what of it was never decided by whoever may."""
        there = published(held, self._config.instance)
        known = self._decided.get(key)
        if known is None and strange(held, self._config.instance, term):
            known = self._left.get(key)
        if there is None or known is None:  # it is adopted as it is
            return there
        return replace(there, strange=_strange(there.endpoints, known))

    def _decide(
        self, mapping: ServiceMapping, held: Held, there: Published | None, rules: NetworkRules
    ) -> Desired | Hold:
        key = mapping.key
        queries = {query for port in mapping.ports for query in port.queries}
        observed = self._observations.observe(queries)
        missing = self._missing.get(key, {})
        if key in self._accepted:
            self._accepted.discard(key)
            ports = tuple(replace(port, confirm=None) for port in mapping.ports)
            mapping = replace(mapping, ports=ports)
        found = candidates(
            mapping, held.service, there, observed, rules, missing, self._monotonic()
        )
        if isinstance(found, Hold):
            return found
        self._missing[key] = found.missing
        if found.look_after is not None:
            self._observations.hurry(queries, found.look_after)
            self._due.mark(key, found.look_after)
        self._checks.want(key, {c.target: c.was_up for c in found.all if c.target is not None})
        verdicts, doubted = self._checks.verdicts(key), self._checks.doubted(key)
        desired = self.drains.decide(mapping, found, there, verdicts, doubted, self._monotonic())
        if isinstance(desired, Desired):
            self._decided[key] = desired.endpoints
        return desired

    def _monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def is_warm(config: Config) -> bool:
    """Whether a replica that doesn't lead observes and checks all the same."""
    return config.election is None or config.election.warm_standby


def _strange(there: frozenset[Endpoint], decided: frozenset[Endpoint]) -> frozenset[EndpointId]:
    """Return what is published and was not decided; usually nothing differs at all."""
    others = there - decided
    return frozenset(e.id for e in others) - {e.id for e in decided} if others else frozenset()
