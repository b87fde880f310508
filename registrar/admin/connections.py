"""Bounds what clients of the admin port may hold: connections, time, and answers not fetched.

Whoever is new gets in: a probe of the kubelet must never wait for clients that do nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

MOST_CONNECTIONS = 64
IDLE_S = 90.0
"""A client has so long to send a request, and to fetch the answer. Prometheus asks each minute."""
MOST_UNREAD_BYTES = 64 * 1024 * 1024
"""Of all answers together that nobody fetches."""

Make = Callable[[], asyncio.Protocol]


class Connections:
    """The open connections, the oldest first."""

    def __init__(self) -> None:
        self._idle: dict[asyncio.Transport, asyncio.TimerHandle | None] = {}

    def watching(self, make: Make) -> Make:
        """Return what makes the same protocols, and has their connections counted."""
        return lambda: _Watched(make(), self)

    @web.middleware
    async def handling(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request take its time once it has come."""
        transport = request.transport
        if transport not in self._idle:  # the unix socket's, or one that has gone
            return await handler(request)
        self._rest(transport)
        try:
            return await handler(request)
        finally:
            if transport in self._idle:
                self._begin(transport)

    def opened(self, transport: asyncio.Transport) -> None:
        """Count a connection; where there are too many, the longest idle goes, else the oldest."""
        if len(self._idle) >= MOST_CONNECTIONS:
            idle = (one for one, timer in self._idle.items() if timer is not None)
            self._drop(next(idle, next(iter(self._idle))))
        self._begin(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        """Forget a connection."""
        self._rest(transport)
        self._idle.pop(transport, None)

    def drop_unread(self) -> None:
        """Give up those who have most to fetch, until all together is not too much."""
        unread = {one: one.get_write_buffer_size() for one in self._idle}
        while sum(unread.values()) > MOST_UNREAD_BYTES:
            largest = max(unread, key=lambda one: unread[one])
            del unread[largest]
            self._drop(largest)

    def _begin(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        self._idle.pop(transport, None)
        self._idle[transport] = loop.call_later(IDLE_S, self._drop, transport)

    def _rest(self, transport: asyncio.Transport) -> None:
        timer = self._idle.get(transport)
        if timer is not None:
            timer.cancel()
            self._idle[transport] = None

    def _drop(self, transport: asyncio.Transport) -> None:
        self.closed(transport)
        transport.abort()


class _Watched(asyncio.Protocol):
    """A protocol whose connection is counted."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._connections = connections
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self.data_received = inner.data_received  # type: ignore[method-assign]  # nothing is added
        self.eof_received = inner.eof_received  # type: ignore[method-assign]  # as above
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]  # as above

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  as for every stream
        self._transport = transport
        self._connections.opened(transport)
        self._inner.connection_made(transport)

    def pause_writing(self) -> None:
        self._inner.pause_writing()
        self._connections.drop_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._connections.closed(self._transport)
        self._inner.connection_lost(exc)
