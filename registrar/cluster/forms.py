"""The forms in which a Service is published, and how to get from what is there to what ought to be.

Slices are the truth: they are written first, and nothing is taken away before what replaces it is
seen to carry the same. An object without our marks is never part of a write, unless adopted.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from registrar.cluster import endpoints, slices
from registrar.cluster.drained import DRAINED, drained_by
from registrar.cluster.objects import Endpoints, EndpointSlice, Service
from registrar.cluster.packing import SliceOwner, pack
from registrar.cluster.services import service_state
from registrar.cluster.term import Term
from registrar.cluster.view import Held
from registrar.model import BackendId, Endpoint, Publish, Published, ServiceMapping, ServiceState

CONTROLLER = "endpointslice-controller.k8s.io"
MIRRORING = "endpointslicemirroring-controller.k8s.io"


class Action(enum.Enum):
    """What a write does to an object."""

    CREATE = "create"
    REPLACE = "replace"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Write:
    """One request to the API server; an object that is there carries its preconditions."""

    action: Action
    object: Endpoints | EndpointSlice | Service


@dataclass(frozen=True, slots=True)
class Step:
    """The writes that are due next. None are left when there is nothing to write.

    `awaits_mirror`: the slices can't go before the mirroring controller's carry the same.
    `conflict`: Endpoints that are not ours stand where ours would. `leftovers`: slices of pods
    that still serve, by name.
    """

    writes: tuple[Write, ...] = ()
    awaits_mirror: bool = False
    conflict: bool = False
    leftovers: tuple[str, ...] = ()


def published(held: Held, instance: str) -> Published | None:
    """Return what is published of a Service: what our slices say, or else its Endpoints."""
    if ours := own_slices(held, instance):
        return Published(slices.decode(ours))
    if held.endpoints is None:
        return None
    found = endpoints.decode(held.endpoints)
    return Published(found, ours=endpoints.is_ours(held.endpoints, instance))


def own_slices(held: Held, instance: str) -> tuple[EndpointSlice, ...]:
    """Return the slices that this registrar has made for the Service as it is now."""
    if held.service is None:
        return ()
    uid = held.service.uid
    return tuple(one for one in held.slices if slices.is_ours(one, instance, uid))


def strange(held: Held, instance: str, term: Term) -> bool:
    """Whether something of what is published was written since the term began, and not in it."""
    own = own_slices(held, instance)
    current = held.endpoints
    ours = current is not None and endpoints.is_ours(current, instance) and term.is_strange(current)
    return ours or any(term.is_strange(one) for one in own)


def bears_marks(held: Held) -> bool:
    """Whether anything that is there for a Service says that a backend is drained."""
    found = held.slices if held.endpoints is None else (*held.slices, held.endpoints)
    return any(DRAINED in one.metadata.annotations for one in found)


def drained(held: Held, instance: str, before: Term | None = None) -> Mapping[BackendId, bool]:
    """Return of the published backends whether a person has taken them out.

    Slices know first; what they don't hold (they may not be written yet), our Endpoints may know.
    With a term it is what leaders before it have left.
    """
    own = own_slices(held, instance)
    left = [one for one in own if before is None or before.is_earlier(one)]
    found = {endpoint.backend: endpoint.drained for endpoint in slices.decode(left)}
    current = held.endpoints
    if current is None or not endpoints.is_ours(current, instance):
        return found
    if before is None or before.is_earlier(current):
        in_slices = {endpoint.backend for endpoint in slices.decode(own)}
        found |= dict.fromkeys(drained_by(current.metadata) - in_slices, True)
    return found


def next_step(
    mapping: ServiceMapping,
    instance: str,
    held: Held,
    service: ServiceState,
    wanted: frozenset[Endpoint],
    trigger_time: str,
) -> Step:
    """Return what to write next so that the cluster says `wanted`, in the mapping's form."""
    own = own_slices(held, instance)
    if mapping.publish is not Publish.ENDPOINTS or own:
        owner = SliceOwner(mapping.key, service, instance)
        changes = pack(owner, wanted, own, trigger_time)
        if changes:
            return Step(
                (
                    *_all(Action.CREATE, changes.creates),
                    *_all(Action.REPLACE, changes.updates),
                    *_all(Action.DELETE, changes.deletes),
                )
            )
    current = held.endpoints
    conflict = current is not None and not (mapping.adopt or endpoints.is_ours(current, instance))
    if not conflict and (write := _endpoints_write(mapping, instance, current, wanted)):
        return Step((write,))
    awaits_mirror = False
    if mapping.publish is Publish.ENDPOINTS and own:
        if _carried_by_mirror(held, wanted):
            return Step(_all(Action.DELETE, own))
        awaits_mirror = True
    return _tidy(mapping, instance, held, wanted, Step((), awaits_mirror, conflict))


