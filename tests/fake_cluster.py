"""A small API server in memory, for the tests of what watches and writes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from msgspec.structs import replace

from registrar.cluster.client import (
    ENDPOINTS,
    SERVICES,
    SLICES,
    Client,
    ObjectList,
    ObjectT,
    Resource,
)
from registrar.cluster.objects import ApiObject, Endpoints, EndpointSlice, ListMeta, Service
from registrar.errors import Conflict, Expired, NotFound
from tests.fakes import KEY, pass_time

_Place = tuple[str, str, str]
_RESOURCES: dict[type[ApiObject], str] = {
    Service: SERVICES.name,
    Endpoints: ENDPOINTS.name,
    EndpointSlice: SLICES.name,
}


class FakeCluster(Client):
    """An API server in memory: Services and Endpoints, resourceVersions, pages, watches.

    `errors` says what the next requests of a verb come to instead, `refuse` what all requests of
    a namespace do; while it is `deaf`, watches hear nothing. `writes` notes what was written.
    `set` and `drop` are what others do to the objects.
    """

    def __init__(self) -> None:  # there is no connection to make
        self.errors: dict[str, list[Exception]] = defaultdict(list)
        self.refuse: dict[str, Exception] = {}
        self.deaf = False
        self.requests: list[str] = []
        self.writes: list[ApiObject] = []
        self.page = 500
        self.list_seconds = self.get_seconds = 0.0
        self._version = 100
        self._objects: dict[_Place, ApiObject] = {}
        self._events: list[tuple[int, _Place, bytes]] = []
        self._oldest = 0
        self._watches: list[tuple[_Place, asyncio.Queue[bytes | Exception | None]]] = []

    @property
    def server(self) -> str:
        return "https://cluster.example"

    # --- what others do ------------------------------------------------------------------------

    def set(self, item: ObjectT) -> ObjectT:
        place = (_RESOURCES[type(item)], item.metadata.namespace, item.metadata.name)
        before = self._objects.get(place)
        self._version += 1
        uid = before.metadata.uid if before else item.metadata.uid or f"uid-{self._version}"
        meta = replace(item.metadata, uid=uid, resource_version=str(self._version))
        item = replace(item, metadata=meta)
        self._objects[place] = item
        self._tell("MODIFIED" if before else "ADDED", place, item)
        return item

    def drop(self, kind: type[ApiObject], name: str, namespace: str = KEY.namespace) -> None:
        place = (_RESOURCES[kind], namespace, name)
        item = self._objects.pop(place)
        self._version += 1
        meta = replace(item.metadata, resource_version=str(self._version))
        self._tell("DELETED", place, replace(item, metadata=meta))

    def find(self, kind: type[ObjectT], name: str, namespace: str) -> ObjectT | None:
        found = self._objects.get((_RESOURCES[kind], namespace, name))
        return found if isinstance(found, kind) else None

    def tell(self, kind: type[ApiObject], line: bytes | Exception | None) -> None:
        """Have the watches say a line, fail, or (None) end."""
        for (resource, _, _), lines in list(self._watches):
            if resource == _RESOURCES[kind]:
                lines.put_nowait(line)

    def forget_events(self) -> None:
        """Have every resourceVersion until now be too old for a watch."""
        self._oldest = self._version

    def watching(self, kind: type[ApiObject]) -> int:
        return sum(resource == _RESOURCES[kind] for (resource, _, _), _ in self._watches)

    # --- what registrar asks -------------------------------------------------------------------

    async def list_page(
        self, resource: Resource[ObjectT], namespace: str, limit: int, token: str
    ) -> ObjectList[ObjectT]:
        self._begin("list", resource.name, namespace)
        await pass_time(self.list_seconds)
        there = [o for o in self._objects.values() if isinstance(o, resource.type)]
        found = sorted(
            (o for o in there if o.metadata.namespace == namespace), key=lambda o: o.metadata.name
        )
        begin = int(token or 0)
        end = begin + min(limit, self.page)
        rest = str(end) if end < len(found) else ""
        meta = ListMeta(resource_version=str(self._version), continue_=rest)
        return ObjectList(tuple(found[begin:end]), meta)

    async def get(self, resource: Resource[ObjectT], namespace: str, name: str) -> ObjectT:
        self._begin("get", resource.name, namespace)
        found = self._objects.get((resource.name, namespace, name))
        await pass_time(self.get_seconds)
        if not isinstance(found, resource.type):
            raise NotFound(f'{resource.name} "{name}" not found')
        return found

    async def create(self, resource: Resource[ObjectT], new: ObjectT) -> ObjectT:
        self._begin("create", resource.name, new.metadata.namespace)
        if (resource.name, new.metadata.namespace, new.metadata.name) in self._objects:
            raise Conflict(f'{resource.name} "{new.metadata.name}" already exists')
        return self._write(new)

    async def replace(self, resource: Resource[ObjectT], new: ObjectT) -> ObjectT:
        self._begin("replace", resource.name, new.metadata.namespace)
        place = (resource.name, new.metadata.namespace, new.metadata.name)
        if place not in self._objects:
            raise NotFound(f'{resource.name} "{new.metadata.name}" not found')
        stored = self._objects[place].metadata
        sent = new.metadata
        if (sent.uid, sent.resource_version) != (stored.uid, stored.resource_version):
            raise Conflict("the object has been modified")
        return self._write(new)

    async def delete(self, resource: Resource[ObjectT], known: ObjectT) -> None:
        self._begin("delete", resource.name, known.metadata.namespace)
        place = (resource.name, known.metadata.namespace, known.metadata.name)
        if place not in self._objects:
            raise NotFound(f'{resource.name} "{known.metadata.name}" not found')
        stored = self._objects[place].metadata
        if (known.metadata.uid, known.metadata.resource_version) != (
            stored.uid,
            stored.resource_version,
        ):
            raise Conflict("the object has been modified")
        self.writes.append(known)
        self.drop(resource.type, known.metadata.name, known.metadata.namespace)

    @asynccontextmanager
    async def watch(
        self, resource: Resource[ObjectT], namespace: str, version: str, seconds: int
    ) -> AsyncGenerator[AsyncGenerator[bytes]]:
        del seconds
        self._begin("watch", resource.name, namespace)
        if int(version) < self._oldest:
            raise Expired("too old resource version")
        lines: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        for since, (name, where, _), line in self._events:
            if since > int(version) and (name, where) == (resource.name, namespace):
                lines.put_nowait(line)
        entry = ((resource.name, namespace, ""), lines)
        self._watches.append(entry)
        try:
            yield _until_none(lines)
        finally:
            self._watches.remove(entry)

    def _begin(self, verb: str, resource: str, namespace: str) -> None:
        self.requests.append(f"{verb} {resource}")
        if namespace in self.refuse:
            raise self.refuse[namespace]
        for key in (verb, f"{verb} {resource}"):
            if self.errors[key]:
                raise self.errors[key].pop(0)

    def _write(self, new: ObjectT) -> ObjectT:
        stored = self.set(new)
        self.writes.append(stored)
        return stored

    def _tell(self, kind: str, place: _Place, item: ApiObject) -> None:
        line = msgspec.json.encode({"type": kind, "object": item})
        if self.deaf:
            return
        self._events.append((self._version, place, line))
        for (resource, namespace, _), lines in self._watches:
            if (resource, namespace) == place[:2]:
                lines.put_nowait(line)


async def _until_none(lines: asyncio.Queue[bytes | Exception | None]) -> AsyncGenerator[bytes]:
    while (line := await lines.get()) is not None:
        if isinstance(line, Exception):
            raise line
        yield line
