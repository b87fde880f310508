"""What is answered: the state of everything, and resyncs for whoever may order them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping

import msgspec
import structlog
from aiohttp import web

from registrar.admin.access import Access
from registrar.admin.drains import drain_order, drained_body
from registrar.admin.program import Program
from registrar.admin.views import Views
from registrar.admin.words import check_timeout, service_key
from registrar.errors import MALFORMED
from registrar.model import ServiceKey
from registrar.resync import Order, Outcome

MOST_BYTES = 256 * 1024
BODY_S = 10.0

log = structlog.get_logger()


class OrderBody(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What is sent to /resync. No Services: all of them. `timeout` is in seconds."""

    services: tuple[str, ...] = ()
    accept_removals: bool = False
    timeout: float = Order("").timeout


class OutcomeBody(msgspec.Struct, frozen=True):
    """What came of a resync for one Service."""

    service: str
    state: str
    detail: str


class Handlers:
    """The routes. `access` None: whoever gets here may have anything done (the unix socket)."""

    def __init__(self, program: Program, access: Access | None) -> None:
        self._program = program
        self._access = access

    def application(self) -> web.Application:
        """Return the application of aiohttp with all routes."""
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/status", self._status)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/resync", self._resync)
        Views(self._program).add_to(app)
        app.router.add_post("/drain", self._drain)
        app.router.add_post("/undrain", self._drain)
        return app

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        if self._program.is_ready:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="what the cluster holds is not known yet\n")

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(await self._program.status())

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = await self._program.metrics(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _resync(self, request: web.Request) -> web.Response:
        by = _who(request)
        if (refused := await self._refused(request, by)) is not None:
            return refused
        try:
            order = _order(await _body(request), by)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        return _json(_bodies(await self._program.resync(order)))

    async def _drain(self, request: web.Request) -> web.Response:
        by = _who(request)
        if (refused := await self._refused(request, by)) is not None:
            return refused
        try:
            order = drain_order(await _body(request), by, out=request.path == "/drain")
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        return _json(drained_body(order, await self._program.drain(order)))

    async def _refused(self, request: web.Request, by: str) -> web.Response | None:
        if self._access is None:
            return None
        refusal = await self._access.refuse(request.headers.get("Authorization"))
        if refusal is None:
            return None
        asked = request.path.strip("/")
        if refusal.status != 429:  # a line for each would be a way to fill the log
            log.warning(
                "order-refused", order=asked, by=by, status=refusal.status, reason=refusal.words
            )
        headers = {"Retry-After": str(refusal.retry_after)} if refusal.retry_after else {}
        if refusal.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return web.Response(status=refusal.status, text=f"{refusal.words}\n", headers=headers)


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the body didn't come in time\n") from None


def _order(body: bytes, by: str) -> Order:
    try:
        asked = msgspec.json.decode(body or b"{}", type=OrderBody)
    except MALFORMED as error:
        raise ValueError(f"the body can't be read: {error}") from None
    check_timeout(asked.timeout)
    keys = tuple(service_key(text) for text in asked.services)
    return Order(by, keys, asked.accept_removals, asked.timeout)


def _bodies(found: Mapping[ServiceKey, Outcome]) -> list[OutcomeBody]:
    return [OutcomeBody(str(key), one.state.value, one.detail) for key, one in found.items()]


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


def _who(request: web.Request) -> str:
    """Return who asks: an address, or the user at the other end of the unix socket."""
    transport = request.transport
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is not None and connection.family == socket.AF_UNIX:
        # struct ucred of unix(7): process, user and group.
        size = struct.calcsize("3i")
        said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return f"the unix socket (uid {struct.unpack('3i', said)[1]})"
    return f"HTTP from {request.remote}"
