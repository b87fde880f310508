"""Says what a node lacks, or has too much, of what is published: pure, from values to values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from registrar.ipvs.table import Table, VirtualServer
from registrar.model import BackendId, ServiceKey

NODE_PORT = ("0.0.0.0", "::")  # noqa: S104  it stands for whatever addresses a node has
"""A node port has a virtual server for each address of the node; these stand for all of them."""

_ANY = frozenset(NODE_PORT)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One virtual server, and who gets its new connections.

    `is_zoned`: the Service keeps traffic in its zone, so that a node may have but some of them.
    """

    server: VirtualServer
    backends: frozenset[BackendId]
    is_zoned: bool = False


@dataclass(frozen=True, slots=True)
class Expected:
    """What a node ought to have of one Service."""

    key: ServiceKey
    servers: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that differs: `what` is missing or extra; without `backend` a virtual server."""

    service: str
    server: str
    what: str
    backend: str = ""
    weight: int | None = None


def drift(expected: Iterable[Expected], table: Table) -> tuple[Drift, ...]:
    """Return all that differs. A real server of weight 0 drains: that is no drift."""
    return tuple(
        found
        for service in expected
        for wanted in service.servers
        for found in _of_server(str(service.key), wanted, table)
    )


def _of_server(service: str, wanted: Wanted, table: Table) -> Iterator[Drift]:
    there = _matching(wanted.server, table)
    if not there:
        is_family_of_node = str(wanted.server.address) not in _ANY or wanted.backends
        if is_family_of_node:
            yield Drift(service, _said(wanted.server), "missing")
        return
    for server in there:
        weights = table[server]
        serving = {backend for backend, weight in weights.items() if weight > 0}
        missing = wanted.backends - serving
        if missing and not (wanted.is_zoned and serving & wanted.backends):
            for one in sorted(missing, key=str):
                yield Drift(service, str(server), "missing", str(one), weights.get(one))
        for one in sorted(serving - wanted.backends, key=str):
            yield Drift(service, str(server), "extra", str(one), weights[one])


def _matching(server: VirtualServer, table: Table) -> list[VirtualServer]:
    """Return the virtual servers of the table that are meant: of a node port, all that have it."""
    if str(server.address) not in _ANY:
        return [server] if server in table else []
    return [
        one
        for one in table
        if (one.port, one.protocol) == (server.port, server.protocol)
        and one.address.version == server.address.version
    ]


def _said(server: VirtualServer) -> str:
    if str(server.address) not in _ANY:
        return str(server)
    return f"node port {server.port}/{server.protocol} (IPv{server.address.version})"
