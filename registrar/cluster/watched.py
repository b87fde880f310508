"""Keeps the objects of one kind in one scope as they are: a list, then a watch, for ever.

While the API server is away it keeps what it had; it never turns silence into deletion.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from random import Random
from typing import Generic, Literal

import msgspec
import structlog

from registrar.backoff import Backoff
from registrar.cluster.client import Client, ObjectT, Resource, Scope, error_of
from registrar.cluster.known import Kept, Known, number
from registrar.cluster.objects import ApiObject, Status
from registrar.errors import MALFORMED, ClusterBusy, ClusterError, Expired

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
    with it after a change, and with each that is wanted once it is listed, and when the cluster
    falls silent or is heard again. `synced` is set once they have been listed; `error` says why the
    cluster is not heard now.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource[ObjectT],
        scope: Scope,
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
        self._wanted: frozenset[str] = frozenset()
        self._covered: frozenset[str] = frozenset()  # of the wanted, those that have been listed
        self._asked: frozenset[str] = frozenset()  # those that the list under way will cover
        self._wider = asyncio.Event()
        self._writing: dict[str, dict[str, None]] = {}  # by object, whom its news concern
        self._listing = asyncio.Lock()
        self._catches_up = False
        self._service_of = service_of
        self._changed = changed
        self._rng = rng
        self._known = Known(resource.type, service_of)
        self._position = -1  # how far the watch, or the list, has told us everything
        self._version = ""
        self._decoder = msgspec.json.Decoder(resource.type)
        self._log = log.bind(resource=resource.name, namespace=scope.namespace or None)

    @property
    def resource(self) -> str:
        """The kind of object, in the plural."""
        return self._resource.name

    @property
    def namespace(self) -> str:
        """The namespace whose objects these are, empty where they have none."""
        return self._scope.namespace

    def get(self, name: str) -> ObjectT | None:
        """Return the object as last heard of, None if there is none."""
        return self._known.get(name)

    def of(self, service: str) -> tuple[ObjectT, ...]:
        """Return the objects that concern a Service, by name."""
        return self._known.of(service)

    def kept(self, service: str) -> tuple[Kept, ...]:
        """Return the same as they are kept: the very same for as long as nothing changes."""
        return self._known.kept(service)

    @property
    def services(self) -> frozenset[str]:
        """The names of all Services that an object concerns."""
        return self._known.services

    def is_listed(self, service: str) -> bool:
        """Whether all that concerns a Service has been listed, if it is wanted at all."""
        return self.synced.is_set() and (service not in self._wanted or service in self._covered)

    def want(self, wanted: frozenset[str]) -> None:
        """Take interest in these Services from now on, after `service_of` has done so.

        The watch goes on. What it had told of those that are new was of no interest, so they are
        listed beside it, and `changed` is called with each of them then.
        """
        self._wanted = wanted
        self._covered &= wanted
        self._asked &= wanted
        self._known.sort_anew(wanted)
        if not wanted <= self._covered:
            self._wider.set()

    def put(self, new: ObjectT) -> None:
        """Note what the API server has stored for us, unless something newer is known.

        Nobody is told of it: whoever wrote it knows.
        """
        self._take(new)
        name = new.metadata.name
        if name in self._writing and self._known.version(name) == _version(new):
            self._writing[name].clear()  # the watch was quicker than the answer

    def hear(self, new: ObjectT) -> None:
        """Note what was read from the API server, and tell of it as if the watch had told of it."""
        self._tell(self._take(new))

    def _take(self, new: ObjectT) -> tuple[str, ...]:
        is_news = new.metadata.name in self._known or _version(new) > self._position
        return self._known.put(new) if is_news else ()

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Have news of an object that we write within the block told after it, unless `put` was.

        The watch may tell of a write before the API server has answered it.
        """
        if name in self._writing:
            yield
            return
        self._writing[name] = {}
        try:
            yield
        finally:
            self._tell(self._writing.pop(name))

    def remove(self, known: ObjectT) -> None:
        """Note that an object is gone, unless something newer than `known` is there. As `put`."""
        # The watch has not told of it yet, and may still tell of what was before.
        self._known.bury(known.metadata.name, _version(known))
        self._known.remove(known.metadata.name, _version(known))

    def _tell(self, services: Iterable[str]) -> None:
        for service in services:
            self._changed(service)

    async def run(self) -> None:
        """List and watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._catch_up())

    async def _follow(self) -> None:
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
        async with self._listing:
            self._asked = self._wanted
            names, self._version = await self._read()
            self._tell(self._known.remove_others(names, number(self._version)))
            self._reach(self._version)
            self.synced.set()
            self._cover()

    async def _read(self) -> tuple[Collection[str], str]:
        """Note all that there is, page by page; return the names, and the list's version."""
        names: set[str] = set()
        version = ""
        async for page in self._client.pages(self._resource, self._scope):
            for item in page.items:
                if self._service_of(item):
                    names.add(item.metadata.name)
                    self._tell(self._known.put(item))
            version = page.metadata.resource_version
        return names, version

    async def _catch_up(self) -> None:
        """List those that are wanted since the list, beside the watch, which goes on."""
        backoff = Backoff(FIRST_RETRY_S, MOST_RETRY_S, self._rng)
        while True:
            await self.synced.wait()
            await self._wider.wait()
            self._wider.clear()
            try:
                await self._list_beside()
            except ClusterError as error:
                self._unheard(error)
                self._wider.set()
                retry_after = error.retry_after if isinstance(error, ClusterBusy) else None
                await asyncio.sleep(backoff.next(retry_after))
            else:
                backoff.reset()

    async def _list_beside(self) -> None:
        async with self._listing:
            self._asked = self._wanted
            if self._asked <= self._covered:
                return
            # What the watch tells to be gone meanwhile, the list may still hold.
            self._catches_up = True
            try:
                await self._read()
            finally:
                self._catches_up = False
            self._heard()
            self._cover()

    def _cover(self) -> None:
        new = self._asked - self._covered
        self._covered = self._asked  # which has all that was covered and is still wanted
        self._tell(new)

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
        except MALFORMED as error:
            # What can't be read may have been a change: only a list is sure to show it.
            self._version = ""
            raise ClusterBusy(f"a watch event can't be read: {error}") from None
        name, self._version = item.metadata.name, item.metadata.resource_version
        concerned: tuple[str, ...] = ()
        if event.type in {"ADDED", "MODIFIED"}:
            concerned = self._known.put(item)
        elif event.type == "DELETED":
            if self._catches_up:
                self._known.bury(name, number(self._version))
            concerned = self._known.remove(name, number(self._version))
        if name in self._writing:
            self._writing[name].update(dict.fromkeys(concerned))
        else:
            self._tell(concerned)
        self._reach(self._version)

    def _reach(self, version: str) -> None:
        self._position = max(self._position, number(version))
        if not self._catches_up:
            self._known.forget_gone(self._position)

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


def _version(item: ApiObject) -> int:
    return number(item.metadata.resource_version)
