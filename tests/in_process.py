"""Carries registrar's requests to an API server in the same process, in whatever time its loop has.

It must never be kinder than the network: what HttpTransport gives up on, it gives up on as late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from http import HTTPStatus

import msgspec

from registrar.cluster.transport import REQUEST_TIMEOUT_S, SILENCE_S, Reply, Request
from registrar.embedded import ApiServer, ConnectionLost
from registrar.embedded import Request as ApiRequest
from registrar.embedded import Response as ApiResponse
from registrar.errors import ClusterUnreachable


class InProcessTransport:
    """A Transport to an ApiServer, under a user agent by which faults can be meant for it alone.

    Answers, once given, are `late_s` seconds on their way.
    """

    def __init__(self, api: ApiServer, user_agent: str) -> None:
        self.server = "https://cluster.example"
        self.late_s = 0.0
        self._api = api
        self._agent = user_agent
        self._streams: list[tuple[str, _Stream]] = []

    async def aclose(self) -> None:
        """There is no connection to close."""

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[Reply]:
        """Send a request. Raise ClusterUnreachable where no answer comes."""
        with _translated(self.server):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                response = await self._api.handle(_encoded(request, self._agent))
                # Others always get a turn before an answer is there, as on a network.
                await asyncio.sleep(self.late_s)
            if isinstance(response.body, bytes):
                yield _Whole(response)
                return
            async with _streaming(response, response.body) as stream:
                entry = (request.target.partition("?")[0].rpartition("/")[2], stream)
                self._streams.append(entry)
                try:
                    yield stream
                finally:
                    self._streams.remove(entry)

    def inject(self, resource: str, line: bytes | None) -> None:
        """Have the open watches of a resource say a line that the server never would, or end."""
        for watched, stream in self._streams:
            if watched == resource:
                stream.lines.put_nowait(None if line is None else line + b"\n")


def _encoded(request: Request, agent: str) -> ApiRequest:
    headers = {
        "user-agent": agent,
        "accept": "application/json",
        "content-type": request.media,
    }
    asked = ApiRequest.to(request.method, request.target, headers=headers)
    return asked if request.body is None else replace(asked, body=msgspec.json.encode(request.body))


class _Head:
    def __init__(self, response: ApiResponse) -> None:
        self.status = response.status
        self.reason = HTTPStatus(response.status).phrase
        # aiohttp's headers are known by any spelling; these by the one in which they are asked for.
        self.headers: Mapping[str, str] = {
            name.title(): value for name, value in response.headers.items()
        }


class _Whole(_Head):
    """An answer that is there as a whole."""

    def __init__(self, response: ApiResponse) -> None:
        super().__init__(response)
        self._data = response.data

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._data


class _Stream(_Head):
    """A watch: what the server says and what is injected, until the end (None) or a break."""

    def __init__(self, response: ApiResponse) -> None:
        super().__init__(response)
        self.lines: asyncio.Queue[bytes | ConnectionLost | None] = asyncio.Queue()

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        async with asyncio.timeout(SILENCE_S):
            line = await self.lines.get()
        if line is None:
            raise StopAsyncIteration
        if isinstance(line, ConnectionLost):
            raise line
        return line

    async def pump(self, body: AsyncGenerator[bytes]) -> None:
        try:
            async for line in body:
                self.lines.put_nowait(line)
        except ConnectionLost as error:
            self.lines.put_nowait(error)
        else:
            self.lines.put_nowait(None)


@asynccontextmanager
async def _streaming(response: ApiResponse, body: AsyncGenerator[bytes]) -> AsyncGenerator[_Stream]:
    stream = _Stream(response)
    async with aclosing(body):
        pump = asyncio.create_task(stream.pump(body))
        try:
            yield stream
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)


@contextmanager
def _translated(server: str) -> Generator[None]:
    try:
        yield
    except TimeoutError:
        raise ClusterUnreachable(f"{server}: no answer in time") from None
    except ConnectionLost as error:
        raise ClusterUnreachable(f"{server}: {error}") from None
