"""The loop: for each Service that is due, look at everything, decide, and write what differs.

Level-triggered and keyed: what made a key due doesn't matter, so lost, doubled and reordered
events are harmless. It never decides from anything but the latest of everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from random import Random

from registrar.backoff import Backoff
from registrar.checks import Checks
from registrar.clock import loop_time
from registrar.cluster.term import Term
from registrar.cluster.view import hold_for
from registrar.config import Config
from registrar.decide.plan import plan
from registrar.decide.withdrawal import withdrawal
from registrar.deciding import Deciding, Observations
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
    Hold,
    HoldReason,
    ServiceKey,
    ServiceMapping,
)
from registrar.publication import Cluster, Publication
from registrar.standing import Standings
from registrar.unchanged import Basis, Unchanged
from registrar.workers import Workers

FIRST_RETRY_S = 0.5
MOST_RETRY_S = 60.0


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
        self._config = config
        self._workers = Workers(due, self._look, config.api.concurrency)
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
        self._leadership = cluster.leadership
        self._term: Term | None = None
        self._deciding = Deciding(config.instance, due, observations, checks)
        self._unchanged = Unchanged()

    @property
    def drains(self) -> Drains:
        """Which backends are taken out by hand."""
        return self._deciding.drains

    def apply(self, config: Config, changed: Iterable[ServiceKey]) -> None:
        """Go over to another configuration. `changed`: the mappings that are to be looked at."""
        removed = self._mappings.keys() - {mapping.key for mapping in config.mappings}
        self._config = config
        self._mappings = {mapping.key: mapping for mapping in config.mappings}
        for key in removed:
            self._forget(key)
        for key in changed:
            self._publication.forget(key)
            self._deciding.doubt(key)
            self._due.mark(key)
        self._workers.set(config.api.concurrency)

    def accept_removals(self, keys: Iterable[ServiceKey]) -> None:
        """Have the next look at each Service believe what has gone, however much it is."""
        self._deciding.accept(keys)

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
        await self._workers.run()

    def _forget(self, key: ServiceKey) -> None:
        self._deciding.forget(key)
        self._publication.forget(key)
        self.standings.forget(key)
        self._backoffs.pop(key, None)
        self._not_before.pop(key, None)
        self._conflicts.discard(key)
        self._unchanged.take(key)

    async def _look(self, key: ServiceKey) -> None:
        try:
            if (mapping := self._mappings.get(key)) is not None:
                await self._attempt(mapping)
        except Exception as error:  # noqa: BLE001  a defect met in one Service must not stop the others
            detail = f"a defect of registrar ({type(error).__name__}); report it with the log"
            self.standings.hold(key, Hold(HoldReason.INTERNAL_ERROR, detail), defect=error)
            self._retry(key)
        finally:
            if key not in self._mappings:  # it was removed while one looked
                self._forget(key)

    async def _attempt(self, mapping: ServiceMapping) -> None:
        key = mapping.key
        last = self._unchanged.take(key)
        wait = self._not_before.get(key, 0.0) - loop_time()
        if wait > 0:  # the API server asked for it
            self._due.mark(key, wait)
            return
        if not self._view.is_listed(key):
            if hold := self._view.hold(key):
                self.standings.hold(key, hold)
            return
        try:
            await self._reconcile_or_reread(mapping, last)
        except NotLeading:
            return  # whoever leads again looks at everything
        except Rejected as error:
            self.standings.hold(key, Hold(HoldReason.REJECTED, str(error)))
            self._retry(key)
        except ClusterError as error:
            self.standings.hold(key, hold_for(error))
            self._retry(key, error.retry_after if isinstance(error, ClusterBusy) else None)

    async def _reconcile_or_reread(self, mapping: ServiceMapping, last: Basis | None) -> None:
        key = mapping.key
        try:
            await self._reconcile(mapping, last)
        except (Conflict, NotFound) as error:
            if key in self._conflicts:  # having read it again did not help
                raise Rejected(str(error)) from None
            self._conflicts.add(key)
            self._due.mark(key)
        else:
            self._backoffs.pop(key, None)
            self._conflicts.discard(key)

    def _retry(self, key: ServiceKey, not_before: float | None = None) -> None:
        if not_before is not None:
            self._not_before[key] = loop_time() + not_before
        self._due.mark(key, self._backoffs[key].next(not_before))

    async def _reconcile(self, mapping: ServiceMapping, last: Basis | None) -> None:
        key = mapping.key
        term = self._leadership.term
        if term != self._term:
            self._begin(term)
            last = None
        if term is None:
            self._stand_by(mapping)
            return
        basis = self._basis(mapping)
        is_same = basis is not None and basis == last
        if (is_same or await self._publish(mapping, term)) and basis is not None:
            self._unchanged.note(key, basis)

    async def _publish(self, mapping: ServiceMapping, term: Term) -> bool:
        """Write what differs; return whether everything was in place, whatever the time."""
        key = mapping.key
        held = await self._publication.held(mapping)
        if self._mappings.get(key) != mapping:  # it was changed meanwhile, and is due again
            return False
        there = self._deciding.published(key, held, term)
        rules = self._ranges.over(self._config.networks)
        desired = self._deciding.decide(mapping, held, there, rules)
        if isinstance(desired, Hold):
            hold = desired
            certain = self._config.networks if isinstance(rules, Hold) else rules
            left = withdrawal(held.service, there, certain, hold)
            if left is None:
                self.standings.hold(key, hold)
                await self._publication.let_go(key, held, hold)
                return False
            desired = left
        done = await self._publication.publish(mapping, held, desired)
        if done is None:
            self._due.mark(key)
            return False
        if done.is_early:
            self.standings.wait(key)
            return False
        if done.is_partial:
            self.standings.wrote(key, desired, plan(desired, there), done.writes)
            return False
        if done.holds:
            desired = replace(desired, holds=(*desired.holds, *done.holds))
        difference = plan(desired, there)
        self.standings.settle(key, desired, difference, done.writes)
        return done.is_all and difference.is_empty and not desired.holds

    def _basis(self, mapping: ServiceMapping) -> Basis | None:
        """Return all that a look rests on, None where it is not to be left out in any case."""
        decided_on = self._deciding.basis(mapping)
        if decided_on is None:
            return None
        rules = self._ranges.over(self._config.networks)
        return (rules, *self._view.objects(mapping.key), *decided_on)

    def _begin(self, term: Term | None) -> None:
        """Begin a term, or stand by: what was known of another's or an earlier one is no guide."""
        self._term = term
        self._deciding.begin(term)
        self._unchanged.clear()
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
        there = self._deciding.published_by_another(key, held)
        desired = self._deciding.decide(
            mapping, held, there, self._ranges.over(self._config.networks)
        )
        self._deciding.leave(key, there)
        if isinstance(desired, Hold):
            self.standings.hold(key, desired)
        else:
            self.standings.settle(key, desired, plan(desired, there), ())


def is_warm(config: Config) -> bool:
    """Whether a replica that doesn't lead observes and checks all the same."""
    return config.election is None or config.election.warm_standby
