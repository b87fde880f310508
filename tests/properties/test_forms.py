"""What holds of the way from any form in which a Service is published to any other.

The cluster's mirroring controller is played here, as late as it likes.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as struct_replace

from registrar.cluster import endpoints, slices
from registrar.cluster.forms import Write, after, next_step, own_slices, published
from registrar.cluster.objects import (
    ApiObject,
    Endpoints,
    EndpointSlice,
    ObjectMeta,
    OwnerReference,
    SliceConditions,
    SliceEndpoint,
    SlicePort,
)
from registrar.cluster.view import Held
from registrar.model import Endpoint, EndpointId, Publish, ServiceMapping, ServiceState
from tests.fakes import KEY

SERVICE = ServiceState("uid-1", ())
NOW = "2026-01-01T00:00:00Z"
MIRROR = "endpointslicemirroring-controller.k8s.io"
ENOUGH = 20

ids = st.builds(
    EndpointId,
    st.just("http"),
    st.just("TCP"),
    st.integers(1, 5).map(lambda n: IPv4Address(f"10.0.0.{n}")),
    st.sampled_from([80, 81]),
)
wanted_sets = st.dictionaries(ids, st.booleans(), max_size=6).map(
    lambda d: frozenset(Endpoint(i, ready) for i, ready in d.items())
)
forms = st.sampled_from(list(Publish))
histories = st.lists(st.tuples(forms, wanted_sets), min_size=1, max_size=5)
lateness = st.lists(st.booleans(), max_size=ENOUGH)


def a_slice(
    name: str, manager: str, address: str, owner: str = "uid-1", instance: str = "office"
) -> EndpointSlice:
    return EndpointSlice(
        metadata=ObjectMeta(
            name=name,
            namespace=KEY.namespace,
            labels={slices.SERVICE_NAME: KEY.name, slices.MANAGED_BY: manager},
            annotations={slices.INSTANCE: instance},
            owner_references=(OwnerReference(uid=owner),),
        ),
        address_type="IPv4",
        endpoints=(SliceEndpoint(addresses=(address,), conditions=SliceConditions(ready=True)),),
        ports=(SlicePort(name="http", port=80, protocol="TCP"),),
    )


FOREIGN = (
    a_slice("by-hand", "somebody", "10.0.9.1"),
    a_slice("of-pods", "endpointslice-controller.k8s.io", "10.0.9.2"),
    a_slice("elsewhere", slices.MANAGER, "10.0.9.3", instance="elsewhere"),
)


class World:
    """What a cluster holds for one Service, with a mirroring controller that may be late."""

    def __init__(self, held: Held, late: list[bool]) -> None:
        self.held = held
        self._late = list(late)
        self.seen: list[frozenset[EndpointId]] = []
        self.written: list[ApiObject] = []
        self._look()

    def write(self, writes: tuple[Write, ...]) -> None:
        for write in writes:
            # As it comes back from the API server.
            kind = type(write.object)
            stored = msgspec.json.decode(msgspec.json.encode(write.object), type=kind)
            self.held = after(self.held, [replace(write, object=stored)])
            self.written.append(write.object)
            self._look()
            if self._late and not self._late.pop():
                self.mirror()

    def mirror(self) -> None:
        rest = [s for s in self.held.slices if s.metadata.labels[slices.MANAGED_BY] != MIRROR]
        current = self.held.endpoints
        if current is not None and endpoints.SKIP_MIRROR not in current.metadata.labels:
            for n, endpoint in enumerate(endpoints.decode(current)):
                made = a_slice(f"mirrored-{n}", MIRROR, str(endpoint.id.address))
                conditions = SliceConditions(ready=endpoint.ready)
                (said,) = made.endpoints or ()
                port = SlicePort(name="http", port=endpoint.id.port, protocol="TCP")
                rest.append(
                    struct_replace(
                        made,
                        endpoints=(struct_replace(said, conditions=conditions),),
                        ports=(port,),
                    )
                )
        self.held = replace(self.held, slices=tuple(rest))
        self._look()

    def settle(self, mapping: ServiceMapping, wanted: frozenset[Endpoint]) -> None:
        for _ in range(ENOUGH):
            step = next_step(mapping, "office", self.held, SERVICE, wanted, NOW)
            if step.writes:
                self.write(step.writes)
            elif step.awaits_mirror:
                self.mirror()
            else:
                self.mirror()
                return
        raise AssertionError("it does not come to rest")

    @property
    def serves(self) -> frozenset[EndpointId]:
        return frozenset(e.id for e in slices.decode(self.held.slices) if e.ready)

    def _look(self) -> None:
        self.seen.append(self.serves)


def mapped(publish: Publish, *, adopt: bool = False) -> ServiceMapping:
    return ServiceMapping(KEY, (), publish, adopt)


@given(histories, lateness)
def test_whoever_stays_ready_is_served_at_every_step(
    history: list[tuple[Publish, frozenset[Endpoint]]], late: list[bool]
) -> None:
    world = World(Held(SERVICE), late)
    before: frozenset[Endpoint] = frozenset()
    for publish, wanted in history:
        world.seen.clear()
        world.settle(mapped(publish), wanted)
        staying = {e.id for e in before if e.ready} & {e.id for e in wanted if e.ready}
        for seen in world.seen:
            assert staying <= seen
        assert world.serves == {e.id for e in wanted if e.ready}
        before = wanted


@given(histories, lateness)
def test_where_it_ends_does_not_depend_on_the_way_and_nothing_more_is_written(
    history: list[tuple[Publish, frozenset[Endpoint]]], late: list[bool]
) -> None:
    world = World(Held(SERVICE), late)
    for publish, wanted in history:
        world.settle(mapped(publish), wanted)
        held = world.held
        there = published(held, "office")
        assert there is not None
        assert there.ours
        assert {(e.id, e.ready) for e in there.endpoints} == {(e.id, e.ready) for e in wanted}
        assert bool(own_slices(held, "office")) is (publish is not Publish.ENDPOINTS)
        assert (held.endpoints is not None) is (publish is not Publish.ENDPOINTSLICES)
        count = len(world.written)
        world.settle(mapped(publish), wanted)
        assert len(world.written) == count


@given(forms, wanted_sets, st.booleans())
def test_what_is_not_ours_is_never_written(
    publish: Publish,
    wanted: frozenset[Endpoint],
    with_endpoints: bool,  # noqa: FBT001  a parameter
) -> None:
    theirs = Endpoints(metadata=ObjectMeta(name=KEY.name, namespace=KEY.namespace))
    held = Held(SERVICE, theirs if with_endpoints else None, FOREIGN)
    world = World(held, [])
    for _ in range(ENOUGH):
        step = next_step(mapped(publish), "office", world.held, SERVICE, wanted, NOW)
        if not step.writes:
            break
        world.write(step.writes)
    assert step.conflict is with_endpoints
    assert step.leftovers == ("of-pods",)
    names = {item.metadata.name for item in world.written}
    assert not names & {one.metadata.name for one in FOREIGN}
    assert not (with_endpoints and KEY.name in names)


@given(forms, wanted_sets)
def test_with_adopt_leftovers_go_only_once_a_backend_of_ours_is_ready(
    publish: Publish, wanted: frozenset[Endpoint]
) -> None:
    world = World(Held(SERVICE, None, FOREIGN), [])
    world.settle(mapped(publish, adopt=True), wanted)
    world.settle(mapped(publish, adopt=True), wanted)
    pods = FOREIGN[1].metadata.name
    is_ready = any(endpoint.ready for endpoint in wanted)
    assert (pods in {one.metadata.name for one in world.held.slices}) is not is_ready
    for seen in world.seen:
        assert seen & {e.id for e in slices.decode([FOREIGN[1]])} or seen & {e.id for e in wanted}


@given(forms, wanted_sets)
def test_slices_of_an_earlier_service_go_last(
    publish: Publish, wanted: frozenset[Endpoint]
) -> None:
    old = a_slice("web-old-0", slices.MANAGER, "10.0.0.1", owner="uid-0")
    world = World(Held(SERVICE, None, (old,)), [])
    world.settle(mapped(publish), wanted)
    assert old not in world.held.slices
    assert world.written[-1].metadata.name == "web-old-0"
