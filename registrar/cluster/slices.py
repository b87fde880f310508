"""The codec of EndpointSlices: what slices say, and which of them are ours."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address

from registrar.cluster.drained import drained_by
from registrar.cluster.objects import EndpointSlice, SliceEndpoint, SlicePort
from registrar.model import Address, BackendId, Endpoint, EndpointId

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "registrar.internal"
HEADLESS = "service.kubernetes.io/headless"
INSTANCE = "registrar.internal/instance"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"

FAMILIES = {4: "IPv4", 6: "IPv6"}


def is_marked(found: EndpointSlice, instance: str) -> bool:
    """Whether a slice carries the marks of this registrar, for whichever Service."""
    meta = found.metadata
    return meta.labels.get(MANAGED_BY) == MANAGER and meta.annotations.get(INSTANCE) == instance


def is_ours(found: EndpointSlice, instance: str, uid: str) -> bool:
    """Whether a slice is ours: by its marks, and by the uid of the Service that owns it.

    Other controllers copy labels and annotations, so those alone prove nothing.
    """
    return is_marked(found, instance) and uid in {
        reference.uid for reference in found.metadata.owner_references
    }


def decode(slices: Iterable[EndpointSlice]) -> frozenset[Endpoint]:
    """Return what slices say, those of a port that they don't number left out.

    What two of them say of one endpoint is ready if either says so, as for kube-proxy.
    """
    found: dict[EndpointId, Endpoint] = {}
    for one in slices:
        drained = drained_by(one.metadata)
        for port in one.ports or ():
            for said in one.endpoints or ():
                for endpoint in _endpoints(said, port, drained):
                    known = found.get(endpoint.id)
                    if known is None or (endpoint.ready and not known.ready):
                        found[endpoint.id] = endpoint
    return frozenset(found.values())


def _endpoints(
    said: SliceEndpoint, port: SlicePort, drained: Collection[BackendId]
) -> Iterator[Endpoint]:
    ready = said.conditions.ready is not False
    draining = bool(said.conditions.terminating) and said.conditions.serving is not False
    for text in said.addresses:
        address = _address(text)
        if address is not None and port.port is not None:
            yield Endpoint(
                EndpointId(port.name, port.protocol, address, port.port),
                ready,
                said.hostname,
                port.app_protocol,
                draining=draining and not ready,
                zone=said.zone,
                drained=(address, port.port) in drained,
            )


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:  # a slice of names, which kube-proxy doesn't serve
        return None
