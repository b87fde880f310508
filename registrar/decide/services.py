"""Whether a Service can be served at all, and which of its ports a mapping means."""

from __future__ import annotations

from collections.abc import Sequence

from registrar.model import (
    Backend,
    Hold,
    HoldReason,
    PortMapping,
    Published,
    ServiceMapping,
    ServicePort,
    ServiceState,
)


def refused_service(
    mapping: ServiceMapping, service: ServiceState, published: Published | None
) -> Hold | None:
    """Return why a Service can't be served by us at all, None if it can."""
    if service.is_external_name:
        return Hold(
            HoldReason.EXTERNAL_NAME,
            f"Service {mapping.key} is of type ExternalName, which has no endpoints",
        )
    if service.has_selector:
        return Hold(
            HoldReason.SERVICE_HAS_SELECTOR,
            f"Service {mapping.key} has a selector, so its endpoints are its pods; "
            "remove spec.selector to have registrar publish them",
        )
    if published is not None and not published.ours and not mapping.adopt:
        return Hold(HoldReason.NOT_OURS, not_ours(mapping))
    return None


def not_ours(mapping: ServiceMapping) -> str:
    """Return what to say of Endpoints that others have written."""
    return (
        f"Endpoints {mapping.key} exist without the marks of this registrar; "
        "give the mapping `adopt: true` to take them over, or delete them"
    )


def service_port(
    mapping: ServiceMapping, port_mapping: PortMapping, service: ServiceState
) -> ServicePort | Hold:
    """Return the port of a Service that a part of a mapping means, or why none."""
    names = ", ".join(port.name or "(unnamed)" for port in service.ports) or "none"
    if port_mapping.name is None:
        if len(service.ports) == 1:
            return service.ports[0]
        return Hold(
            HoldReason.PORT_NAME_MISSING,
            f"Service {mapping.key} has {len(service.ports)} ports ({names}); "
            "give the mapping a `ports` section that names them",
        )
    for port in service.ports:
        if port.name == port_mapping.name:
            return port
    return Hold(
        HoldReason.PORT_NAME_UNKNOWN,
        f"Service {mapping.key} has no port named {port_mapping.name!r}; its ports: {names}",
    )


def no_port(mapping: ServiceMapping, port: ServicePort, backends: Sequence[Backend]) -> Hold:
    """Return the Hold of a port for which nobody gives a number."""
    which = f" {port.name!r}" if port.name else ""
    return Hold(
        HoldReason.NO_PORT,
        f"Service {mapping.key} has no number for its port{which}: give one to the backends "
        f"({backends[0].address} has none), to the mapping (`port`), or as targetPort",
    )
