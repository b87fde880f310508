"""The smallest difference between what is published and what ought to be."""

from __future__ import annotations

from registrar.model import Desired, Plan, Published

_NOTHING = Plan()


def plan(desired: Desired, published: Published | None) -> Plan:
    """Return what must change so that `published` says what `desired` does."""
    now = published.endpoints if published else frozenset()
    if desired.endpoints == now:
        return _NOTHING
    before = {endpoint.id for endpoint in now}
    after = {endpoint.id for endpoint in desired.endpoints}
    return Plan(
        adds=frozenset(e for e in desired.endpoints if e.id not in before),
        removals=frozenset(e for e in now if e.id not in after),
        changes=frozenset(e for e in desired.endpoints if e.id in before and e not in now),
    )
