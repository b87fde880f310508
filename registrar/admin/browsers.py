"""Keeps pages of other sites from using a browser as their way to the admin port.

A page whose name is made to lead here (DNS rebinding) is told by its Host, one that sends orders by
its Origin. Programs and people who come by an address or by a name of the cluster notice nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

PROBES = frozenset({"/healthz", "/readyz"})
"""They tell nothing, so whoever balances load may ask by any name."""

_OURS = (".svc", ".cluster.local", ".localhost")
"""What the cluster's own names end in; nobody can register a domain under them."""


def only_known_hosts(hosts: Collection[str]) -> Middleware:
    """Return what refuses requests of other sites' pages; `hosts` are further names to be known."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if "Origin" in request.headers and request.method not in {"GET", "HEAD"}:
            raise web.HTTPForbidden(text="no page of a browser may order anything\n")
        if request.path not in PROBES and not is_known(request.headers.get("Host", ""), hosts):
            raise web.HTTPMisdirectedRequest(
                text="this name is not known here; list it as `admin.hosts`, or use an address\n"
            )
        return await handler(request)

    return guard


def is_known(host: str, hosts: Collection[str]) -> bool:
    """Whether a Host header names this program: by address, as the cluster does, or as told."""
    name, _, port = host.rpartition(":")
    if not (name and port.isdigit()) or host.endswith("]"):
        name = host
    name = name.lower().removesuffix(".")
    if "." not in name and ":" not in name:
        # What only the machine's own search list completes, localhost, or none at all: a browser
        # always says one.
        return True
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name in hosts or name.endswith(_OURS)
    return True
