"""The cluster's own ranges, as its API tells of them: nodes, pods, Services, the API server itself.

While they are not all known nothing may be published; it never takes silence for "there are none".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import Random
from typing import Generic, TypeAlias

import structlog

from registrar.cluster.client import (
    NODES,
    SERVICE_CIDRS,
    SLICES,
    Client,
    ObjectT,
    Resource,
    Scope,
)
from registrar.cluster.objects import EndpointSlice, Node, ServiceCIDR
from registrar.cluster.view import hold_for
from registrar.cluster.watched import Watched
from registrar.errors import ClusterError, ClusterUnreachable, Forbidden, NotFound, RangesForbidden
from registrar.model import (
    ClusterRange,
    ClusterRanges,
    Hold,
    HoldReason,
    Network,
    NetworkRules,
    RangeKind,
)

API_SERVER = "kubernetes"
"""The name of the API server's own Service in the namespace default, and of its one slice."""

_ADDRESSES = frozenset({"InternalIP", "ExternalIP"})

_ALL = ""
"""Stands for all objects of a kind: none has such a name."""

WITHOUT_SERVICE_CIDR = (
    "this API server has no ServiceCIDR (Kubernetes has it since 1.33): give its Service range "
    "(--service-cluster-ip-range) as networks.deny, or all its ranges as networks.cluster"
)

Watching: TypeAlias = Watched[Node] | Watched[ServiceCIDR] | Watched[EndpointSlice]

log = structlog.get_logger()


class Ranges:
    """Reads the ranges once `need` is called; `changed` is called after each change of them."""

    def __init__(self, client: Client, changed: Callable[[], None], rng: Random) -> None:
        self._server = client.server
        self._changed = changed
        own = Scope("default", API_SERVER)
        self._nodes = _Part(client, NODES, Scope(), _of_node, self._note, rng)
        self._services = _Part(client, SERVICE_CIDRS, Scope(), _of_services, self._note, rng)
        self._api_server = _Part(client, SLICES, own, _of_api_server, self._note, rng)
        self._needed = asyncio.Event()
        self._known = asyncio.Event()
        self._ranges = ClusterRanges()
        self._given: NetworkRules | None = None
        self._over = NetworkRules()
        self._look_is_due = False

    def need(self) -> None:
        """Have the ranges read from now on."""
        self._needed.set()

    def over(self, networks: NetworkRules) -> NetworkRules | Hold:
        """Return the rules with the cluster's ranges in them, or why those are not known."""
        if networks.cluster.all:
            return networks
        if self._known.is_set():
            if networks is not self._given:  # else each Service would keep a copy
                self._given, self._over = networks, replace(networks, cluster=self._ranges)
            return self._over
        error = self._error()
        waiting = Hold(HoldReason.WAITING, "for the cluster's own ranges, which are being read")
        return hold_for(error) if error else waiting

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._needed.wait()
        async with asyncio.TaskGroup() as group:
            for _, watched in self._parts():
                group.create_task(watched.run())

    async def heard(self, patience: float) -> None:
        """Wait until the ranges are known, where they are needed.

        Raise RangesForbidden if the API server doesn't let them be read, or the ClusterError that
        keeps them from being known after `patience` seconds.
        """
        if not self._needed.is_set():
            return
        try:
            async with asyncio.timeout(patience):
                await asyncio.gather(*(watched.tried.wait() for _, watched in self._parts()))
                refused = [what for what, one in self._parts() if _is_refused(one)]
                if refused:
                    raise RangesForbidden(", ".join(refused))
                await self._known.wait()
        except TimeoutError:
            raise self._error() or ClusterUnreachable(self._server) from None

    def _parts(self) -> Iterator[tuple[str, Watching]]:
        yield "nodes", self._nodes.watched
        yield "servicecidrs", self._services.watched
        yield f"endpointslices of default/{API_SERVER}", self._api_server.watched

    def _error(self) -> ClusterError | None:
        return next((w.error for _, w in self._parts() if w.error and not w.synced.is_set()), None)

    def _is_known(self, watched: Watching) -> bool:
        # Before Kubernetes 1.33 there is no such kind.
        lacks_kind = watched is self._services.watched and isinstance(watched.error, NotFound)
        return watched.synced.is_set() or lacks_kind

    def _note(self) -> None:
        if not self._look_is_due:  # a list that changes a thousand nodes is one change
            self._look_is_due = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._look_is_due = False
        if not all(self._is_known(watched) for _, watched in self._parts()):
            if self._error():  # which is what Services then wait for
                self._changed()
            return
        if not self._known.is_set() and not self._services.watched.synced.is_set():
            log.warning("notice", notice=WITHOUT_SERVICE_CIDR)
        parts = (self._nodes, self._services, self._api_server)
        found = ClusterRanges(tuple(one for part in parts for one in part.ranges()))
        if self._known.is_set() and found == self._ranges:
            return
        self._ranges, self._given = found, None
        self._known.set()
        self._changed()


class _Part(Generic[ObjectT]):
    """The ranges that the objects of one kind tell of. A node's heartbeat changes none."""

    def __init__(
        self,
        client: Client,
        resource: Resource[ObjectT],
        scope: Scope,
        ranges_of: Callable[[ObjectT], Iterator[ClusterRange]],
        changed: Callable[[], None],
        rng: Random,
    ) -> None:
        self._ranges_of = ranges_of
        self._changed = changed
        self._found: dict[str, tuple[ClusterRange, ...]] = {}
        self.watched = Watched(
            client, resource, scope, lambda one: one.metadata.name, self._note, rng
        )
        self.watched.want(frozenset({_ALL}))

    def ranges(self) -> Iterator[ClusterRange]:
        """Yield all of them."""
        return (one for ranges in self._found.values() for one in ranges)

    def _note(self, name: str) -> None:
        item = self.watched.get(name)
        found = tuple(self._ranges_of(item)) if item else ()
        if name == _ALL or found != self._found.get(name, ()):
            self._found[name] = found
            if not found:
                del self._found[name]
            self._changed()


def _is_refused(watched: Watching) -> bool:
    """Whether it could not even be listed; where only the watch is refused the log says so."""
    return isinstance(watched.error, Forbidden) and not watched.synced.is_set()


def _of_services(found: ServiceCIDR) -> Iterator[ClusterRange]:
    for network in _networks(found.spec.cidrs):
        yield ClusterRange(network, RangeKind.SERVICES)


def _of_api_server(found: EndpointSlice) -> Iterator[ClusterRange]:
    addresses = (a for endpoint in found.endpoints or () for a in endpoint.addresses)
    for network in _networks(addresses):
        yield ClusterRange(network, RangeKind.API_SERVER)


def _of_node(node: Node) -> Iterator[ClusterRange]:
    name = node.metadata.name
    addresses = (a.address for a in node.status.addresses if a.type in _ADDRESSES)
    for network in _networks(addresses):
        yield ClusterRange(network, RangeKind.NODE, name)
    for network in _networks(dict.fromkeys((node.spec.pod_cidr, *node.spec.pod_cidrs))):
        yield ClusterRange(network, RangeKind.PODS, name)


def _networks(texts: Iterable[str]) -> Iterator[Network]:
    """Yield what is a network, or an address; a cloud may have a node's name among those."""
    for text in texts:
        try:
            yield ip_network(text if "/" in text else ip_address(text), strict=False)
        except ValueError:
            continue
