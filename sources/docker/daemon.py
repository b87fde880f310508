"""One Docker daemon, asked over the Engine API by GET alone.

It never uses a connection twice: a daemon that shuts down takes no new ones, but goes on to answer
on those it has, and says there that its containers have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import httpx
import msgspec

from registrar.errors import MALFORMED, SourceError
from registrar.source import Context, HttpClient, TlsReader, fetch, opened, raw_records
from sources.docker.host import DockerHost

NEWEST = (1, 52)
"""The newest version of the API that this is written for; a newer daemon is asked in this one."""

OLDEST = (1, 24)

SILENCE_S = 60.0
"""Events that are silent for so long are listened to anew: a dead connection is silent too."""

MOST_LINE_BYTES = 1024 * 1024

Filters = Mapping[str, Sequence[str]]


class _Version(msgspec.Struct):
    newest: str = msgspec.field(name="ApiVersion")
    oldest: str = msgspec.field(name="MinAPIVersion", default="1.0")


class Daemon:
    """The daemon of one host."""

    def __init__(self, host: DockerHost, context: Context, tls: TlsReader, scheme: str) -> None:
        self.host = host
        self._base = f"{scheme}{host.url.removeprefix('tcp').rstrip('/')}"
        if host.socket is not None:
            self._base = "http://localhost"
        self._client = HttpClient(context, tls, socket=host.socket)
        self._version: str | None = None

    async def containers(self, filters: Filters) -> list[msgspec.Raw]:
        """Return what `docker ps` would list, each as it came. Raise SourceError."""
        async with self._told_as_ours():
            version = await self._negotiated()
            async with self._client.lent() as client:
                url, params = f"{self._base}/v{version}/containers/json", _params(filters)
                body = (await fetch(client, url, params=params)).body
            try:
                return raw_records(body)
            except MALFORMED as error:
                raise SourceError(f"the list of containers is malformed: {error}") from None

    async def listen(self, filters: Filters, heard: Callable[[], None], within: float) -> None:
        """Call `heard` once events are listened to, and whenever there are some.

        Raise SourceError once they break off, or can't be listened to `within` seconds.
        """
        async with self._told_as_ours():
            while True:
                await self._listen_until_silent(filters, heard, within)

    async def _listen_until_silent(
        self, filters: Filters, heard: Callable[[], None], within: float
    ) -> None:
        now, is_open = asyncio.get_running_loop().time, False
        try:
            async with asyncio.timeout(within) as limit, self._events(filters) as events:
                is_open, unended = True, 0
                limit.reschedule(now() + SILENCE_S)
                heard()
                async for chunk in events.aiter_raw():
                    limit.reschedule(now() + SILENCE_S)
                    _, newline, rest = chunk.rpartition(b"\n")
                    unended = len(rest) if newline else unended + len(rest)
                    if unended > MOST_LINE_BYTES:
                        raise SourceError("an event without an end")
                    if newline:
                        heard()
        except TimeoutError:
            if not is_open:
                raise SourceError(f"no events within {within:g} s") from None
        else:
            raise SourceError("its events have broken off")

    @contextlib.asynccontextmanager
    async def _events(self, filters: Filters) -> AsyncIterator[httpx.Response]:
        url = f"{self._base}/v{await self._negotiated()}/events"
        headers = {"Accept-Encoding": "identity"}
        async with (
            self._client.lent() as client,
            opened(client, url, params=_params(filters), headers=headers) as response,
        ):
            yield response

    async def _negotiated(self) -> str:
        if self._version is None:
            async with self._client.lent() as client:
                url = f"{self._base}/version"
                body = (await fetch(client, url, most_bytes=MOST_LINE_BYTES)).body
            try:
                said = msgspec.json.decode(body, type=_Version)
            except MALFORMED:
                raise SourceError("it says no version as a Docker daemon does") from None
            newest = _numbers(said.newest)
            if newest < OLDEST:
                raise SourceError(f"its API {said.newest} is too old; upgrade it to Docker 1.12")
            chosen = max(min(newest, NEWEST), _numbers(said.oldest))
            self._version = f"{chosen[0]}.{chosen[1]}"
        return self._version

    @contextlib.asynccontextmanager
    async def _told_as_ours(self) -> AsyncIterator[None]:
        """Have errors name the daemon as the configuration does."""
        try:
            yield
        except SourceError as error:
            self._version = None  # it may be another daemon when it is back
            words = re.sub(rf"^{re.escape(self._base)}(/\S*)?: ", "", str(error))
            raise SourceError(f"{self.host.url}: {words}", retry_after=error.retry_after) from None


def _params(filters: Filters) -> dict[str, str]:
    return {"filters": json.dumps(filters)}


def _numbers(version: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})", version)
    if match is None:
        raise SourceError("it says no version as a Docker daemon does")
    return int(match[1]), int(match[2])
