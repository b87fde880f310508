"""Carries out writes, each on condition that things still are what the decision was based on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from registrar.cluster.client import ENDPOINTS, SERVICES, SLICES, Client, ObjectT, Resource
from registrar.cluster.forms import Action, Write, after
from registrar.cluster.objects import ApiObject, Endpoints, EndpointSlice, Service
from registrar.cluster.term import Leadership, Term
from registrar.cluster.view import ClusterView, Held
from registrar.errors import Conflict, NotFound
from registrar.model import ServiceKey


class Publisher(Protocol):
    """What the loop hands its writes to. `lasts` says whether the next look sees them."""

    lasts: bool

    async def carry_out(self, key: ServiceKey, held: Held, writes: Sequence[Write]) -> Held:
        """Carry out writes, one after the other; return what the cluster holds for `key` then."""
        ...


class ClusterPublisher:
    """Writes to the API server, and notes in the view what it has stored."""

    lasts = True

    def __init__(self, client: Client, view: ClusterView, leadership: Leadership) -> None:
        self._client = client
        self._view = view
        self._leadership = leadership

    async def carry_out(self, key: ServiceKey, held: Held, writes: Sequence[Write]) -> Held:
        """Carry out writes; return what the cluster holds for `key` then.

        Raise Conflict or NotFound if an object is not what it was; it has been read again by then.
        """
        await self._confirm(key, held, writes)
        for write in writes:
            try:
                with self._view.writing(write.object):
                    await self._write(write)
            except (Conflict, NotFound):
                await self._view.reread(write.object)
                raise
        return self._view.held(key)

    async def _confirm(self, key: ServiceKey, held: Held, writes: Sequence[Write]) -> None:
        """Read what creations and deletions rest on: what is known of it may be late.

        An update needs none of it: the API server refuses one that rests on something else. So it
        does with a Service that is there already.
        """
        kinds = {type(write.object) for write in writes if write.action is not Action.REPLACE}
        kinds.discard(Service)
        if not kinds:
            return
        if any(write.action is Action.DELETE for write in writes):
            kinds.add(EndpointSlice)  # nothing goes before others are there, or because they are
        if held.service is not None:
            kinds.add(Service)
        if not _agree(held, await self._view.read(key, kinds), kinds):
            raise Conflict(f"what is there for {key} has changed meanwhile")

    async def _write(self, write: Write) -> None:
        item = write.object
        term = self._leadership.term or Term()  # without one the fence stops it
        if isinstance(item, Endpoints):
            await self._put(write.action, ENDPOINTS, term.sign(item))
        elif isinstance(item, EndpointSlice):
            await self._put(write.action, SLICES, term.sign(item))
        else:
            await self._put(write.action, SERVICES, item)

    async def _put(self, action: Action, resource: Resource[ObjectT], item: ObjectT) -> None:
        if action is Action.CREATE:
            created = await self._client.create(resource, item)
            self._view.note(created)
        elif action is Action.REPLACE:
            replaced = await self._client.replace(resource, item)
            self._view.note(replaced)
        else:
            await self._client.delete(resource, item)
            self._view.note_deleted(item)


def _agree(held: Held, read: Held, kinds: Collection[type[ApiObject]]) -> bool:
    return (
        held.service == read.service
        and (Endpoints not in kinds or held.endpoints == read.endpoints)
        and (EndpointSlice not in kinds or held.slices == read.slices)
    )


class DryPublisher:
    """Writes nothing."""

    lasts = False

    async def carry_out(self, key: ServiceKey, held: Held, writes: Sequence[Write]) -> Held:
        """Return what the cluster would hold for `key` after the writes."""
        del key
        return after(held, writes)
