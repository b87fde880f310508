"""The codec of v1 Endpoints: one canonical form, and the marks that make an object ours.

The API server stores Endpoints as they are sent (it stopped repacking them in 1.20), so equal
endpoints must always come out as equal bytes: that is what makes "nothing to write" visible.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_address

from registrar.cluster.drained import drained_by, with_drained
from registrar.cluster.objects import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
)
from registrar.model import Address, BackendId, Endpoint, EndpointId, ServiceKey

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "registrar"
INSTANCE = "registrar.internal/instance"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
_CONTROLLED = "endpoints.kubernetes.io/managed-by"
"""What the endpoints controller marks its own objects with, to delete them one day."""

MAX_ADDRESSES = 1000
"""More than these Kubernetes' own controller leaves out, and says so (KEP-0752)."""

_Who = tuple[str, str | None]


def encode(
    key: ServiceKey,
    instance: str,
    endpoints: frozenset[Endpoint],
    current: Endpoints | None,
    *,
    mirrored: bool,
) -> Endpoints:
    """Return the object to write over `current`, or anew where there is none.

    It carries uid and resourceVersion of `current` as preconditions (without the uid an update
    would create an object anew that was deleted), and whatever labels others have put there.
    `mirrored`: the cluster is to make slices of it. Above 1,000 addresses it holds the first.
    """
    before = current.metadata if current else ObjectMeta(name=key.name, namespace=key.namespace)
    labels = {**before.labels, MANAGED_BY: MANAGER, SKIP_MIRROR: "true"}
    annotations = {**before.annotations, INSTANCE: instance, OVER_CAPACITY: "truncated"}
    labels.pop(_CONTROLLED, None)
    if mirrored:
        del labels[SKIP_MIRROR]
    kept = _within_capacity(endpoints)
    if kept == endpoints:
        del annotations[OVER_CAPACITY]
    return Endpoints(
        api_version="v1",
        kind="Endpoints",
        metadata=ObjectMeta(
            name=key.name,
            namespace=key.namespace,
            uid=before.uid,
            resource_version=before.resource_version,
            labels=labels,
            annotations=with_drained(annotations, (e.backend for e in endpoints if e.drained)),
        ),
        subsets=subsets(kept),
    )


def says_the_same(one: Endpoints, other: Endpoints) -> bool:
    """Whether two objects are the same but for what the API server adds."""
    return (
        one.subsets == other.subsets
        and one.metadata.labels == other.metadata.labels
        and one.metadata.annotations == other.metadata.annotations
    )


def decode(current: Endpoints) -> frozenset[Endpoint]:
    """Return what an object publishes. An address that can't be read is left out of it.

    What is drained counts as up: only a slice can say so, or that it is not.
    """
    drained = drained_by(current.metadata)
    return frozenset(
        endpoint
        for subset in current.subsets
        for port in subset.ports
        for ready, addresses in ((True, subset.addresses), (False, subset.not_ready_addresses))
        for address in addresses
        if (endpoint := _endpoint(address, port, drained, ready=ready))
    )


def is_ours(current: Endpoints, instance: str) -> bool:
    """Whether the object carries the marks of this registrar."""
    meta = current.metadata
    return meta.labels.get(MANAGED_BY) == MANAGER and meta.annotations.get(INSTANCE) == instance


def subsets(endpoints: Iterable[Endpoint]) -> tuple[EndpointSubset, ...]:
    """Return the canonical subsets: a subset for each set of ports that addresses share.

    Readiness is a matter of address and port: an address that is ready for one port and not for
    another stands in two subsets. So does one that serves a port of the Service on two numbers:
    the ports of a subset must differ in name. Subsets, addresses and ports are sorted.
    """
    ports: dict[tuple[_Who, bool], set[EndpointPort]] = defaultdict(set)
    for endpoint in sorted(endpoints, key=_address_order):
        identity = endpoint.id
        who = (str(identity.address), endpoint.hostname)
        ports[who, endpoint.ready].add(
            EndpointPort(
                name=identity.port_name,
                port=identity.port,
                protocol=identity.protocol,
                app_protocol=endpoint.app_protocol,
            )
        )
    groups: dict[tuple[EndpointPort, ...], dict[bool, list[_Who]]] = defaultdict(
        lambda: {True: [], False: []}
    )
    for (who, ready), served in ports.items():
        for differing in _differing_in_name(served):
            groups[differing][ready].append(who)
    return tuple(
        EndpointSubset(
            addresses=_addresses(whose[True]),
            not_ready_addresses=_addresses(whose[False]),
            ports=served,
        )
        for served, whose in _sorted_groups(groups)
    )


def _within_capacity(endpoints: frozenset[Endpoint]) -> frozenset[Endpoint]:
    by_address: dict[Address, list[Endpoint]] = defaultdict(list)
    for endpoint in endpoints:
        by_address[endpoint.id.address].append(endpoint)
    if len(by_address) <= MAX_ADDRESSES:
        return endpoints

    def order(address: Address) -> tuple[bool, int, int]:
        is_ready = any(endpoint.ready for endpoint in by_address[address])
        return not is_ready, address.version, int(address)

    kept = sorted(by_address, key=order)[:MAX_ADDRESSES]
    return frozenset(endpoint for address in kept for endpoint in by_address[address])


def _differing_in_name(ports: Collection[EndpointPort]) -> Iterable[tuple[EndpointPort, ...]]:
    """Return the ports, sorted, in as many tuples as the most frequent name needs."""
    if len(ports) == 1:
        return (tuple(ports),)
    by_turn: dict[int, list[EndpointPort]] = defaultdict(list)
    turns: Counter[str] = Counter()
    for port in sorted(ports, key=_port_order):
        by_turn[turns[port.name]].append(port)
        turns[port.name] += 1
    return map(tuple, by_turn.values())


def _sorted_groups(
    groups: Mapping[tuple[EndpointPort, ...], dict[bool, list[_Who]]],
) -> list[tuple[tuple[EndpointPort, ...], dict[bool, list[_Who]]]]:
    return sorted(groups.items(), key=lambda group: [_port_order(port) for port in group[0]])


def _port_order(port: EndpointPort) -> tuple[str, int, str, str]:
    return port.name, port.port, port.protocol, port.app_protocol or ""


def _address_order(endpoint: Endpoint) -> tuple[int, int, str]:
    address = endpoint.id.address
    return address.version, int(address), endpoint.hostname or ""


def _addresses(whose: Iterable[_Who]) -> tuple[EndpointAddress, ...]:
    return tuple(EndpointAddress(ip=ip, hostname=name) for ip, name in whose)


def _endpoint(
    address: EndpointAddress, port: EndpointPort, drained: Collection[BackendId], *, ready: bool
) -> Endpoint | None:
    try:
        ip = ip_address(address.ip)
    except ValueError:
        return None
    identity = EndpointId(port.name, port.protocol or "TCP", ip, port.port)
    is_drained = (ip, port.port) in drained
    return Endpoint(
        identity,
        ready,
        address.hostname,
        port.app_protocol,
        draining=is_drained and not ready,
        drained=is_drained,
    )
