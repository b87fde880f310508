"""What the cluster holds for the mapped Services, watched and as the decisions want it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from registrar.cluster import endpoints, slices
from registrar.cluster.client import (
    ENDPOINTS,
    SERVICES,
    SLICES,
    Client,
    ObjectT,
    Resource,
    Scope,
)
from registrar.cluster.objects import ApiObject, Endpoints, EndpointSlice, Service
from registrar.cluster.services import service_state
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


@dataclass(frozen=True, slots=True)
class Held:
    """What the cluster holds for one Service, whoever made it: None for what there isn't."""

    service: ServiceState | None = None
    endpoints: Endpoints | None = None
    slices: tuple[EndpointSlice, ...] = ()


@dataclass(frozen=True, slots=True)
class _Namespace:
    services: Watched[Service]
    endpoints: Watched[Endpoints]
    slices: Watched[EndpointSlice]

    @property
    def all(self) -> tuple[Watched[Service], Watched[Endpoints], Watched[EndpointSlice]]:
        return self.services, self.endpoints, self.slices


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
        names: dict[str, set[str]] = {}
        for key in keys:
            names.setdefault(key.namespace, set()).add(key.name)
        self._namespaces = {
            namespace: _watch(client, instance, namespace, frozenset(wanted), changed, rng)
            for namespace, wanted in names.items()
        }

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for watched in self._all():
                group.create_task(watched.run())

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

    def is_listed(self, namespace: str) -> bool:
        """Whether a namespace has been listed, so that something can be decided in it."""
        return all(watched.synced.is_set() for watched in self._namespaces[namespace].all)

    def hold(self, namespace: str) -> Hold | None:
        """Return why a namespace can't be listed, None while nothing is known to be wrong."""
        for watched in self._namespaces[namespace].all:
            if not watched.synced.is_set() and watched.error is not None:
                return hold_for(watched.error)
        return None

    def held(self, key: ServiceKey) -> Held:
        """Return what the cluster holds for a Service."""
        there = self._namespaces[key.namespace]
        service = there.services.get(key.name)
        return Held(
            service_state(service) if service else None,
            there.endpoints.get(key.name),
            there.slices.of(key.name),
        )

    def uid(self, key: ServiceKey) -> str:
        """Return the uid of a Service, empty if there is none."""
        service = self._namespaces[key.namespace].services.get(key.name)
        return service.metadata.uid if service else ""

    def services_of_ours(self) -> frozenset[ServiceKey]:
        """Return each Service that something is there for which this registrar may have made."""
        return frozenset(
            ServiceKey(namespace, name)
            for namespace, there in self._namespaces.items()
            for name in there.endpoints.services | there.slices.services
        )

    def note(self, stored: ApiObject) -> None:
        """Note what was just written, so that it isn't written again while the watch is late."""
        there = self._namespaces[stored.metadata.namespace]
        if isinstance(stored, Endpoints):
            there.endpoints.put(stored)
        elif isinstance(stored, EndpointSlice):
            there.slices.put(stored)
        elif isinstance(stored, Service):
            there.services.put(stored)

    def note_deleted(self, known: ApiObject) -> None:
        """Note what was just deleted."""
        there = self._namespaces[known.metadata.namespace]
        if isinstance(known, Endpoints):
            there.endpoints.remove(known)
        elif isinstance(known, EndpointSlice):
            there.slices.remove(known)

    async def reread(self, item: ApiObject) -> None:
        """Read an object again from the API server."""
        there = self._namespaces[item.metadata.namespace]
        if isinstance(item, Endpoints):
            await self._reread(ENDPOINTS, there.endpoints, item)
        elif isinstance(item, EndpointSlice):
            await self._reread(SLICES, there.slices, item)

    async def _reread(
        self, resource: Resource[ObjectT], watched: Watched[ObjectT], item: ObjectT
    ) -> None:
        meta = item.metadata
        known = watched.get(meta.name)  # by the time of the answer it may have been made again
        try:
            watched.put(await self._client.get(resource, meta.namespace, meta.name))
        except NotFound:
            if known is not None:
                watched.remove(known)

    def _all(self) -> list[Watched[Service] | Watched[Endpoints] | Watched[EndpointSlice]]:
        return [watched for there in self._namespaces.values() for watched in there.all]


def _watch(
    client: Client,
    instance: str,
    namespace: str,
    wanted: frozenset[str],
    changed: Callable[[ServiceKey], None],
    rng: Random,
) -> _Namespace:
    def mark(name: str) -> None:
        if name in wanted:
            changed(ServiceKey(namespace, name))

    def of_service(service: Service) -> str | None:
        name = service.metadata.name
        return name if name in wanted else None

    def of_endpoints(found: Endpoints) -> str | None:
        name = found.metadata.name
        return name if name in wanted or endpoints.is_ours(found, instance) else None

    def of_slice(found: EndpointSlice) -> str | None:
        name = found.metadata.labels.get(slices.SERVICE_NAME)
        return name if name in wanted or slices.is_marked(found, instance) else None

    scope = Scope(namespace)
    return _Namespace(
        Watched(client, SERVICES, scope, wanted, of_service, mark, rng),
        Watched(client, ENDPOINTS, scope, wanted, of_endpoints, mark, rng),
        Watched(client, SLICES, scope, wanted, of_slice, mark, rng),
    )


def hold_for(error: ClusterError) -> Hold:
    """Return the Hold that a failure of the API server amounts to."""
    if isinstance(error, NamespaceTerminating):
        return Hold(HoldReason.NAMESPACE_TERMINATING, str(error))
    if isinstance(error, Forbidden | Unauthorized):
        return Hold(HoldReason.FORBIDDEN, str(error))
    return Hold(HoldReason.CLUSTER_UNREACHABLE, str(error))
