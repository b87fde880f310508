"""What is watched of one namespace: Services, Endpoints and slices, as far as they concern us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import TypeAlias

from registrar.cluster import endpoints, slices
from registrar.cluster.client import ENDPOINTS, SERVICES, SLICES, Client, Scope
from registrar.cluster.objects import Endpoints, EndpointSlice, Service
from registrar.cluster.watched import Watched
from registrar.model import ServiceKey

AnyWatched: TypeAlias = Watched[Service] | Watched[Endpoints] | Watched[EndpointSlice]


class Namespace:
    """One namespace. Of a wanted Service everything is kept, of others what bears our marks."""

    def __init__(
        self,
        client: Client,
        instance: str,
        name: str,
        changed: Callable[[ServiceKey], None],
        rng: Random,
    ) -> None:
        self._instance = instance
        self._name = name
        self._changed = changed
        self._wanted: frozenset[str] = frozenset()
        self._tasks: list[asyncio.Task[None]] = []
        mark, scope = self._mark, Scope(name)
        self.services = Watched(client, SERVICES, scope, self._of_service, mark, rng)
        self.endpoints = Watched(client, ENDPOINTS, scope, self._of_endpoints, mark, rng)
        self.slices = Watched(client, SLICES, scope, self._of_slice, mark, rng)

    @property
    def all(self) -> tuple[Watched[Service], Watched[Endpoints], Watched[EndpointSlice]]:
        """All that is watched."""
        return self.services, self.endpoints, self.slices

    @property
    def is_needed(self) -> bool:
        """Whether something in it is wanted, or has been published by us."""
        return bool(self._wanted or self.endpoints.services or self.slices.services)

    def want(self, wanted: frozenset[str]) -> None:
        """Take interest in the Services of these names."""
        if wanted != self._wanted:
            self._wanted = wanted
            for watched in self.all:
                watched.want(wanted)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Watch within a group of tasks."""
        self._tasks = [group.create_task(watched.run()) for watched in self.all]

    def stop(self) -> None:
        """Watch no more."""
        for task in self._tasks:
            task.cancel()

    def _mark(self, name: str) -> None:
        if name in self._wanted:
            self._changed(ServiceKey(self._name, name))

    def _of_service(self, service: Service) -> str | None:
        name = service.metadata.name
        return name if name in self._wanted else None

    def _of_endpoints(self, found: Endpoints) -> str | None:
        name = found.metadata.name
        return name if name in self._wanted or endpoints.is_ours(found, self._instance) else None

    def _of_slice(self, found: EndpointSlice) -> str | None:
        name = found.metadata.labels.get(slices.SERVICE_NAME)
        is_ours = slices.is_marked(found, self._instance)
        return name if name in self._wanted or is_ours else None