def after(held: Held, writes: Iterable[Write]) -> Held:
    """Return what the cluster would hold after some writes, all of which are granted."""
    found = {one.metadata.name: one for one in held.slices}
    for write in writes:
        item, gone = write.object, write.action is Action.DELETE
        if isinstance(item, EndpointSlice):
            found.pop(item.metadata.name, None)
            found |= {} if gone else {item.metadata.name: item}
        elif isinstance(item, Endpoints):
            held = replace(held, endpoints=None if gone else item)
        else:
            held = replace(held, service=None if gone else service_state(item))
    return replace(held, slices=tuple(found.values()))


def let_go(held: Held, instance: str, *, patience_over: bool) -> tuple[Write, ...]:
    """Return the deletion of our slices of a Service that has a selector, once it may be done.

    That is when its controller's slices serve, or when `patience_over` says so.
    """
    controlled = [one for one in held.slices if _manager(one) == CONTROLLER]
    serves = any(endpoint.ready for endpoint in slices.decode(controlled))
    return _all(Action.DELETE, own_slices(held, instance)) if serves or patience_over else ()


def takes_over(held: Held, writes: Iterable[Write], instance: str) -> bool:
    """Whether writes replace or delete Endpoints that somebody else has written."""
    current = held.endpoints
    if current is None or endpoints.is_ours(current, instance):
        return False
    return any(isinstance(write.object, Endpoints) for write in writes)


def all_of_ours(held: Held, instance: str) -> tuple[Write, ...]:
    """Return the deletion of whatever this registrar has published, for an orphan."""
    marked = tuple(one for one in held.slices if slices.is_marked(one, instance))
    current = held.endpoints
    ours = (current,) if current is not None and endpoints.is_ours(current, instance) else ()
    return (*_all(Action.DELETE, marked), *_all(Action.DELETE, ours))


def _endpoints_write(
    mapping: ServiceMapping,
    instance: str,
    current: Endpoints | None,
    wanted: frozenset[Endpoint],
) -> Write | None:
    if mapping.publish is Publish.ENDPOINTSLICES:
        return Write(Action.DELETE, current) if current is not None else None
    mirrored = mapping.publish is Publish.ENDPOINTS
    new = endpoints.encode(mapping.key, instance, wanted, current, mirrored=mirrored)
    if current is None:
        return Write(Action.CREATE, new)
    return None if endpoints.says_the_same(new, current) else Write(Action.REPLACE, new)


def _tidy(
    mapping: ServiceMapping,
    instance: str,
    held: Held,
    wanted: frozenset[Endpoint],
    rest: Step,
) -> Step:
    """Return what is to go besides: our slices of an earlier Service, left-overs of its pods."""
    own = own_slices(held, instance)
    stale = tuple(one for one in held.slices if slices.is_marked(one, instance) and one not in own)
    left = tuple(one for one in held.slices if _manager(one) == CONTROLLER)
    serving = any(endpoint.ready for endpoint in wanted) and (
        mapping.publish is not Publish.ENDPOINTS or _carried_by_mirror(held, wanted)
    )
    if mapping.adopt and serving:
        stale, left = (*stale, *left), ()
    names = tuple(one.metadata.name for one in left if one.endpoints)
    return Step(_all(Action.DELETE, stale), rest.awaits_mirror, rest.conflict, names)


def _carried_by_mirror(held: Held, wanted: frozenset[Endpoint]) -> bool:
    mirrored = slices.decode(one for one in held.slices if _manager(one) == MIRRORING)
    return {(e.id, e.ready) for e in mirrored} == {(e.id, e.ready) for e in wanted}


def _manager(one: EndpointSlice) -> str | None:
    return one.metadata.labels.get(slices.MANAGED_BY)


def _all(action: Action, objects: Iterable[Endpoints | EndpointSlice]) -> tuple[Write, ...]:
    return tuple(Write(action, one) for one in objects)
