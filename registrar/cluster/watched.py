"""Keeps the objects of one kind in one scope as they are: a list, then a watch, for ever.

While the API server is away it keeps what it had; it never turns silence into deletion.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import Generic, Literal

import msgspec
import structlog

from registrar.backoff import Backoff
from registrar.cluster.client import Client, ObjectT, Resource, Scope, error_of
from registrar.cluster.objects import Status
from registrar.errors import ClusterBusy, ClusterError, Expired

PAGE = 500
WATCH_S = (240, 360)
FIRST_RETRY_S = 0.2
MOST_RETRY_S = 30.0

log = structlog.get_logger()


class _Event(msgspec.Struct, frozen=True):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class Watched(Generic[ObjectT]):
    """The objects of a kind, by the names of the Services that they concern.

    `service_of` says which Service that is, None for an object of no interest; where they concern
    no Service, any name of what they do concern will do. `changed` is called
    with it after a change, and with each of `wanted` once all are listed, and when the cluster
    falls silent or is heard again. `synced` is set once they have been listed; `error` says why the
    cluster is not heard now.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource[ObjectT],
        scope: Scope,
        wanted: frozenset[str],
        service_of: Callable[[ObjectT], str | None],
        changed: Callable[[str], None],
        rng: Random,
    ) -> None:
        self.synced = asyncio.Event()
        self.tried = asyncio.Event()
        self.error: ClusterError | None = None
        self._client = client
        self._resource = resource
        self._scope = scope
        self._wanted = wanted
        self._service_of = service_of
        self._changed = changed
        self._rng = rng
        self._objects: dict[str, ObjectT] = {}
        self._by_service: dict[str, dict[str, ObjectT]] = {}
        self._gone: dict[str, int] = {}  # what we know to be gone before the watch has told of it
        self._position = -1  # how far the watch, or the list, has told us everything
        self._version = ""
        self._decoder = msgspec.json.Decoder(resource.type)
        self._log = log.bind(resource=resource.name, namespace=scope.namespace or None)

    def get(self, name: str) -> ObjectT | None:
        """Return the object as last heard of, None if there is none."""
        return self._objects.get(name)

    def of(self, service: str) -> tuple[ObjectT, ...]:
        """Return the objects that concern a Service, by name."""
        found = self._by_service.get(service, {})
        return tuple(found[name] for name in sorted(found))

    @property
    def all(self) -> tuple[ObjectT, ...]:
        """All objects, by name."""
        return tuple(self._objects[name] for name in sorted(self._objects))

    @property
    def services(self) -> frozenset[str]:
        """The names of all Services that an object concerns."""
        return frozenset(self._by_service)

    def put(self, new: ObjectT) -> None:
        """Note what the API server has stored for us, unless something newer is known.

        Nobody is told of it: whoever wrote it knows.
        """
        version = _number(new.metadata.resource_version)
        if new.metadata.name in self._objects or version > self._position:
            self._put(new)

    def remove(self, known: ObjectT) -> None:
        """Note that an object is gone, unless something newer than `known` is there. As `put`."""
        name, version = known.metadata.name, _number(known.metadata.resource_version)
        self._gone[name] = max(version, self._gone.get(name, -1))
        self._remove(name, version)

    def _put(self, new: ObjectT) -> tuple[str, ...]:
        """Note an object; return the names of the Services that are concerned."""
        name, version = new.metadata.name, _number(new.metadata.resource_version)
        old = self._objects.get(name)
        if old is not None and version <= _number(old.metadata.resource_version):
            return ()
        if version <= self._gone.get(name, -1):
            return ()
        return self._set(name, old, new)

    def _remove(self, name: str, version: int) -> tuple[str, ...]:
        old = self._objects.get(name)
        if old is None or version < _number(old.metadata.resource_version):
            return ()
        return self._set(name, old, None)

    def _set(self, name: str, old: ObjectT | None, new: ObjectT | None) -> tuple[str, ...]:
        before = None if old is None else self._service_of(old)
        after = None if new is None else self._service_of(new)
        if before is not None:
            del self._by_service[before][name]
            if not self._by_service[before]:
                del self._by_service[before]
        if new is None or after is None:
            self._objects.pop(name, None)
        else:
            self._objects[name] = new
            self._by_service.setdefault(after, {})[name] = new
        return tuple(service for service in dict.fromkeys((before, after)) if service is not None)

    def _tell(self, services: Iterable[str]) -> None:
        for service in services:
            self._changed(service)

    async def run(self) -> None:
        """List and watch until cancelled."""
        backoff = Backoff(FIRST_RETRY_S, MOST_RETRY_S, self._rng)
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            retry_after = None
            try:
                if not self._version:
                    await self._list()
                    self._heard()
                await self._watch(backoff)
            except Expired as error:
                if not self._version:  # the list itself took too long
                    self._unheard(error)
                self._version = ""
            except ClusterError as error:
                self._unheard(error)
                retry_after = error.retry_after if isinstance(error, ClusterBusy) else None
            self.tried.set()
            if loop.time() - began >= MOST_RETRY_S:  # a quiet watch is no failure
                backoff.reset()
            await asyncio.sleep(backoff.next(retry_after))

    async def _list(self) -> None:
        found: dict[str, ObjectT] = {}
        token = ""
        while True:
            page = await self._client.list_page(self._resource, self._scope, PAGE, token)
            found.update((o.metadata.name, o) for o in page.items if self._service_of(o))
            token = page.metadata.continue_
            if not token:
                break
        self._version = page.metadata.resource_version
        for item in found.values():
            self._tell(self._put(item))
        for name in self._objects.keys() - found.keys():
            self._tell(self._remove(name, _number(self._version)))
        self._reach(self._version)
        if not self.synced.is_set():
            self.synced.set()
            self._tell(self._wanted)

    async def _watch(self, backoff: Backoff) -> None:
        seconds = self._rng.randint(*WATCH_S)
        opened = self._client.watch(self._resource, self._scope, self._version, seconds)
        async with opened as lines:
            self._heard()
            async for line in lines:
                self._apply(line)
                backoff.reset()

    def _apply(self, line: bytes) -> None:
        try:
            event = msgspec.json.decode(line, type=_Event)
            if event.type == "ERROR":
                raise error_of(msgspec.json.decode(event.object, type=Status))
            item = self._decoder.decode(event.object)
        except msgspec.MsgspecError as error:
            # What can't be read may have been a change: only a list is sure to show it.
            self._version = ""
            raise ClusterBusy(f"a watch event can't be read: {error}") from None
        self._version = item.metadata.resource_version
        if event.type in {"ADDED", "MODIFIED"}:
            self._tell(self._put(item))
        elif event.type == "DELETED":
            self._tell(self._remove(item.metadata.name, _number(self._version)))
        self._reach(self._version)

    def _reach(self, version: str) -> None:
        self._position = max(self._position, _number(version))
        if self._gone:
            passed = [name for name, gone in self._gone.items() if gone < self._position]
            for name in passed:
                del self._gone[name]

    def _heard(self) -> None:
        if self.error is not None:
            self._log.info("cluster-recovered")
            self.error = None
            self._tell(self._wanted)
        self.tried.set()

    def _unheard(self, error: ClusterError) -> None:
        if str(error) == str(self.error):
            return
        self._log.warning("cluster-unheard", error=str(error))
        self.error = error
        self._tell(self._wanted)


def _number(version: str) -> int:
    # Comparable as integers since Kubernetes 1.35 by contract (KEP-5504), and before in fact.
    return int(version) if version.isdigit() else 0
