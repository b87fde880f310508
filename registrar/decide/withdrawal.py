"""What is published and must not be: it goes at once, and no Hold and no guard keeps it.

That stands above the one rule: it is the defence against CVE-2021-25740.
"""

from __future__ import annotations

from collections.abc import Iterable

from registrar.decide.networks import refusal
from registrar.model import (
    Desired,
    DropCause,
    Dropped,
    EndpointId,
    Hold,
    NetworkRules,
    Published,
    ServiceState,
    Withdrawn,
)


def withdrawal(
    service: ServiceState | None, published: Published | None, rules: NetworkRules, hold: Hold
) -> Desired | None:
    """Return what is left of what is published once the addresses that must not be are gone.

    None if there are none, or nothing of it is ours. It is for a Service that is held as a whole:
    no Hold stands above a withdrawal.
    """
    if service is None or service.has_selector or service.is_external_name:
        return None
    if published is None or not published.ours:
        return None
    withdrawn = withdrawn_of((endpoint.id for endpoint in published.endpoints), service, rules)
    if not withdrawn:
        return None
    gone = {one.id for one in withdrawn}
    return Desired(
        frozenset(endpoint for endpoint in published.endpoints if endpoint.id not in gone),
        (hold,),
        tuple(dict.fromkeys(left_out(one.id, one.reason) for one in withdrawn)),
        withdrawn=withdrawn,
    )


def not_publishable(
    endpoint_id: EndpointId, service: ServiceState, rules: NetworkRules
) -> str | None:
    """Return why an endpoint must not be published for a Service, None if it may be."""
    if reason := refusal(endpoint_id.address, rules):
        return reason
    if service.families and endpoint_id.address.version not in service.families:
        return f"the Service has no IPv{endpoint_id.address.version} among its ipFamilies"
    return None


def left_out(endpoint_id: EndpointId, reason: str) -> Dropped:
    """Return what is said of an endpoint that must not be published."""
    return Dropped(str(endpoint_id.address), reason, DropCause.NOT_PUBLISHABLE)


def withdrawn_of(
    published: Iterable[EndpointId], service: ServiceState, rules: NetworkRules
) -> tuple[Withdrawn, ...]:
    """Return those of the published endpoints that must not be, each with the reason."""
    return tuple(
        Withdrawn(endpoint_id, reason)
        for endpoint_id in published
        if (reason := not_publishable(endpoint_id, service, rules))
    )
