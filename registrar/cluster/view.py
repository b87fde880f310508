"""What the cluster holds for the mapped Services, watched and as the decisions want it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random

from registrar.cluster.client import ENDPOINTS, SERVICES, Client
from registrar.cluster.objects import Endpoints, Service
from registrar.cluster.watched import Watched
from registrar.errors import ClusterError, ClusterUnreachable, Forbidden, NotFound, Unauthorized
from registrar.model import Hold, HoldReason, ServiceKey, ServicePort, ServiceState

_FAMILIES = {"IPv4": 4, "IPv6": 6}


class ClusterView:
    """Services and Endpoints of the namespaces that mappings name, by the mappings' names.

    Every Endpoints of such a name is seen, whoever made it, so that the end of a conflict is
    seen as well.
    """

    def __init__(
        self,
        client: Client,
        keys: Iterable[ServiceKey],
        changed: Callable[[ServiceKey], None],
        rng: Random,
    ) -> None:
        self._client = client
        names: dict[str, set[str]] = {}
        for key in keys:
            names.setdefault(key.namespace, set()).add(key.name)
        self._services: dict[str, Watched[Service]] = {}
        self._endpoints: dict[str, Watched[Endpoints]] = {}
        for namespace, wanted in names.items():
            mark = _marker(namespace, changed)
            frozen = frozenset(wanted)
            self._services[namespace] = Watched(client, SERVICES, namespace, frozen, mark, rng)
            self._endpoints[namespace] = Watched(client, ENDPOINTS, namespace, frozen, mark, rng)

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
        return all(watched.synced.is_set() for watched in self._of(namespace))

    def hold(self, namespace: str) -> Hold | None:
        """Return why a namespace can't be listed, None while nothing is known to be wrong."""
        for watched in self._of(namespace):
            if not watched.synced.is_set() and watched.error is not None:
                return hold_for(watched.error)
        return None

    def service(self, key: ServiceKey) -> ServiceState | None:
        """Return a Service, None if there is none."""
        found = self._services[key.namespace].get(key.name)
        return _state(found) if found else None

    def endpoints(self, key: ServiceKey) -> Endpoints | None:
        """Return the Endpoints of a Service, None if there are none."""
        return self._endpoints[key.namespace].get(key.name)

    def note(self, written: Endpoints) -> None:
        """Note what was just written, so that it isn't written again while the watch is late."""
        self._endpoints[written.metadata.namespace].put(written)

    async def reread(self, key: ServiceKey) -> None:
        """Read the Endpoints of a Service again from the API server."""
        watched = self._endpoints[key.namespace]
        known = watched.get(key.name)  # by the time of the answer it may have been made again
        try:
            watched.put(await self._client.get(ENDPOINTS, key.namespace, key.name))
        except NotFound:
            if known is not None:
                watched.remove(key.name, known.metadata.resource_version)

    def _of(self, namespace: str) -> tuple[Watched[Service], Watched[Endpoints]]:
        return self._services[namespace], self._endpoints[namespace]

    def _all(self) -> list[Watched[Service] | Watched[Endpoints]]:
        return [*self._services.values(), *self._endpoints.values()]


def hold_for(error: ClusterError) -> Hold:
    """Return the Hold that a failure of the API server amounts to."""
    if isinstance(error, Forbidden | Unauthorized):
        return Hold(HoldReason.FORBIDDEN, str(error))
    return Hold(HoldReason.CLUSTER_UNREACHABLE, str(error))


def _marker(namespace: str, changed: Callable[[ServiceKey], None]) -> Callable[[str], None]:
    return lambda name: changed(ServiceKey(namespace, name))


def _state(service: Service) -> ServiceState:
    spec = service.spec
    return ServiceState(
        uid=service.metadata.uid,
        ports=tuple(
            ServicePort(
                port.name,
                port.protocol,
                port.target_port if isinstance(port.target_port, int) else None,
                port.app_protocol,
            )
            for port in spec.ports
        ),
        has_selector=bool(spec.selector),
        is_external_name=spec.type == "ExternalName",
        families=frozenset(_FAMILIES[family] for family in spec.ip_families if family in _FAMILIES),
    )
