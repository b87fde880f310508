"""The smallest difference between what is published and what ought to be."""

from __future__ import annotations

from registrar.model import Desired, Plan, Published


def plan(desired: Desired, published: Published | None) -> Plan:
    """Return what must change so that `published` says what `desired` does.

    Nothing published and nothing desired is a difference all the same: an object that says
    "no endpoints" is an answer, its absence is none.
    """
    if published is None:
        return Plan(adds=desired.endpoints, rewrite=True)
    before = {endpoint.id for endpoint in published.endpoints}
    after = {endpoint.id for endpoint in desired.endpoints}
    return Plan(
        adds=frozenset(e for e in desired.endpoints if e.id not in before),
        removals=frozenset(e for e in published.endpoints if e.id not in after),
        changes=frozenset(
            e for e in desired.endpoints if e.id in before and e not in published.endpoints
        ),
        rewrite=not published.canonical,
    )
