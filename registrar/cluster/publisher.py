"""Writes a Service's Endpoints, on condition that they are still what the decision was based on."""

from __future__ import annotations

from registrar.cluster.client import ENDPOINTS, Client
from registrar.cluster.endpoints import encode
from registrar.cluster.objects import Endpoints
from registrar.model import Desired, ServiceKey


class EndpointsPublisher:
    """Publishes in the form of v1 Endpoints, as one instance of registrar."""

    def __init__(self, client: Client, instance: str) -> None:
        self._client = client
        self._instance = instance

    async def publish(
        self, key: ServiceKey, desired: Desired, current: Endpoints | None
    ) -> Endpoints:
        """Write the object, over `current` if there is one; return it as stored.

        Raise Conflict if the cluster holds something else than `current` by now.
        """
        new = encode(key, self._instance, desired.endpoints, current)
        if current is None:
            return await self._client.create(ENDPOINTS, new)
        return await self._client.replace(ENDPOINTS, new)
