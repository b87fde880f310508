"""The Lease of coordination.k8s.io/v1 by which replicas elect one of them: read, taken, given back.

Every write of it carries the resourceVersion of what it rests on, so of two that take it one fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from registrar.cluster.client import LEASES, Client
from registrar.cluster.objects import Lease, LeaseSpec, ObjectMeta
from registrar.errors import NotFound

RELEASED_S = 1
"""The API server takes no lease of 0 s; one without a holder is free at once."""


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """Which Lease, who asks for it, and its times in seconds.

    A leader that could not renew it for `renew_deadline` stops; the others wait for `duration`.
    """

    namespace: str
    name: str
    identity: str
    duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class LeaseStore:
    """The Lease as the API server has it. Every method raises the ClusterError that it meets."""

    def __init__(self, client: Client, terms: LeaseTerms, now: Callable[[], datetime]) -> None:
        self._client = client
        self._terms = terms
        self._now = now

    async def read(self) -> Lease | None:
        """Return it, None if there is none."""
        try:
            return await self._client.get(LEASES, self._terms.namespace, self._terms.name)
        except NotFound:
            return None

    async def take(self, known: Lease | None) -> Lease:
        """Begin a term. Raise Conflict if somebody else was quicker."""
        now = self._stamp()
        before = known.spec.lease_transitions if known else None
        spec = LeaseSpec(
            holder_identity=self._terms.identity,
            lease_duration_seconds=math.ceil(self._terms.duration),
            acquire_time=now,
            renew_time=now,
            lease_transitions=0 if known is None else (before or 0) + 1,
        )
        return await self._write(known, spec)

    async def renew(self, held: Lease) -> Lease:
        """Renew what we hold. Raise Conflict or NotFound if it is no longer as it was."""
        return await self._write(held, replace(held.spec, renew_time=self._stamp()))

    async def make_again(self, held: Lease) -> Lease:
        """Make again what we hold and somebody has deleted. Raise Conflict if it is there."""
        return await self._write(None, replace(held.spec, renew_time=self._stamp()))

    async def annotate(self, known: Lease, annotations: dict[str, str]) -> None:
        """Replace its annotations. Raise Conflict if it is no longer as it was."""
        meta = replace(known.metadata, annotations=annotations)
        await self._client.replace(LEASES, replace(known, metadata=meta))

    async def release(self, held: Lease) -> None:
        """Give it back, so that others need not wait for its end."""
        now = self._stamp()
        spec = LeaseSpec(
            holder_identity="",
            lease_duration_seconds=RELEASED_S,
            acquire_time=now,
            renew_time=now,
            lease_transitions=held.spec.lease_transitions,
        )
        await self._write(held, spec)

    async def _write(self, known: Lease | None, spec: LeaseSpec) -> Lease:
        terms = self._terms
        meta = known.metadata if known else ObjectMeta(name=terms.name, namespace=terms.namespace)
        new = Lease(api_version="coordination.k8s.io/v1", kind="Lease", metadata=meta, spec=spec)
        if known is None:
            return await self._client.create(LEASES, new)
        return await self._client.replace(LEASES, new)

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
