"""Packs endpoints into slices: each in the slice that has it, so that one change rewrites one.

A slice carries one port of one family, so that readiness is per port. Whoever has a place keeps it,
also after a restart; nothing is deleted before what replaces it is there.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, count

from msgspec.structs import replace

from registrar.cluster.drained import with_drained
from registrar.cluster.objects import (
    EndpointSlice,
    ForZone,
    ObjectMeta,
    OwnerReference,
    SliceConditions,
    SliceEndpoint,
    SliceHints,
    SlicePort,
)
from registrar.cluster.slices import (
    FAMILIES,
    HEADLESS,
    INSTANCE,
    MANAGED_BY,
    MANAGER,
    SERVICE_NAME,
    TRIGGER_TIME,
)
from registrar.model import BackendId, Endpoint, ServiceKey, ServiceState

MAX_ENDPOINTS = 100
"""Per slice, as Kubernetes' own controller keeps it by default."""


@dataclass(frozen=True, slots=True)
class SliceOwner:
    """For whom slices are written: the Service as it is now, and the registrar that writes them."""

    key: ServiceKey
    service: ServiceState
    instance: str


@dataclass(frozen=True, slots=True)
class SliceChanges:
    """What must be written so that the slices say what they ought to; in this order.

    `creates` and `updates` are whole objects, `deletes` the slices as they are now.
    """

    creates: tuple[EndpointSlice, ...] = ()
    updates: tuple[EndpointSlice, ...] = ()
    deletes: tuple[EndpointSlice, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.creates or self.updates or self.deletes)


def pack(
    owner: SliceOwner,
    endpoints: Iterable[Endpoint],
    current: Iterable[EndpointSlice],
    trigger_time: str,
) -> SliceChanges:
    """Return how to get from `current`, which must be ours, to slices that say `endpoints`.

    `trigger_time` (RFC 3339) is when we learned of what changed; kube-proxy measures from it.
    """
    wanted = frozenset(endpoints)
    hinted = owner.service.zone_affinity and all(e.zone for e in wanted if e.ready)
    before = {one.metadata.name: one for one in current}
    if not wanted:
        return _emptied(owner, before, trigger_time)
    creates: list[EndpointSlice] = []
    updates: list[EndpointSlice] = []
    for group, members in sorted(_groups(wanted).items()):
        slots = _slots(owner, group, before)
        said = {(text := str(e.id.address)): _said(e, text, hinted=hinted) for e in members}
        port = SlicePort(
            name=group.name,
            port=group.port,
            protocol=group.protocol,
            app_protocol=members[0].app_protocol,
        )
        for slot in _filled(slots, said):
            old = before.pop(slot.name, None)
            drained = [
                e.backend for e in members if e.drained and str(e.id.address) in slot.members
            ]
            new = _object(owner, group.family, (port,), slot, drained)
            if old is None:
                creates.append(_stamped(new, trigger_time))
            elif not _is_equal(new, old):
                updates.append(_stamped(new, trigger_time))
    return SliceChanges(tuple(creates), tuple(updates), tuple(before.values()))


def _emptied(
    owner: SliceOwner, before: Mapping[str, EndpointSlice], trigger_time: str
) -> SliceChanges:
    """Return how to get to one slice without endpoints, which says that there are none."""
    if not before:
        family = min(owner.service.families, default=4)
        slot = next(_slots(owner, _Group(family, "", "", 0), {}))
        return SliceChanges(creates=(_stamped(_object(owner, family, (), slot), trigger_time),))
    name, *others = sorted(before)
    old = before[name]
    slot = _Slot(name, old)
    family = next(number for number, text in FAMILIES.items() if text == old.address_type)
    new = _object(owner, family, old.ports or (), slot)
    updates = () if _is_equal(new, old) else (_stamped(new, trigger_time),)
    return SliceChanges(updates=updates, deletes=tuple(before[name] for name in others))


@dataclass(frozen=True, slots=True, order=True)
class _Group:
    """What the endpoints of one slice have in common."""

    family: int
    name: str
    protocol: str
    port: int


def _groups(endpoints: Iterable[Endpoint]) -> Mapping[_Group, list[Endpoint]]:
    groups: dict[_Group, list[Endpoint]] = defaultdict(list)
    for endpoint in sorted(endpoints, key=lambda e: int(e.id.address)):
        identity = endpoint.id
        group = _Group(
            identity.address.version, identity.port_name, identity.protocol, identity.port
        )
        groups[group].append(endpoint)
    return groups


@dataclass(slots=True, eq=False)
class _Slot:
    """One slice that is, or may come to be, and who is to be in it."""

    name: str
    before: EndpointSlice | None
    members: dict[str, SliceEndpoint] = field(default_factory=dict)

    @property
    def is_changing(self) -> bool:
        return self.before is None or self.before.endpoints != tuple(self.members.values())


