"""Stands between a client and the API server, and makes requests meet faults that it is told of.

    python -m tests.lab.fault_proxy_server ADDRESS UPSTREAM AUTHORITY CERT KEY SOCKET

It must never change what it passes on, nor ask anything of the API server by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector, web

from registrar.embedded.request import Request, Target, target_of

OF_ONE_HOP = {"connection", "host", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(eq=False)
class Rule:
    """A fault, and which requests meet it: those that have all that is given."""

    fault: str
    verb: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    times: int | None = None
    code: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    applied: bool = False
    hits: int = 0
    waiting: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def matches(self, target: Target | None) -> bool:
        asked = ("", "", "", "")
        if target is not None:
            asked = (target.verb, target.resource.plural, target.namespace, target.name)
        wanted = (self.verb, self.resource, self.namespace, self.name)
        same = all(want in {"", have} for want, have in zip(wanted, asked, strict=True))
        return same and self.times != 0 and not self.ended.is_set()

    def hit(self) -> None:
        self.hits += 1
        if self.times is not None:
            self.times -= 1

    async def wait(self) -> None:
        self.waiting += 1
        try:
            await self.ended.wait()
        finally:
            self.waiting -= 1


@dataclass(eq=False)
class Passing:
    """A request that is under way."""

    target: Target | None
    request: web.BaseRequest

    def cut(self) -> None:
        if self.request.transport is not None:
            self.request.transport.abort()


class Proxy:
    """Passes requests on."""

    def __init__(self, upstream: str, session: ClientSession) -> None:
        self._upstream = upstream
        self._session = session
        self.rules: list[Rule] = []
        self.passing: set[Passing] = set()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        sent = Request.to(request.method, request.path_qs)
        passing = Passing(target_of(sent), request)
        self.passing.add(passing)
        try:
            return await self._answer(passing)
        except (ClientError, ConnectionError):
            passing.cut()
            return web.Response(status=502)  # nobody gets it
        finally:
            self.passing.discard(passing)

    async def _answer(self, passing: Passing) -> web.StreamResponse:
        met = [r for r in self.rules if r.fault != "deaf" and r.matches(passing.target)]
        for rule in met:
            rule.hit()
        body = await passing.request.content.read()
        for rule in met:
            if not rule.applied and (refused := await _meet(rule, passing)) is not None:
                return refused
        async with self._asked(passing.request, body) as reply:
            for rule in met:
                if rule.applied and (refused := await _meet(rule, passing)) is not None:
                    await reply.read()
                    return refused
            return await self._pass_back(passing, reply)

    @contextlib.asynccontextmanager
    async def _asked(self, request: web.BaseRequest, body: bytes) -> AsyncIterator[ClientResponse]:
        asked = self._session.request(
            request.method,
            f"{self._upstream}{request.path_qs}",
            headers=[(n, v) for n, v in request.headers.items() if n.lower() not in OF_ONE_HOP],
            data=body or None,
            allow_redirects=False,
        )
        async with asked as reply:
            yield reply

    async def _pass_back(self, passing: Passing, reply: ClientResponse) -> web.StreamResponse:
        answer = web.StreamResponse(status=reply.status, reason=reply.reason)
        for name, value in reply.headers.items():
            if name.lower() not in OF_ONE_HOP:
                answer.headers.add(name, value)
        await answer.prepare(passing.request)
        async for chunk in reply.content.iter_any():
            for rule in self._deaf(passing.target):
                rule.hit()
                await rule.wait()
            await answer.write(chunk)
        await answer.write_eof()
        return answer

    def _deaf(self, target: Target | None) -> Iterator[Rule]:
        is_watch = target is not None and target.verb == "watch"
        for rule in self.rules if is_watch else ():
            if rule.fault == "deaf" and rule.matches(target):
                yield rule


async def _meet(rule: Rule, passing: Passing) -> web.Response | None:
    if rule.fault == "refuse":
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": rule.code,
            "message": "the fault proxy refuses this",
        }
        return web.json_response(status, status=rule.code, headers=rule.headers)
    if rule.fault == "hold":
        await rule.wait()
    elif rule.fault == "delay":
        await asyncio.sleep(rule.seconds)
    elif rule.fault == "break":
        passing.cut()
        raise ConnectionError
    return None


def control(proxy: Proxy, context: ssl.SSLContext, port: int) -> web.Application:
    """Return what a test tells it by."""

    async def state(_: web.Request) -> web.Response:
        watches = [one for one in proxy.passing if one.target and one.target.verb == "watch"]
        return web.json_response({"port": port, "watches": len(watches)})

    async def add(request: web.Request) -> web.Response:
        proxy.rules.append(Rule(**await request.json()))
        return web.json_response({"id": len(proxy.rules) - 1})

    def rule_of(request: web.Request) -> Rule:
        return proxy.rules[int(request.match_info["id"])]

    async def look(request: web.Request) -> web.Response:
        rule = rule_of(request)
        return web.json_response({"hits": rule.hits, "waiting": rule.waiting})

    async def end(request: web.Request) -> web.Response:
        rule_of(request).ended.set()
        return web.Response()

    async def cut(request: web.Request) -> web.Response:
        which = Rule("break", **await request.json())
        found = [passing for passing in proxy.passing if which.matches(passing.target)]
        for passing in found:
            passing.cut()
        return web.json_response({"count": len(found)})

    async def present(request: web.Request) -> web.Response:
        told: dict[str, Any] = await request.json()
        context.load_cert_chain(told["cert"], told["key"])
        return web.Response()

    app = web.Application()
    app.add_routes(
        [
            web.get("/", state),
            web.post("/rules", add),
            web.get("/rules/{id}", look),
            web.delete("/rules/{id}", end),
            web.post("/cut", cut),
            web.post("/present", present),
        ]
    )
    return app


async def main(
    address: str, upstream: str, authority: str, cert: str, key: str, socket: str
) -> None:
    """Serve until the process ends."""
    presented = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    presented.load_cert_chain(cert, key)
    trusted = ssl.create_default_context(cafile=authority)
    connector = TCPConnector(limit=0, ssl=trusted)
    async with ClientSession(
        connector=connector,
        timeout=ClientTimeout(None, connect=5),
        auto_decompress=False,
        read_bufsize=2**21,
    ) as session:
        proxy = Proxy(upstream, session)
        server = web.Server(proxy.answer, handler_cancellation=True)
        runner = web.ServerRunner(server)
        await runner.setup()
        await web.TCPSite(runner, address, 0, ssl_context=presented).start()
        told = web.AppRunner(control(proxy, presented, runner.addresses[0][1]))
        await told.setup()
        await web.UnixSite(told, socket).start()
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
