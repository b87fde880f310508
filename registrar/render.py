"""What would be published for a mapping where there is no cluster to ask: manifests, as objects.

The Service is taken to be as the mapping says, and every backend to be up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from msgspec.structs import replace as struct_replace

from registrar.cluster.forms import after, next_step
from registrar.cluster.objects import Endpoints, EndpointSlice, Service
from registrar.cluster.services import new_service
from registrar.cluster.view import Held
from registrar.decide.candidates import candidates
from registrar.decide.policy import decide
from registrar.model import (
    Hold,
    NetworkRules,
    Observation,
    QueryRef,
    ServiceMapping,
    ServicePort,
    ServiceState,
)

Manifest: TypeAlias = Service | Endpoints | EndpointSlice


def manifests(
    mapping: ServiceMapping,
    instance: str,
    observations: Mapping[QueryRef, Observation],
    rules: NetworkRules,
) -> tuple[Manifest, ...] | Hold:
    """Return the objects in the order in which they are to be applied, or why there are none.

    What only a cluster knows is left out: uids, and with them the slices' owner.
    """
    unchecked = tuple(replace(port, check=None) for port in mapping.ports)
    mapping = replace(mapping, ports=unchecked)
    service = _assumed(mapping)
    found = candidates(mapping, service, None, observations, rules, {}, 0.0)
    if isinstance(found, Hold):
        return found
    if found.holds:
        return found.holds[0]
    desired = decide(mapping, found, None, {})
    if isinstance(desired, Hold):
        return desired
    held, made = Held(service), list[Manifest]()
    while (step := next_step(mapping, instance, held, service, desired.endpoints, "")).writes:
        made += [write.object for write in step.writes]
        held = after(held, step.writes)
    first = (new_service(mapping.key, instance, mapping.create),) if mapping.create else ()
    return tuple(_without_owner(item) for item in (*first, *made))


def _assumed(mapping: ServiceMapping) -> ServiceState:
    if mapping.create is not None:
        ports = tuple(
            ServicePort(port.name, port.protocol, port.target_port, port.app_protocol)
            for port in mapping.create.ports
        )
        return ServiceState("", ports, is_headless=mapping.create.headless)
    names = (port.name or "" for port in mapping.ports)
    return ServiceState("", tuple(ServicePort(name) for name in names))


def _without_owner(item: Manifest) -> Manifest:
    if not isinstance(item, EndpointSlice):
        return item
    annotations = {
        name: value for name, value in item.metadata.annotations.items() if value
    }  # no time of a change
    meta = struct_replace(item.metadata, owner_references=(), annotations=annotations)
    return struct_replace(item, metadata=meta)
