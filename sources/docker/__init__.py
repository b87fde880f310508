"""Containers on Docker hosts, by the Engine API: listed anew at every event, never touched.

An event is a hint to list. A daemon that can't be heard is not knowing, however its host fares.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from registrar.errors import SourceError
from registrar.model import Answer
from registrar.source import (
    Context,
    Options,
    Part,
    PortNumber,
    Query,
    Source,
    Text,
    Tls,
    TlsReader,
    wrong,
)
from sources.docker.containers import Recall, Wanted
from sources.docker.daemon import Daemon
from sources.docker.host import DockerHost

BURST_S = 0.05
"""Events that come together cost one list."""

AGAIN_S = (0.2, 1.0)
"""So long after a list it is asked for again: a death is told before the list shows it."""


class DockerOptions(Options):
    """Which daemons are asked, each of them a part. `tls` is for all that are not unix sockets."""

    hosts: Annotated[tuple[DockerHost, ...], Field(min_length=1)]
    tls: Tls | None = None

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        urls = [host.url for host in self.hosts]
        twice = next((url for url in urls if urls.count(url) > 1), None)
        if twice is not None:
            raise wrong(f"ambiguous: {twice} stands twice among `hosts`", "keep one of them")
        return self


def _labels(value: object) -> tuple[tuple[str, str], ...]:
    # As pairs: a query is hashed.
    if isinstance(value, dict) and value and all(isinstance(v, str) for v in value.values()):
        return tuple(value.items())
    raise wrong("not labels", "write names and values as text: {app: web, tier: '1'}")


Labels = Annotated[
    tuple[tuple[str, str], ...],
    BeforeValidator(_labels),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]


class DockerQuery(Query):
    """Which containers, all conditions together, and where they are reached.

    `project` and `service` are Compose's. `network`: by their own address in it; without it, by
    what they publish of `containerPort`, or of their only port, on an address of the host.
    """

    labels: Labels = ()
    name: Text | None = None
    project: Text | None = None
    service: Text | None = None
    network: Text | None = None
    container_port: PortNumber | None = None
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if not (self.labels or self.name or self.project or self.service or self.network):
            raise wrong(
                "incomplete: it takes every container",
                "give labels, name, project, service or network",
            )
        if self.network and self.container_port is None:
            raise wrong("incomplete: network without containerPort", "give the containers' port")
        return self

    def wanted(self) -> Wanted:
        """Return the same with Compose's names as the labels that they are."""
        compose = {"project": self.project, "service": self.service}
        named = {f"com.docker.compose.{key}": value for key, value in compose.items() if value}
        return Wanted(
            tuple((dict(self.labels) | named).items()),
            self.name,
            self.network,
            self.container_port,
            self.protocol,
        )


class DockerSource(Source[DockerOptions, DockerQuery]):
    """Lists containers, and lists them again as soon as a daemon tells that something happened."""

    options_class = DockerOptions
    query_class = DockerQuery
    tells_health = True

    def __init__(self, options: DockerOptions, context: Context) -> None:
        super().__init__(options, context)
        # A client for each: a host that hangs costs the others nothing.
        tls = TlsReader(options.tls or Tls(), context)
        scheme = "http" if options.tls is None else "https"
        self._daemons = {host.url: Daemon(host, context, tls, scheme) for host in options.hosts}
        self._recalls: dict[Part[DockerQuery], Recall] = {}

    def parts(self, query: DockerQuery) -> Sequence[Part[DockerQuery]]:
        """Return a part for each host."""
        return tuple(Part(query, host.url) for host in self.options.hosts)

    async def discover(self, part: Part[DockerQuery]) -> Answer:
        """Return where the containers of one host are reached."""
        daemon, recall = self._daemons[part.name], self._recall(part)
        losses = recall.losses
        try:
            found = await daemon.containers(recall.filters())
        except asyncio.CancelledError:  # its deadline, perhaps
            recall.excuse()
            raise
        except SourceError:
            recall.lose()
            raise
        if losses != recall.losses:
            raise SourceError(f"{part.name}: it went away while it was asked")
        return recall.answer(found)

    async def watch(self, part: Part[DockerQuery]) -> AsyncGenerator[Answer | SourceError]:
        """Yield the host's answer once its events are heard, then after each burst of them."""
        told = asyncio.Event()
        listening = asyncio.create_task(self._listen(part, told))
        listening.add_done_callback(lambda _: told.set())
        try:
            await told.wait()
            again = iter(AGAIN_S)
            while not listening.done():
                told.clear()
                yield await self._discover_in_time(part)
                if await _comes(told, within=next(again, None)):
                    again = iter(AGAIN_S)
                    await asyncio.sleep(BURST_S)
            await listening
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def _recall(self, part: Part[DockerQuery]) -> Recall:
        if part not in self._recalls:
            host = self._daemons[part.name].host
            self._recalls[part] = Recall(host, part.query.wanted())
        return self._recalls[part]

    async def _listen(self, part: Part[DockerQuery], told: asyncio.Event) -> None:
        recall, was_heard = self._recall(part), False

        def hear() -> None:
            nonlocal was_heard
            was_heard = True
            told.set()

        try:
            await self._daemons[part.name].listen(
                recall.wanted.event_filters(), hear, self.options.timeout
            )
        finally:
            if was_heard:
                recall.lose()

    async def _discover_in_time(self, part: Part[DockerQuery]) -> Answer:
        # The deadline of a poll is registrar's; nobody waits for a watch.
        try:
            async with asyncio.timeout(self.options.timeout):
                return await self.discover(part)
        except TimeoutError:
            raise SourceError(f"{part.name}: no answer within {self.options.timeout:g} s") from None


async def _comes(told: asyncio.Event, *, within: float | None) -> bool:
    try:
        async with asyncio.timeout(within):
            return await told.wait()
    except TimeoutError:
        return False
