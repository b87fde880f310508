"""Reads what registrar has published from the API server, as kube-proxy reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

import msgspec

from registrar.cluster import endpoints, slices
from registrar.cluster.client import SLICES, Client, Resource, Scope
from registrar.cluster.objects import ApiObject, ApiStruct, EndpointSlice
from registrar.ipvs.drift import NODE_PORT, Expected, Wanted
from registrar.ipvs.table import VirtualServer
from registrar.model import BackendId, Endpoint, ServiceKey

_OURS = (
    f"{slices.MANAGED_BY}={slices.MANAGER}",
    # The mirroring controller copies the labels of our Endpoints.
    f"{endpoints.MANAGED_BY}={endpoints.MANAGER}",
)


class ProxiedPort(ApiStruct, frozen=True):
    """corev1.ServicePort, as far as it concerns kube-proxy."""

    name: str = ""
    protocol: str = "TCP"
    port: int = 0
    node_port: int = 0


class ProxiedSpec(ApiStruct, frozen=True):
    """corev1.ServiceSpec, as far as it concerns kube-proxy."""

    ports: tuple[ProxiedPort, ...] = ()
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    external_ips: tuple[str, ...] = msgspec.field(default=(), name="externalIPs")
    internal_traffic_policy: str | None = None
    external_traffic_policy: str | None = None


class Ingress(ApiStruct, frozen=True):
    """corev1.LoadBalancerIngress."""

    ip: str = ""
    ip_mode: str | None = None


class LoadBalancer(ApiStruct, frozen=True):
    """corev1.LoadBalancerStatus."""

    ingress: tuple[Ingress, ...] = ()


class ProxiedStatus(ApiStruct, frozen=True):
    """corev1.ServiceStatus."""

    load_balancer: LoadBalancer = LoadBalancer()


class ProxiedService(ApiObject, frozen=True):
    """corev1.Service, as far as it concerns kube-proxy."""

    spec: ProxiedSpec = ProxiedSpec()
    status: ProxiedStatus = ProxiedStatus()


SERVICES = Resource("services", ProxiedService)


async def read_expected(client: Client, only: Iterable[ServiceKey] = ()) -> tuple[Expected, ...]:
    """Return what nodes ought to have of the Services that registrar publishes; none named: all.

    Raise ClusterError.
    """
    chosen = frozenset(only)
    found: dict[ServiceKey, list[EndpointSlice]] = defaultdict(list)
    for labels in _OURS:
        async for page in client.pages(SLICES, Scope(labels=labels)):
            for one in page.items:
                name = one.metadata.labels.get(slices.SERVICE_NAME, "")
                found[ServiceKey(one.metadata.namespace, name)].append(one)
    expected: list[Expected] = []
    async for services in client.pages(SERVICES, Scope()):
        for service in services.items:
            key = ServiceKey(service.metadata.namespace, service.metadata.name)
            if key in found and (not chosen or key in chosen):
                expected.append(Expected(key, tuple(_wanted(service, found[key]))))
    return tuple(sorted(expected, key=lambda one: one.key))


def _wanted(service: ProxiedService, found: Iterable[EndpointSlice]) -> Iterator[Wanted]:
    spec = service.spec
    there = slices.decode(found)
    is_zoned = any(endpoint.hints for one in found for endpoint in one.endpoints or ())
    ingress = service.status.load_balancer.ingress
    outside = [*spec.external_ips, *(one.ip for one in ingress if one.ip_mode != "Proxy")]
    inner_local = spec.internal_traffic_policy == "Local"
    outer_local = spec.external_traffic_policy == "Local"
    for port in spec.ports:
        served = [
            one
            for one in there
            if (one.id.port_name, one.id.protocol) == (port.name, port.protocol)
        ]
        places = [
            *((ip, port.port, inner_local) for ip in spec.cluster_ips if ip not in {"", "None"}),
            *((ip, port.port, outer_local) for ip in outside if ip),
            *((ip, port.node_port, outer_local) for ip in NODE_PORT if port.node_port),
        ]
        for ip, number, is_local in places:
            server = VirtualServer(ip_address(ip), number, port.protocol)
            # Of traffic that stays on its node, backends outside the cluster get none.
            backends = frozenset() if is_local else _in_use(served, server)
            yield Wanted(server, backends, is_zoned=is_zoned)


def _in_use(served: Iterable[Endpoint], server: VirtualServer) -> frozenset[BackendId]:
    """Return who gets new connections: the ready ones, or if there is none those that drain."""
    same = [one for one in served if one.id.address.version == server.address.version]
    ready = frozenset(one.backend for one in same if one.ready)
    return ready or frozenset(one.backend for one in same if one.draining)
