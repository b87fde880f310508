"""The one path behind every way to ask for a resync: look at everything again, say what came of it.

Every source is asked again, every backend checked again, what is published read again from the API
server; then each Service is decided on. Nothing is believed that would not be believed otherwise,
but for removals that a person accepts.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from registrar.checks import Checks
from registrar.cluster.forms import published
from registrar.cluster.objects import Endpoints, EndpointSlice, Service
from registrar.cluster.view import ClusterView
from registrar.config import Config
from registrar.decide.plan import plan
from registrar.due import Due
from registrar.errors import ClusterError
from registrar.feeds import Feeds
from registrar.model import HoldReason, Plan, Published, ServiceKey
from registrar.reconciler import Reconciler

MOST_AT_ONCE = 16
"""So many Services are read again at the same time."""

LOGGED = 10

_FAILED = frozenset(
    {
        HoldReason.CLUSTER_UNREACHABLE,
        HoldReason.FORBIDDEN,
        HoldReason.REJECTED,
        HoldReason.INTERNAL_ERROR,
    }
)

log = structlog.get_logger()


class State(enum.Enum):
    """What a resync has found of one Service."""

    UNCHANGED = "unchanged"
    CORRECTED = "corrected"
    HELD = "held"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it for one Service, and what was corrected, or why it was not, in words."""

    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for: which Services (none named: all), by whom, and for how long to wait.

    With `accept_removals` a person confirms what the guards keep back.
    """

    by: str
    services: tuple[ServiceKey, ...] = ()
    accept_removals: bool = False
    timeout: float = 60.0


Outcomes = Mapping[ServiceKey, Outcome]


class Resync:
    """Carries out orders, one after the other. Whatever fails is an outcome; it never raises."""

    def __init__(
        self,
        config: Config,
        due: Due,
        view: ClusterView,
        feeds: Feeds,
        checks: Checks,
        reconciler: Reconciler,
        told: Callable[[Order, Outcomes], None] = lambda _order, _found: None,
    ) -> None:
        self._told = told
        self._config = config
        self._due = due
        self._view = view
        self._feeds = feeds
        self._checks = checks
        self._reconciler = reconciler
        self._turn = asyncio.Lock()

    def apply(self, config: Config) -> None:
        """Go over to another configuration."""
        self._config = config

    def named(self, order: Order) -> tuple[ServiceKey, ...]:
        """Return the Services that an order is about."""
        return order.services or tuple(mapping.key for mapping in self._config.mappings)

    async def carry_out(self, order: Order) -> Outcomes:
        """Look at everything again; return what came of it for each Service."""
        mapped = {mapping.key for mapping in self._config.mappings}
        keys = [key for key in self.named(order) if key in mapped]
        outcomes = {
            key: Outcome(State.FAILED, "no mapping of the configuration names it")
            for key in order.services
            if key not in mapped
        }
        late = Outcome(State.FAILED, f"no outcome within {order.timeout:g} s; it goes on")
        try:
            async with asyncio.timeout(order.timeout), self._turn:
                await self._look(keys, outcomes, accept_removals=order.accept_removals)
        except TimeoutError:
            outcomes.update((key, late) for key in keys if key not in outcomes)
        found = dict(sorted(outcomes.items()))
        _log(order, found)
        self._told(order, found)
        return found

    async def _look(
        self,
        keys: Collection[ServiceKey],
        outcomes: dict[ServiceKey, Outcome],
        *,
        accept_removals: bool,
    ) -> None:
        queries = {
            query
            for mapping in self._config.mappings
            if mapping.key in keys
            for port in mapping.ports
            for query in port.queries
        }
        await self._feeds.renew(queries)
        await self._checks.renew(keys)
        if accept_removals:
            self._reconciler.accept_removals(keys)
        free = asyncio.Semaphore(MOST_AT_ONCE)

        async def one(key: ServiceKey) -> None:
            async with free:
                outcomes[key] = await self._look_at(key)

        await asyncio.gather(*map(one, keys))

    async def _look_at(self, key: ServiceKey) -> Outcome:
        written = self._written(key)
        try:
            held = await self._view.read(key, {Service, Endpoints, EndpointSlice})
        except ClusterError as error:
            return Outcome(State.FAILED, str(error))
        before = published(held, self._config.instance)
        await self._due.look(key)
        while not self._reconciler.is_settled(key):
            await self._due.look(key, SOON_S)
        return self._outcome(key, before, self._written(key) - written)

    def _outcome(self, key: ServiceKey, before: Published | None, writes: int) -> Outcome:
        standing = self._reconciler.standings[key]
        holds = "; ".join(map(str, standing.holds))
        if standing.hold is not None and standing.hold.reason in _FAILED:
            return Outcome(State.FAILED, holds)
        done = _words(plan(standing.desired, before), writes) if standing.desired and writes else ""
        if holds:
            return Outcome(State.HELD, f"{holds}; {done}" if done else holds)
        return Outcome(State.CORRECTED, done) if done else Outcome(State.UNCHANGED)

    def _written(self, key: ServiceKey) -> int:
        standing = self._reconciler.standings.get(key)
        return standing.written if standing is not None else 0


SOON_S = 0.2
"""What is to be written a moment later is waited for in steps of this."""


def _words(done: Plan, writes: int) -> str:
    counts = (
        (len(done.adds), "added"),
        (len(done.removals), "removed"),
        (len(done.changes), "changed"),
    )
    said = [f"{count} {what}" for count, what in counts if count]
    return f"{', '.join(said) or 'the same endpoints'}, {writes} write{'s' if writes != 1 else ''}"


def _log(order: Order, found: Outcomes) -> None:
    counts = {
        state.value: sum(one.state is state for one in found.values())
        for state in State
        if any(one.state is state for one in found.values())
    }
    named = [str(key) for key in order.services][:LOGGED]
    log.info(
        "resync",
        by=order.by,
        services=named or "all",
        accept_removals=order.accept_removals,
        **counts,
    )
