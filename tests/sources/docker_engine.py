"""A Docker daemon by script: as much of the Engine API as the source asks, well or ill behaved.

It notes every request, so that a test can say what was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web


def container(
    name: str,
    *ports: dict[str, Any],
    state: str = "running",
    status: str = "Up 2 minutes",
    mode: str = "default",
    networks: dict[str, dict[str, str]] | None = None,
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return an entry of /containers/json."""
    return {
        "Id": f"{name}-id",
        "Names": [f"/{name}"],
        "Image": "lab",
        "State": state,
        "Status": status,
        "Labels": labels or {"app": "web"},
        "Ports": list(ports),
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": networks or {"bridge": {"IPAddress": "172.17.0.2"}}},
    }


def published(
    public: int, private: int = 80, ip: str = "0.0.0.0", kind: str = "tcp"
) -> dict[str, Any]:
    """Return a port of a container that the host publishes."""
    return {"IP": ip, "PrivatePort": private, "PublicPort": public, "Type": kind}


@dataclass
class Engine:
    """The daemon: what it lists, and how it behaves."""

    listed: Sequence[Any] = ()
    version: dict[str, Any] = field(
        default_factory=lambda: {"ApiVersion": "1.41", "MinAPIVersion": "1.12"}
    )
    body: bytes | None = None
    """What it answers in place of a list."""
    hangs: bool = False
    hangs_at_events: bool = False
    breaks: bool = False
    """Whether it breaks off every connection."""
    status: int = 200
    forbids_events: bool = False
    on_request: Callable[[web.Request], None] = lambda _: None
    event: bytes = b'{"Type":"container","Action":"start"}\n'
    requests: list[web.Request] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self._streams: dict[asyncio.Queue[bytes | None], dict[str, list[str]]] = {}
        self._goes_on = asyncio.Event()
        self.listened = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._site: tuple[Any, dict[str, Any]] | None = None

    @property
    def listening(self) -> int:
        """How many listen to its events."""
        return len(self._streams)

    def asked(self, end: str) -> list[web.Request]:
        """Return the requests for a path."""
        return [one for one in self.requests if one.path.endswith(end)]

    def tell(
        self, event: bytes | None = None, about: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Tell all who listen of an event; with `about`, those whose filters want just that."""
        for stream, filters in self._streams.items():
            if about is None or about.items() <= filters.items():
                stream.put_nowait(self.event if event is None else event)

    def break_streams(self) -> None:
        """End the streams of events."""
        for stream in self._streams:
            stream.put_nowait(None)

    def has(self, *listed: Any) -> None:  # noqa: ANN401  whatever a test wants
        """List these from now on, and tell."""
        self.listed = listed
        self.tell()

    def goes_on(self) -> None:
        """Hang no longer."""
        self.hangs = self.hangs_at_events = False
        self._goes_on.set()
        self._goes_on = asyncio.Event()

    async def start(
        self, *, tls: ssl.SSLContext | None = None, path: Path | None = None, port: int = 0
    ) -> None:
        """Listen on loopback, or on a unix socket."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        if path is not None:
            await web.UnixSite(self._runner, str(path)).start()
            self.url = f"unix://{path}"
            return
        site = web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        self.url = f"tcp://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Refuse connections, and end those that there are."""
        self._goes_on.set()
        self.break_streams()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.on_request(request)
        if self.breaks and request.transport is not None:
            request.transport.abort()
        if self.hangs:
            await self._goes_on.wait()
        if self.status != web.HTTPOk.status_code:
            return web.Response(status=self.status)
        if request.path.endswith("/version"):
            return web.json_response(self.version)
        asked = request.path.split("/")[1].removeprefix("v")
        newest = str(self.version["ApiVersion"])
        if [*map(int, asked.split("."))] > [*map(int, newest.split("."))]:
            return web.json_response({"message": "client version is too new"}, status=400)
        if request.path.endswith("/events"):
            return await self._events(request)
        if self.body is not None:
            return web.Response(body=self.body, content_type="application/json")
        return web.json_response(self._filtered(json.loads(request.query.get("filters", "{}"))))

    def _filtered(self, filters: dict[str, list[str]]) -> list[Any]:
        # Only by status, as the daemon does; the rest is the daemon's to do, and ours to check.
        states = filters.get("status", [])
        return [one for one in self.listed if not isinstance(one, dict) or one["State"] in states]

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self.forbids_events:
            return web.Response(status=403)
        if self.hangs_at_events:
            await self._goes_on.wait()
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        stream: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._streams[stream] = json.loads(request.query.get("filters", "{}"))
        self.listened.set()
        try:
            while (event := await stream.get()) is not None:
                await response.write(event)
        finally:
            del self._streams[stream]
        return response


@contextlib.asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[Engine]:
    """Run a daemon within the block."""
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()
