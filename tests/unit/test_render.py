"""What is rendered without a cluster is what a cluster takes, and what registrar would write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registrar.cluster import endpoints, slices
from registrar.cluster.objects import Endpoints, EndpointSlice, Service
from registrar.model import (
    Answer,
    Hold,
    HoldReason,
    NetworkRules,
    NewPort,
    NewService,
    Observation,
    PartState,
    PortMapping,
    Publish,
    ServiceMapping,
)
from registrar.render import Manifest, manifests
from tests.embedded_cluster import EmbeddedCluster
from tests.fakes import CHECK, KEY, QUERY, answer, endpoint, mapping
from tests.world import INSTANCE, World, unchecked

NEW = NewService((NewPort("", 80, target_port=8080),))
TWO = frozenset({endpoint("10.0.0.1"), endpoint("10.0.0.2")})


def rendered(
    mapped: ServiceMapping, said: Answer | None, error: str | None = None
) -> tuple[Manifest, ...] | Hold:
    part = PartState("racks.yaml", said, 1.0 if said else None, error)
    return manifests(mapped, INSTANCE, {QUERY: Observation((part,))}, NetworkRules())


def objects(mapped: ServiceMapping, said: Answer) -> tuple[Manifest, ...]:
    found = rendered(mapped, said)
    assert not isinstance(found, Hold)
    return found


@pytest.mark.parametrize(
    ("publish", "kinds"),
    [
        (Publish.BOTH, [EndpointSlice, Endpoints]),
        (Publish.ENDPOINTS, [Endpoints]),
        (Publish.ENDPOINTSLICES, [EndpointSlice]),
    ],
)
def test_each_form_is_what_a_cluster_takes(publish: Publish, kinds: list[type]) -> None:
    cluster = EmbeddedCluster()
    cluster.service()
    # What is checked counts as up: there is nobody to check it.
    found = objects(mapping(publish=publish), answer("10.0.0.1", "10.0.0.2"))
    assert [type(item) for item in found] == kinds
    for item in found:
        stored = cluster.set(item)
        if isinstance(stored, EndpointSlice):
            assert slices.decode([stored]) == TWO
            assert slices.is_marked(stored, INSTANCE)
        elif isinstance(stored, Endpoints):
            assert endpoints.decode(stored) == TWO
            assert endpoints.is_ours(stored, INSTANCE)


def test_what_only_a_cluster_knows_is_left_out() -> None:
    for item in objects(unchecked(publish=Publish.BOTH), answer("10.0.0.1")):
        meta = item.metadata
        assert (meta.uid, meta.resource_version, meta.owner_references) == ("", "", ())
        assert slices.TRIGGER_TIME not in meta.annotations
        assert meta.namespace == KEY.namespace


def test_a_service_that_is_to_be_made_comes_first_with_its_numbers() -> None:
    mapped = replace(unchecked(publish=Publish.BOTH), create=NEW)
    found = objects(mapped, answer("10.0.0.1", port=None))
    assert [type(item) for item in found] == [Service, EndpointSlice, Endpoints]
    cluster = EmbeddedCluster()
    for item in found:
        cluster.set(item)
    (one,) = cluster.slices()
    assert slices.decode([one]) == {endpoint("10.0.0.1", port=8080)}


def test_the_ports_are_those_that_the_mapping_names() -> None:
    ports = tuple(PortMapping(name, (QUERY,), None, CHECK) for name in ("http", "admin"))
    found = objects(ServiceMapping(KEY, ports), answer("10.0.0.1"))
    one = found[-1]
    assert isinstance(one, Endpoints)
    assert endpoints.decode(one) == {
        endpoint("10.0.0.1", name="http"),
        endpoint("10.0.0.1", name="admin"),
    }


@pytest.mark.parametrize(
    ("said", "error", "reason"),
    [
        (None, "connection refused", HoldReason.SOURCE_UNKNOWN),
        # What a source said before it failed is not all there is to know.
        (answer("10.0.0.1"), "connection refused", HoldReason.SOURCE_UNKNOWN),
        (None, None, HoldReason.WAITING),
        (answer("10.0.0.1", port=None), None, HoldReason.NO_PORT),
    ],
)
def test_what_is_not_known_is_not_rendered(
    said: Answer | None, error: str | None, reason: HoldReason
) -> None:
    found = rendered(unchecked(publish=Publish.BOTH), said, error)
    assert isinstance(found, Hold)
    assert found.reason is reason


def test_no_backends_are_rendered_as_none() -> None:
    found = objects(unchecked(publish=Publish.BOTH), answer())
    assert [type(item) for item in found] == [EndpointSlice, Endpoints]


@pytest.mark.looptime
async def test_what_was_applied_by_hand_is_taken_up_without_a_gap() -> None:
    world = World(unchecked(publish=Publish.BOTH))
    world.cluster.service()
    for item in objects(unchecked(publish=Publish.BOTH), answer("10.0.0.1")):
        world.cluster.set(item)
    world.says.answer = answer("10.0.0.1")
    async with world.running():
        assert world.sliced() == world.published() == {"10.0.0.1": True}
        assert len(world.own_slices()) == 1
    assert world.cluster.writes == ["create endpointslices", "delete endpointslices"]
