"""Keeps the objects of one kind in one namespace as they are: a list, then a watch, for ever.

While the API server is away it keeps what it had; it never turns silence into deletion.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Generic, Literal

import msgspec
import structlog

from registrar.backoff import Backoff
from registrar.cluster.client import Client, ObjectT, Resource, error_of
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
    """The objects that `wanted` names. `changed` is called with the name of one that changed.

    `synced` is set once they have been listed; `error` says why the cluster is not heard now.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource[ObjectT],
        namespace: str,
        wanted: frozenset[str],
        changed: Callable[[str], None],
        rng: Random,
    ) -> None:
        self.synced = asyncio.Event()
        self.tried = asyncio.Event()
        self.error: ClusterError | None = None
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._wanted = wanted
        self._changed = changed
        self._rng = rng
        self._objects: dict[str, ObjectT] = {}
        self._latest: dict[
            str, int
        ] = {}  # of each name the newest version, also of one that is gone
        self._version = ""
        self._decoder = msgspec.json.Decoder(resource.type)
        self._log = log.bind(resource=resource.name, namespace=namespace)

    def get(self, name: str) -> ObjectT | None:
        """Return the object as last heard of, None if there is none."""
        return self._objects.get(name)

    def put(self, new: ObjectT) -> None:
        """Note an object, unless a newer one is known."""
        name, version = new.metadata.name, _number(new.metadata.resource_version)
        if name in self._wanted and version > self._latest.get(name, -1):
            self._latest[name] = version
            self._objects[name] = new
            self._changed(name)

    def remove(self, name: str, version: str) -> None:
        """Note that an object was gone at `version`, unless a newer one is known."""
        if name in self._wanted and _number(version) >= self._latest.get(name, -1):
            self._latest[name] = _number(version)
            if self._objects.pop(name, None) is not None:
                self._changed(name)

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
            page = await self._client.list_page(self._resource, self._namespace, PAGE, token)
            found.update(
                (o.metadata.name, o) for o in page.items if o.metadata.name in self._wanted
            )
            token = page.metadata.continue_
            if not token:
                break
        self._version = page.metadata.resource_version
        for item in found.values():
            self.put(item)  # which leaves out what isn't wanted
        for name in self._wanted - found.keys():
            self.remove(name, self._version)
        if not self.synced.is_set():
            self.synced.set()
            for name in self._wanted:
                self._changed(name)

    async def _watch(self, backoff: Backoff) -> None:
        seconds = self._rng.randint(*WATCH_S)
        opened = self._client.watch(self._resource, self._namespace, self._version, seconds)
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
            self.put(item)
        elif event.type == "DELETED":
            self.remove(item.metadata.name, self._version)

    def _heard(self) -> None:
        if self.error is not None:
            self._log.info("cluster-recovered")
            self.error = None
            for name in self._wanted:
                self._changed(name)
        self.tried.set()

    def _unheard(self, error: ClusterError) -> None:
        if str(error) == str(self.error):
            return
        self._log.warning("cluster-unheard", error=str(error))
        self.error = error
        for name in self._wanted:
            self._changed(name)


def _number(version: str) -> int:
    # Comparable as integers since Kubernetes 1.35 by contract (KEP-5504), and before in fact.
    return int(version) if version.isdigit() else 0
