"""An HTTP server on the loopback address that answers to the byte what a test tells it to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

Play = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


class Request:
    """What was asked: the target as it was sent, and the headers in lower case."""

    def __init__(self, head: bytes) -> None:
        first, *lines = head.decode().strip().split("\r\n")
        self.method, self.target, _ = first.split(" ", 2)
        parts = (line.partition(":") for line in lines)
        self.headers = {name.lower(): value.strip() for name, _, value in parts}


class Loopback:
    """Plays `play` for each request; `requests` are all that came, `connections` their count."""

    def __init__(self) -> None:
        self.play: Play = reply(200, b"[]")
        self.requests: list[Request] = []
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tls: ssl.SSLContext | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, at the same port as before if it did."""
        self._tls = tls
        # A socket of its own, for what is asked of a port that it left open must be refused.
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections, and break those that are open."""
        if self._server is not None:
            self._server.close()
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._server = None

    @property
    def is_listening(self) -> bool:
        """Whether it accepts connections."""
        return self._server is not None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                while True:
                    request = Request(await reader.readuntil(b"\r\n\r\n"))
                    self.requests.append(request)
                    playing = asyncio.ensure_future(self.play(request, writer))
                    leaving = asyncio.ensure_future(_left(reader))
                    try:
                        await asyncio.wait([playing, leaving], return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        leaving.cancel()
                        if not playing.done():
                            playing.cancel()
                        await asyncio.gather(playing, leaving, return_exceptions=True)
                    if reader.at_eof() or writer.is_closing():
                        return
        finally:
            writer.transport.abort()


async def _left(reader: asyncio.StreamReader) -> None:
    """Return once whoever asked has closed the connection."""
    while not reader.at_eof() and reader.exception() is None:  # noqa: ASYNC110  it has no event
        await asyncio.sleep(0.005)


@asynccontextmanager
async def loopback(tls: ssl.SSLContext | None = None) -> AsyncIterator[Loopback]:
    """Run a server for the block."""
    server = Loopback()
    await server.start(tls)
    try:
        yield server
    finally:
        await server.stop()


def reply(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Play:
    """Answer so, each time."""
    given = {"Content-Length": str(len(body)), **(headers or {})}
    head = f"HTTP/1.1 {status} Whatever\r\n" + "".join(f"{k}: {v}\r\n" for k, v in given.items())
    return send(head.encode() + b"\r\n" + body, close=False)


def send(content: bytes, *, close: bool = True) -> Play:
    """Send these bytes, and close the connection after them."""

    async def play(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        if close:
            writer.close()

    return play


async def hang(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """Say nothing."""
    await asyncio.Event().wait()


async def reset(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Break the connection off."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def trickle(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Send as much as is read, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
    while True:
        writer.write(b'"' + b"x" * 65_536 + b'",')
        await writer.drain()
