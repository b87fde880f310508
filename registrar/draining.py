"""Takes backends out gently, and back in: waits until it is published, and says what came of it."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass

import structlog

from registrar.cluster.forms import published
from registrar.cluster.view import ClusterView
from registrar.config import Config
from registrar.decide.drain import Chosen, in_order
from registrar.drains import Pending
from registrar.due import Due
from registrar.model import BackendId, Endpoint, ServiceKey
from registrar.reconciler import Reconciler

SOON_S = 0.2
"""What is to be written a moment later is waited for in steps of this."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DrainOrder:
    """Which backends of a Service to take out, or with `out` False back in, by whom.

    With `force` even the last that is ready. `timeout` is how long to wait for it, in seconds.
    """

    by: str
    service: ServiceKey
    backends: tuple[Chosen, ...]
    out: bool = True
    force: bool = False
    timeout: float = 60.0


class DrainState(enum.Enum):
    """What came of it."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DrainOutcome:
    """What came of it, why not if not, and as what each backend is published now, in words."""

    state: DrainState
    detail: str = ""
    published: tuple[tuple[str, str], ...] = ()


class Draining:
    """Carries out such orders. Whatever fails is an outcome; it never raises."""

    def __init__(self, config: Config, due: Due, view: ClusterView, reconciler: Reconciler) -> None:
        self._config = config
        self._due = due
        self._view = view
        self._reconciler = reconciler

    def apply(self, config: Config) -> None:
        """Go over to another configuration."""
        self._config = config

    async def carry_out(self, order: DrainOrder) -> DrainOutcome:
        """Have it done; return once it is published, or can't be for now."""
        pending = Pending(order.backends, order.out, order.force)
        drains = self._reconciler.drains
        drains.order(order.service, pending)
        try:
            async with asyncio.timeout(order.timeout):
                outcome = await self._done(order.service, pending)
        except TimeoutError:
            outcome = self._late(order, pending)
        finally:
            drains.close(order.service, pending)
        said = log.bind(
            by=order.by,
            service=str(order.service),
            backends=[str(one) for one in order.backends],
            force=order.force,
            outcome=outcome.state.value,
            detail=outcome.detail,
        )
        if order.out:
            said.info("drain")
        else:
            said.info("undrain")
        return outcome

    async def _done(self, key: ServiceKey, pending: Pending) -> DrainOutcome:
        if key not in {mapping.key for mapping in self._config.mappings}:
            return _refused(f"no mapping of the configuration names {key}")
        delay = 0.0
        while True:
            await self._due.look(key, delay)
            delay = SOON_S
            if pending.refused is not None:
                return _refused(pending.refused)
            standing = self._reconciler.standings.get(key)
            if pending.taken is None:
                words = str(standing.hold) if standing and standing.hold else "it does not lead now"
                return DrainOutcome(DrainState.FAILED, words)
            if self._reconciler.is_settled(key) and self._is_published(key, pending):
                return DrainOutcome(DrainState.DONE, "", self._states(key, pending.taken))

    def _late(self, order: DrainOrder, pending: Pending) -> DrainOutcome:
        if pending.taken is None:
            return DrainOutcome(DrainState.FAILED, f"nothing was done within {order.timeout:g} s")
        standing = self._reconciler.standings.get(order.service)
        why = f" ({'; '.join(map(str, standing.holds))})" if standing and standing.holds else ""
        return DrainOutcome(
            DrainState.FAILED,
            f"not published within {order.timeout:g} s{why}; this process goes on trying",
        )

    def _is_published(self, key: ServiceKey, pending: Pending) -> bool:
        taken = pending.taken or frozenset()
        return all(e.drained is pending.out for e in self._there(key) if e.backend in taken)

    def _states(self, key: ServiceKey, taken: frozenset[BackendId]) -> tuple[tuple[str, str], ...]:
        there = {e.backend: e.state for e in self._there(key)}
        return tuple((str(one), there.get(one, "no")) for one in in_order(taken))

    def _there(self, key: ServiceKey) -> frozenset[Endpoint]:
        there = published(self._view.held(key), self._config.instance)
        return there.endpoints if there is not None else frozenset()


def _refused(detail: str) -> DrainOutcome:
    return DrainOutcome(DrainState.REFUSED, detail)
