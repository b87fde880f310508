"""Instances of a service in Consul, watched.

An answer is always a fresh one of the servers' leader. A blocking query only says when to ask:
an agent may fill it from a view of its own, which doesn't tell what an ACL has hidden.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from registrar.model import Answer
from registrar.source import (
    Context,
    Count,
    Duration,
    HttpClient,
    Options,
    Part,
    Query,
    Source,
    Text,
    Tls,
    Url,
    read_secret,
    wrong,
)
from sources.consul.agents import Agents, Question
from sources.consul.records import Reading, Treatment, read_instances

AT_ONCE = 50
"""So many questions are asked at once. An agent refuses more than 200 connections of one client,
of which `watches` are held all the time."""

BURST = 10
REFILL_S = 1.0
"""How often a watched service may change: so many times in a row, then once in so many seconds."""

WAIT_JITTER = 0.1
SERVERS_JITTER = 1 / 16
"""By so much of `wait` may a server answer later."""


def _urls(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _url(value: str) -> str:
    if urlsplit(value).query:
        raise wrong("not an agent's URL", "write one such as https://consul.example:8501")
    return value.rstrip("/")


def _service(value: str) -> str:
    if "/" in value or value in {".", ".."}:
        raise wrong("not the name of a service", "write it as `consul catalog services` does")
    return value


AgentUrl = Annotated[Url, AfterValidator(_url)]
Urls = Annotated[
    tuple[AgentUrl, ...],
    BeforeValidator(_urls),
    Field(min_length=1, max_length=10),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "uri"},
                {"type": "array", "minItems": 1, "items": {"type": "string", "format": "uri"}},
            ]
        }
    ),
]


class ConsulOptions(Options):
    """Which agents are asked, as whom, and how.

    `url`: one, or several of one datacenter, of which any may answer. `consistency`: whether the
    leader makes sure that it still leads (`consistent`), or watches may hang on any server
    (`stale`). `wait`: how long a watch hangs. `watches`: how many there are at most.
    """

    url: Urls
    token_file: Text | None = None
    tls: Tls = Tls()
    consistency: Literal["default", "consistent", "stale"] = "default"
    wait: Annotated[Duration, Field(le=600)] = 60.0
    watches: Count = 100


class ConsulQuery(Query):
    """One service, what narrows it down, and what its records mean here."""

    service: Annotated[Text, AfterValidator(_service)]
    tags: tuple[Text, ...] = ()
    filter: Text | None = None
    datacenter: Text | None = None
    namespace: Text | None = None
    partition: Text | None = None
    tagged_address: Text | None = None
    warning: Treatment = "up"
    critical: Literal["down", "omit"] = "down"
    zone_meta: Text | None = None


class ConsulSource(Source[ConsulOptions, ConsulQuery]):
    """Asks for the health of a service's instances, and waits for it to change."""

    options_class = ConsulOptions
    query_class = ConsulQuery
    tells_health = True

    def __init__(self, options: ConsulOptions, context: Context) -> None:
        super().__init__(options, context)
        self._http = HttpClient(context, options.tls)
        self._agents = Agents(options.url, self._http)
        self._asking = asyncio.Semaphore(AT_ONCE)
        self._watching = asyncio.Semaphore(options.watches)

    async def discover(self, part: Part[ConsulQuery]) -> Answer:
        """Return what the leader says now."""
        _, _, answer = await self._ask(part.query)
        return answer

    async def watch(self, part: Part[ConsulQuery]) -> AsyncGenerator[Answer]:
        """Yield a fresh answer whenever Consul says that there is a newer one.

        Raise SourceError if it can't be told: what comes after that begins from nothing.
        """
        # Whoever finds no room is polled meanwhile.
        async with self._watching:
            bucket = _Bucket()
            url, index = "", 0
            while True:
                await bucket.take()
                newer = await self._wait(url, part.query, index) if index else 0
                if index and newer == index:
                    continue  # the wait was over
                url, first, answer = await self._ask(part.query)
                # What went back is not to be waited for.
                index = newer if newer > index else first
                yield answer

    async def warnings(self, query: ConsulQuery) -> Sequence[str]:
        """Return where the token goes unencrypted."""
        del query
        if self.options.token_file is None:
            return ()
        return [
            f"{url}: the token is sent unencrypted; use https"
            for url in self.options.url
            if url.startswith("http:")
        ]

    async def _ask(self, query: ConsulQuery) -> tuple[str, int, Answer]:
        # Without `leader`, discovery_max_stale of an agent's own configuration would apply.
        mode = "consistent" if self.options.consistency == "consistent" else "leader"
        async with self._asking:
            url, reply = await self._agents.ask(
                _question(query, mode), await self._token(), self.options.timeout
            )
        reading = Reading(query.tagged_address, query.warning, query.critical, query.zone_meta)
        return url, reply.index, read_instances(reply.body, reading)

    async def _wait(self, url: str, query: ConsulQuery, index: int) -> int:
        """Return the index of what is newer than `index`, or that itself if nothing is in time."""
        mode = {"default": "leader"}.get(self.options.consistency, self.options.consistency)
        longest = self.options.wait
        reply = await self._agents.ask_one(
            url,
            _question(query, mode),
            await self._token(),
            longest * (1 + SERVERS_JITTER) + self.options.timeout,
            index=index,
            wait=longest * random.uniform(1 - WAIT_JITTER, 1),  # noqa: S311  no secret
        )
        return reply.index

    async def _token(self) -> str | None:
        file = self.options.token_file
        return None if file is None else await read_secret(self.context, file)


def _question(query: ConsulQuery, mode: str) -> Question:
    more = {"ns": query.namespace, "partition": query.partition}
    given = ((key, value) for key, value in more.items() if value is not None)
    return Question(query.service, query.tags, query.datacenter, query.filter, ((mode, ""), *given))


class _Bucket:
    """Lets through a burst, then one in a while: a server's bad index makes no busy loop."""

    def __init__(self) -> None:
        self._tokens = float(BURST)
        self._filled = asyncio.get_running_loop().time()

    async def take(self) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(float(BURST), self._tokens + (now - self._filled) / REFILL_S)
        self._filled = now
        if self._tokens < 1:
            await asyncio.sleep((1 - self._tokens) * REFILL_S)
        self._tokens -= 1
