"""What the cluster holds for the mapped Services, watched and as the decisions want it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from random import Random

from registrar.cluster.client import ENDPOINTS, SERVICES, SLICES, Client, ObjectT, Resource, Scope
from registrar.cluster.known import Kept
from registrar.cluster.namespace import AnyWatched, Namespace
from registrar.cluster.objects import ApiObject, Endpoints, EndpointSlice, Service
from registrar.cluster.services import service_state
from registrar.cluster.slices import SERVICE_NAME
from registrar.cluster.watched import Watched
from registrar.errors import (
    ClusterError,
    ClusterUnreachable,
    Forbidden,
    NamespaceTerminating,
    NotFound,
    Unauthorized,
)
from registrar.model import Hold, HoldReason, ServiceKey, ServiceState

RESYNC = "registrar.internal/resync"
"""The annotation on a Service by any new value of which it asks for a resync."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the cluster holds for one Service, whoever made it: None for what there isn't."""

    service: ServiceState | None = None
    endpoints: Endpoints | None = None
    slices: tuple[EndpointSlice, ...] = ()


class ClusterView:
    """Services, Endpoints and slices of the namespaces that mappings name.

    For a mapped Service every object is seen, whoever made it, so that a conflict and its end
    are seen as well; for another, whatever this registrar has made.
    """

    def __init__(
        self,
        client: Client,
        instance: str,
        keys: Iterable[ServiceKey],
        changed: Callable[[ServiceKey], None],
        rng: Random,
    ) -> None:
        self._client = client
        self._instance = instance
        self._changed = changed
        self._rng = rng
        self._namespaces: dict[str, Namespace] = {}
        self._running: asyncio.TaskGroup | None = None
        self.apply(keys)

    def apply(self, keys: Iterable[ServiceKey]) -> None:
        """Go over to other mapped Services. A namespace that is watched keeps its watches.

        One that no mapping names is watched on, for what is still published there: see `leave`.
        """
        names: dict[str, set[str]] = {namespace: set() for namespace in self._namespaces}
        for key in keys:
            names.setdefault(key.namespace, set()).add(key.name)
        for namespace, wanted in names.items():
            if namespace not in self._namespaces:
                self._enter(namespace)
            self._namespaces[namespace].want(frozenset(wanted))

    def leave(self) -> None:
        """Watch no more where no mapping points and nothing of ours is left."""
        for namespace, there in list(self._namespaces.items()):
            if not there.is_needed:
                there.stop()
                del self._namespaces[namespace]

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as self._running:
            for there in self._namespaces.values():
                there.start(self._running)
            await asyncio.Event().wait()  # there may be no namespace yet

    async def heard(self, patience: float) -> None:
        """Wait until the cluster has been heard, in one namespace at least.

        Raise the ClusterError that says why not: at once where nothing but a person can change
        it, after `patience` seconds where it may pass.
        """
        try:
            async with asyncio.timeout(patience):
                await self._any_synced()
        except TimeoutError:
            errors = [watched.error for watched in self._all() if watched.error]
            raise errors[0] if errors else ClusterUnreachable(self._client.server) from None

    async def _any_synced(self) -> None:
        waiting = [asyncio.create_task(watched.tried.wait()) for watched in self._all()]
        await asyncio.gather(*waiting)
        errors = [watched.error for watched in self._all()]
        if errors and all(isinstance(error, Forbidden | Unauthorized) for error in errors):
            raise next(error for error in errors if error is not None)
        synced = [asyncio.create_task(watched.synced.wait()) for watched in self._all()]
        if not synced:  # no mapping
            return
        try:
            await asyncio.wait(synced, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in synced:
                task.cancel()

    @property
    def is_synced(self) -> bool:
        """Whether all that is watched has been listed."""
        return all(watched.synced.is_set() for watched in self._all())

    def watches(self) -> Iterator[tuple[str, bool]]:
        """Yield the kind of each thing that is watched, and whether it is heard now."""
        for watched in self._all():
            yield watched.resource, watched.synced.is_set() and watched.error is None

    def is_listed(self, key: ServiceKey) -> bool:
        """Whether all that is there for a Service has been listed, so that it can be decided on."""
        there = self._namespaces.get(key.namespace)
        return there is not None and all(watched.is_listed(key.name) for watched in there.all)

    def hold(self, key: ServiceKey) -> Hold | None:
        """Return why a Service can't be listed, None while nothing is known to be wrong."""
        there = self._namespaces.get(key.namespace)
        for watched in there.all if there else ():
            if not watched.is_listed(key.name) and watched.error is not None:
                return hold_for(watched.error)
        return None

    def held(self, key: ServiceKey) -> Held:
        """Return what the cluster holds for a Service."""
        there = self._namespaces.get(key.namespace)
        if there is None:
            return Held()
        service = there.services.get(key.name)
        return Held(
            service_state(service) if service else None,
            there.endpoints.get(key.name),
            there.slices.of(key.name),
        )

    def objects(self, key: ServiceKey) -> tuple[tuple[Kept, ...], ...]:
        """Return what `held` is made of. Where each is the same object, nothing has changed."""
        there = self._namespaces.get(key.namespace)
        if there is None:
            return ()
        name = key.name
        return there.services.kept(name), there.endpoints.kept(name), there.slices.kept(name)

    def uid(self, key: ServiceKey) -> str:
        """Return the uid of a Service, empty if there is none, or none that is watched."""
        there = self._namespaces.get(key.namespace)
        service = there.services.get(key.name) if there else None
        return service.metadata.uid if service else ""

    def wish(self, key: ServiceKey) -> str:
        """Return the value by which a Service asks for a resync, empty if it doesn't."""
        there = self._namespaces.get(key.namespace)
        service = there.services.get(key.name) if there else None
        return service.metadata.annotations.get(RESYNC, "") if service else ""

    def services_of_ours(self) -> frozenset[ServiceKey]:
        """Return each Service that something is there for which this registrar may have made."""
        return frozenset(
            ServiceKey(namespace, name)
            for namespace, there in self._namespaces.items()
            for name in there.endpoints.services | there.slices.services
        )

    def writing(self, item: ApiObject) -> AbstractContextManager[None]:
        """Return a block for a write of an object: the watch's news of that alone mark nothing."""
        meta = item.metadata
        there = self._namespaces.get(meta.namespace)
        if there is not None and isinstance(item, Endpoints):
            return there.endpoints.writing(meta.name)
        if there is not None and isinstance(item, EndpointSlice):
            return there.slices.writing(meta.name)
        return nullcontext()

    def note(self, stored: ApiObject) -> None:
        """Note what was just written, so that it isn't written again while the watch is late."""
        there = self._namespaces.get(stored.metadata.namespace)
        if there is None:
            return
        if isinstance(stored, Endpoints):
            there.endpoints.put(stored)
        elif isinstance(stored, EndpointSlice):
            there.slices.put(stored)
        elif isinstance(stored, Service):
            there.services.put(stored)

    def note_deleted(self, known: ApiObject) -> None:
        """Note what was just deleted."""
        there = self._namespaces.get(known.metadata.namespace)
        if there is None:
            return
        if isinstance(known, Endpoints):
            there.endpoints.remove(known)
        elif isinstance(known, EndpointSlice):
            there.slices.remove(known)

    async def reread(self, item: ApiObject) -> None:
        """Read an object again from the API server."""
        there = self._namespaces.get(item.metadata.namespace)
        if there is None:
            return
        if isinstance(item, Endpoints):
            await self._reread(ENDPOINTS, there.endpoints, item.metadata.name)
        elif isinstance(item, EndpointSlice):
            await self._reread(SLICES, there.slices, item.metadata.name)

    async def read(self, key: ServiceKey, kinds: Collection[type[ApiObject]]) -> Held:
        """Read these kinds of what is there for a Service from the API server; return as `held`."""
        there = self._namespaces.get(key.namespace)
        if there is None:
            return Held()
        if Service in kinds:
            await self._reread(SERVICES, there.services, key.name)
        if Endpoints in kinds:
            await self._reread(ENDPOINTS, there.endpoints, key.name)
        if EndpointSlice in kinds:
            await self._read_slices(there.slices, key)
        return self.held(key)

    async def _read_slices(self, watched: Watched[EndpointSlice], key: ServiceKey) -> None:
        missing = {one.metadata.name for one in watched.of(key.name)}
        scope = Scope(key.namespace, labels=f"{SERVICE_NAME}={key.name}")
        async for page in self._client.pages(SLICES, scope):
            for found in page.items:
                watched.hear(found)
                missing.discard(found.metadata.name)
        for name in sorted(missing):  # gone, or another Service's by now
            await self._reread(SLICES, watched, name)

    async def _reread(
        self, resource: Resource[ObjectT], watched: Watched[ObjectT], name: str
    ) -> None:
        known = watched.get(name)  # by the time of the answer it may have been made again
        try:
            watched.hear(await self._client.get(resource, watched.namespace, name))
        except NotFound:
            if known is not None:
                watched.remove(known)

    def _enter(self, namespace: str) -> None:
        there = Namespace(self._client, self._instance, namespace, self._changed, self._rng)
        self._namespaces[namespace] = there
        if self._running is not None:
            there.start(self._running)

    def _all(self) -> list[AnyWatched]:
        return [watched for there in self._namespaces.values() for watched in there.all]


def hold_for(error: ClusterError) -> Hold:
    """Return the Hold that a failure of the API server amounts to."""
    if isinstance(error, NamespaceTerminating):
        return Hold(HoldReason.NAMESPACE_TERMINATING, str(error))
    if isinstance(error, Forbidden | Unauthorized):
        return Hold(HoldReason.FORBIDDEN, str(error))
    return Hold(HoldReason.CLUSTER_UNREACHABLE, str(error))