def _slots(
    owner: SliceOwner, group: _Group, before: Mapping[str, EndpointSlice]
) -> Iterator[_Slot]:
    """Yield a group's slots without end, those first that have a slice.

    Every process gives them the same names, so that a late one collides instead of adding a twin.
    """
    told = (
        owner.instance,
        owner.service.uid,
        group.family,
        group.name,
        group.protocol,
        group.port,
    )
    digest = hashlib.sha256("\0".join(map(str, told)).encode()).hexdigest()[:10]
    # A name is a DNS subdomain of 253 characters at most; that of a Service has 63.
    prefix = f"{owner.key.name}-{digest}-"
    known = sorted(
        int(name.removeprefix(prefix))
        for name in before
        if name.startswith(prefix) and name.removeprefix(prefix).isdecimal()
    )
    for index in known:
        yield _Slot(f"{prefix}{index}", before[f"{prefix}{index}"])
    for index in count():
        if index not in known:
            yield _Slot(f"{prefix}{index}", None)


def _filled(slots: Iterator[_Slot], wanted: Mapping[str, SliceEndpoint]) -> list[_Slot]:
    """Return the slots that hold `wanted`: whoever has a place keeps it.

    The new go where something changes anyway, then where there is room, then to new slices.
    """
    left = dict(wanted)
    filled: list[_Slot] = []
    vacant: list[_Slot] = []
    for slot in slots:
        if slot.before is None:
            vacant.append(slot)
            break
        for said in slot.before.endpoints or ():
            for text in said.addresses:
                if text in left and len(slot.members) < MAX_ENDPOINTS:
                    slot.members[text] = left.pop(text)
        (filled if slot.members else vacant).append(slot)
    rooms = chain(sorted(filled, key=lambda slot: not slot.is_changing), vacant, slots)
    new = list(left)
    while new:
        slot = next(rooms)
        room = MAX_ENDPOINTS - len(slot.members)
        slot.members.update((text, left[text]) for text in new[:room])
        new = new[room:]
        if slot not in filled:
            filled.append(slot)
    rank = {text: number for number, text in enumerate(wanted)}
    for slot in filled:
        slot.members = {text: wanted[text] for text in sorted(slot.members, key=rank.__getitem__)}
    return filled


def _object(
    owner: SliceOwner,
    family: int,
    ports: tuple[SlicePort, ...],
    slot: _Slot,
    drained: Iterable[BackendId] = (),
) -> EndpointSlice:
    before = slot.before.metadata if slot.before else ObjectMeta()
    labels = {**before.labels, SERVICE_NAME: owner.key.name, MANAGED_BY: MANAGER}
    labels.pop(HEADLESS, None)
    if owner.service.is_headless:
        labels[HEADLESS] = ""
    return EndpointSlice(
        api_version="discovery.k8s.io/v1",
        kind="EndpointSlice",
        metadata=ObjectMeta(
            name=slot.name,
            namespace=owner.key.namespace,
            uid=before.uid,
            resource_version=before.resource_version,
            labels=labels,
            annotations=with_drained({**before.annotations, INSTANCE: owner.instance}, drained),
            owner_references=(
                OwnerReference(
                    api_version="v1",
                    kind="Service",
                    name=owner.key.name,
                    uid=owner.service.uid,
                    controller=True,
                    # True would take the right to write the Service's finalizers.
                    block_owner_deletion=False,
                ),
            ),
        ),
        address_type=FAMILIES[family],
        endpoints=tuple(slot.members.values()),
        ports=ports,
    )


def _stamped(new: EndpointSlice, trigger_time: str) -> EndpointSlice:
    meta = new.metadata
    stamped = {**meta.annotations, TRIGGER_TIME: trigger_time}
    return replace(new, metadata=replace(meta, annotations=stamped))


def _is_equal(new: EndpointSlice, before: EndpointSlice) -> bool:
    old = before.metadata
    return (
        new.endpoints == (before.endpoints or ())
        and new.ports == (before.ports or ())
        and new.address_type == before.address_type
        and new.metadata.labels == old.labels
        and new.metadata.annotations == old.annotations
        and new.metadata.owner_references == old.owner_references
    )


def _said(endpoint: Endpoint, address: str, *, hinted: bool) -> SliceEndpoint:
    hints = None
    if hinted and endpoint.ready and endpoint.zone:
        hints = SliceHints(for_zones=(ForZone(name=endpoint.zone),))
    return SliceEndpoint(
        addresses=(address,),
        conditions=SliceConditions(
            ready=endpoint.ready,
            serving=endpoint.ready or endpoint.draining,
            terminating=endpoint.draining,
        ),
        hostname=endpoint.hostname,
        zone=endpoint.zone,
        hints=hints,
    )
