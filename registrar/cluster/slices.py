"""The codec of EndpointSlices: which slices say what is to be published, and which are ours.

A slice carries one port of one family, so that readiness is per port. An endpoint stays in the
slice that has it: one backend's change rewrites one slice, also after a restart.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field
from ipaddress import ip_address
from itertools import chain, count

from msgspec.structs import replace

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
from registrar.model import Address, Endpoint, EndpointId, ServiceKey, ServiceState

MAX_ENDPOINTS = 100
"""Per slice, as Kubernetes' own controller keeps it by default."""

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "registrar.internal"
HEADLESS = "service.kubernetes.io/headless"
INSTANCE = "registrar.internal/instance"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"

_FAMILY = {4: "IPv4", 6: "IPv6"}


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


def is_marked(found: EndpointSlice, instance: str) -> bool:
    """Whether a slice carries the marks of this registrar, for whichever Service."""
    meta = found.metadata
    return meta.labels.get(MANAGED_BY) == MANAGER and meta.annotations.get(INSTANCE) == instance


def is_ours(found: EndpointSlice, owner: SliceOwner) -> bool:
    """Whether a slice is ours: by its marks, and by the uid of the Service that owns it.

    Other controllers copy labels and annotations, so those alone prove nothing.
    """
    return is_marked(found, owner.instance) and owner.service.uid in {
        reference.uid for reference in found.metadata.owner_references
    }


def decode(slices: Iterable[EndpointSlice]) -> frozenset[Endpoint]:
    """Return what slices say, those of a port that they don't number left out.

    What two of them say of one endpoint is ready if either says so, as for kube-proxy.
    """
    found: dict[EndpointId, Endpoint] = {}
    for one in slices:
        for port in one.ports or ():
            for said in one.endpoints or ():
                for endpoint in _endpoints(said, port):
                    known = found.get(endpoint.id)
                    if known is None or (endpoint.ready and not known.ready):
                        found[endpoint.id] = endpoint
    return frozenset(found.values())


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
    creates: list[EndpointSlice] = []
    updates: list[EndpointSlice] = []
    for group, members in sorted(_groups(wanted).items()):
        slots = _slots(owner, group, before)
        said = {str(e.id.address): _said(e, hinted=hinted) for e in members}
        port = SlicePort(
            name=group.name,
            port=group.port,
            protocol=group.protocol,
            app_protocol=members[0].app_protocol,
        )
        for slot in _filled(slots, said):
            old = before.pop(slot.name, None)
            new = _object(owner, group.family, port, slot)
            if old is None:
                creates.append(_stamped(new, trigger_time))
            elif not _is_equal(new, old):
                updates.append(_stamped(new, trigger_time))
    return SliceChanges(tuple(creates), tuple(updates), tuple(before.values()))


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
    told = (owner.instance, owner.service.uid, *astuple(group))
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


def _object(owner: SliceOwner, family: int, port: SlicePort, slot: _Slot) -> EndpointSlice:
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
            annotations={**before.annotations, INSTANCE: owner.instance},
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
        address_type=_FAMILY[family],
        endpoints=tuple(slot.members.values()),
        ports=(port,),
    )


def _stamped(new: EndpointSlice, trigger_time: str) -> EndpointSlice:
    meta = new.metadata
    stamped = {**meta.annotations, TRIGGER_TIME: trigger_time}
    return replace(new, metadata=replace(meta, annotations=stamped))


def _is_equal(new: EndpointSlice, before: EndpointSlice) -> bool:
    old = before.metadata
    return (
        new.endpoints == before.endpoints
        and new.ports == before.ports
        and new.address_type == before.address_type
        and new.metadata.labels == old.labels
        and new.metadata.annotations == old.annotations
        and new.metadata.owner_references == old.owner_references
    )


def _said(endpoint: Endpoint, *, hinted: bool) -> SliceEndpoint:
    hints = None
    if hinted and endpoint.ready and endpoint.zone:
        hints = SliceHints(for_zones=(ForZone(name=endpoint.zone),))
    return SliceEndpoint(
        addresses=(str(endpoint.id.address),),
        conditions=SliceConditions(
            ready=endpoint.ready,
            serving=endpoint.ready or endpoint.draining,
            terminating=endpoint.draining,
        ),
        hostname=endpoint.hostname,
        zone=endpoint.zone,
        hints=hints,
    )


def _endpoints(said: SliceEndpoint, port: SlicePort) -> Iterator[Endpoint]:
    ready = said.conditions.ready is not False
    draining = bool(said.conditions.terminating) and said.conditions.serving is not False
    for text in said.addresses:
        address = _address(text)
        if address is not None and port.port is not None:
            yield Endpoint(
                EndpointId(port.name, port.protocol, address, port.port),
                ready,
                said.hostname,
                port.app_protocol,
                draining=draining and not ready,
                zone=said.zone,
            )


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:  # a slice of names, which kube-proxy doesn't serve
        return None
