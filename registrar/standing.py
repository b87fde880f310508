"""Where each Service stands. A transition is a line in the log; a look is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import structlog

from registrar.clock import loop_time
from registrar.cluster.forms import Write
from registrar.model import Desired, Hold, HoldReason, Plan, ServiceKey, Withdrawn
from registrar.transitions import (
    BackendsWithdrawn,
    HoldBegan,
    HoldEnded,
    Listener,
    Published,
    nobody,
)

LOGGED_DROPS = 10

_BY_ITSELF = frozenset({HoldReason.WAITING, HoldReason.NAMESPACE_TERMINATING})
"""Holds that everything passes through, and that nobody has to look at."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a Service stands.

    `hold` says why nothing of it may change, else `desired` what ought to be published. `plan` and
    `writes` are what the last look came to; `written` counts all writes of this process, and
    `changed_at` is when the last was made, in the loop's time;
    `is_partial` says that some of them are still to come, `is_early` that all are, a moment later.
    """

    hold: Hold | None = None
    desired: Desired | None = None
    plan: Plan = field(default_factory=Plan)
    writes: tuple[Write, ...] = ()
    written: int = 0
    changed_at: float | None = None
    is_partial: bool = False
    is_early: bool = False

    @property
    def holds(self) -> tuple[Hold, ...]:
        """Everything that is held, in whole or in part."""
        if self.hold is not None:
            return (self.hold,)
        return self.desired.holds if self.desired is not None else ()

    @property
    def state(self) -> str:
        """Return `held`, `changing` (something is still to be written) or `in-place`."""
        if self.holds:
            return "held"
        # Nobody has looked yet, or one that stands by has, and writes nothing.
        is_left = self.desired is None or (not self.plan.is_empty and not self.writes)
        return "changing" if is_left or self.is_early or self.is_partial else "in-place"


class Standings(Mapping[ServiceKey, Standing]):
    """The standing of every Service that has been looked at; `tell` is told of transitions."""

    def __init__(self, tell: Listener = nobody, clock: Callable[[], float] = loop_time) -> None:
        self._tell = tell
        self._now = clock
        self._all: dict[ServiceKey, Standing] = {}

    def __getitem__(self, key: ServiceKey) -> Standing:
        return self._all[key]

    def __iter__(self) -> Iterator[ServiceKey]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def hold(self, key: ServiceKey, hold: Hold, *, defect: Exception | None = None) -> None:
        """Note that nothing of a Service may change; a `defect` is logged with its trace."""
        before = self._all.get(key, Standing())
        self._log_holds(key, before, (hold,), defect)
        self._all[key] = replace(before, hold=hold, plan=Plan(), writes=(), is_early=False)

    def settle(
        self, key: ServiceKey, desired: Desired, difference: Plan, writes: tuple[Write, ...]
    ) -> None:
        """Note what ought to be published of a Service, and what was written for it."""
        before = self._all.get(key, Standing())
        self._log_holds(key, before, desired.holds, None)
        _log_details(key, before.desired, desired)
        if writes and not before.is_partial:
            self._wrote(key, before, desired, difference, writes)
        written = before.written + len(writes)
        at = self._now() if writes else before.changed_at
        self._all[key] = Standing(None, desired, difference, writes, written, at)

    def wrote(
        self, key: ServiceKey, desired: Desired, difference: Plan, writes: tuple[Write, ...]
    ) -> None:
        """Note the first part of what is written for a Service; `settle` follows."""
        before = self._all.get(key, Standing())
        self._wrote(key, before, desired, difference, writes)
        written = before.written + len(writes)
        self._all[key] = replace(before, written=written, changed_at=self._now(), is_partial=True)

    def wait(self, key: ServiceKey) -> None:
        """Note that what ought to be published of a Service is written a moment later."""
        self._all[key] = replace(self._all.get(key, Standing()), is_early=True)

    def forget(self, key: ServiceKey) -> None:
        """Know nothing of a Service any more: whatever was held of it is over."""
        before = self._all.pop(key, None)
        if before is not None:
            self._log_holds(key, before, (), None)

    def _wrote(
        self,
        key: ServiceKey,
        before: Standing,
        desired: Desired,
        difference: Plan,
        writes: tuple[Write, ...],
    ) -> None:
        # What is only planned is withdrawn in vain, look after look.
        known = before.desired.withdrawn if before.desired and before.writes else ()
        if withdrawn := tuple(one for one in desired.withdrawn if one not in known):
            _log_withdrawn(key, withdrawn)
            self._tell(BackendsWithdrawn(key, withdrawn))
        _log_published(key, desired, difference, writes)
        if not difference.is_empty:
            ready = sum(endpoint.ready for endpoint in desired.endpoints)
            counts = map(len, (difference.adds, difference.removals, difference.changes))
            self._tell(Published(key, ready, len(desired.endpoints), *counts))

    def _log_holds(
        self,
        key: ServiceKey,
        before: Standing,
        holds: tuple[Hold, ...],
        defect: Exception | None,
    ) -> None:
        for hold in holds:
            if hold in before.holds:
                continue
            self._tell(HoldBegan(key, hold))
            said = log.bind(service=str(key), reason=hold.reason.value, detail=hold.detail)
            if defect is not None:
                said.error("hold", exc_info=defect)
            elif hold.reason in _BY_ITSELF:
                said.info("hold")
            else:
                said.warning("hold")
        reasons = {hold.reason for hold in holds}
        for reason in dict.fromkeys(hold.reason for hold in before.holds):
            if reason not in reasons:
                log.info("hold-ended", service=str(key), reason=reason.value)
        for hold in before.holds:
            if hold not in holds:
                self._tell(HoldEnded(key, hold))


def _log_published(
    key: ServiceKey, desired: Desired, difference: Plan, writes: tuple[Write, ...]
) -> None:
    log.info(
        "published",
        service=str(key),
        added=len(difference.adds),
        removed=len(difference.removals),
        changed=len(difference.changes),
        endpoints=len(desired.endpoints),
        writes=len(writes),
    )


def _log_withdrawn(key: ServiceKey, withdrawn: tuple[Withdrawn, ...]) -> None:
    for one in withdrawn[:LOGGED_DROPS]:
        backend = f"{one.id.address} port {one.id.port}"
        log.warning("backend-withdrawn", service=str(key), backend=backend, reason=one.reason)
    if len(withdrawn) > LOGGED_DROPS:
        log.warning("backends-withdrawn", service=str(key), count=len(withdrawn))


def _log_details(key: ServiceKey, before: Desired | None, after: Desired) -> None:
    known = before.dropped if before else ()
    for drop in [drop for drop in after.dropped if drop not in known][:LOGGED_DROPS]:
        log.warning("backend-dropped", service=str(key), backend=drop.record, reason=drop.reason)
    for notice in after.notices:
        if before is None or notice not in before.notices:
            log.warning("notice", service=str(key), notice=notice)
