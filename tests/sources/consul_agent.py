"""A Consul agent that answers as it is told: well, badly, slowly or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qs, urlsplit

from registrar.model import Backend

T = TypeVar("T")

Fields: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def index(self) -> int:
        return int(self.query.get("index", "0"))


@dataclass(frozen=True)
class Said:
    """One response; `trickle` sends a byte at a time, for ever."""

    body: bytes | str | Sequence[Mapping[str, Any]] = ()
    index: str = "7"
    status: int = 200
    headers: Fields = field(default_factory=dict)
    trickle: bool = False

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(list(self.body))).encode()


Script: TypeAlias = Callable[[Asked], Said | None]


class ScriptedAgent:
    """Serves what `instances` holds, by the rules of blocking queries, unless `script` says else.

    A script that returns None leaves the request without an answer.
    """

    def __init__(self) -> None:
        self.instances: Sequence[Mapping[str, Any]] = ()
        self.index = 7
        self.script: Script | None = None
        self.asked: list[Asked] = []
        self.port = 0
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, again at the same place; if it does already it goes on."""
        if self._server is not None:
            return
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            self._server = None

    async def set(self, *instances: Mapping[str, Any]) -> None:
        """Serve these from now on."""
        async with self._changed:
            self.instances = instances
            self.index += 1
            self._changed.notify_all()

    def count(self, *, blocking: bool) -> int:
        return sum((asked.index > 0) == blocking for asked in self.asked)

    async def until_asked(self, count: int, *, blocking: bool = True) -> None:
        """Wait until so many questions have come."""
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: self.count(blocking=blocking) >= count)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while (asked := await self._read(reader)) is not None:
                self.asked.append(asked)
                async with self._changed:
                    self._changed.notify_all()
                said = await self._unless_given_up(reader, self._said(asked))
                if said is None:
                    return
                await self._say(writer, said)
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._serving.discard(task)

    async def _unless_given_up(self, reader: asyncio.StreamReader, work: Awaitable[T]) -> T | None:
        doing = asyncio.ensure_future(work)
        given_up = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({doing, given_up}, return_when=asyncio.FIRST_COMPLETED)
            return doing.result() if doing.done() else None
        finally:
            doing.cancel()
            given_up.cancel()
            await asyncio.gather(doing, given_up, return_exceptions=True)

    async def _said(self, asked: Asked) -> Said:
        if self.script is not None:
            if (said := self.script(asked)) is None:
                await asyncio.Event().wait()
            assert said is not None
            return said
        if asked.index:
            async with self._changed:
                await self._changed.wait_for(lambda: self.index > asked.index)
        return Said(self.instances, str(self.index))

    async def _read(self, reader: asyncio.StreamReader) -> Asked | None:
        line = await reader.readline()
        if not line:
            return None
        parts = urlsplit(line.split()[1].decode())
        headers: dict[str, str] = {}
        while (line := await reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        found = parse_qs(parts.query, keep_blank_values=True)
        return Asked(parts.path, {k: ",".join(v) for k, v in found.items()}, headers)

    async def _say(self, writer: asyncio.StreamWriter, said: Said) -> None:
        content = said.content
        length = 1_000_000 if said.trickle else len(content)
        fields = {"Content-Length": str(length), **said.headers}
        if said.index:
            fields["X-Consul-Index"] = said.index
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {said.status} Whatever\r\n{head}\r\n".encode())
        while said.trickle:  # until whoever asked has gone
            writer.write(content[:1])
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(content)
        await writer.drain()


def instance(
    address: str = "10.20.0.1",
    port: int | None = 8080,
    *statuses: str,
    node: Mapping[str, Any] | None = None,
    checks: Sequence[Mapping[str, Any]] | None = None,
    **service: object,
) -> dict[str, Any]:
    """Return one instance as Consul lists it; `statuses` are those of its checks."""
    found = [{"CheckID": f"c{n}", "Status": status} for n, status in enumerate(statuses)]
    return {
        "Node": {"Node": "n1", "Address": "10.20.9.9", "Meta": {"consul-version": "1"}}
        | dict(node or {}),
        "Service": {"ID": f"web-{address}", "Service": "web", "Address": address, "Tags": []}
        | ({} if port is None else {"Port": port})
        | service,
        "Checks": list(checks) if checks is not None else found,
    }


def instances(backends: Sequence[Backend]) -> list[dict[str, Any]]:
    """Return backends as Consul lists them."""
    return [instance(str(one.address), one.port) for one in backends]
