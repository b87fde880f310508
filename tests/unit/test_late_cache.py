"""Nothing is created or given up on the word of a cache that is late: it is read first."""

from __future__ import annotations

import pytest

from registrar.cluster.objects import Endpoints, EndpointSlice, ObjectMeta, Service
from registrar.embedded import Refuse
from registrar.model import HoldReason, Publish
from tests.embedded_cluster import EmbeddedCluster
from tests.fakes import KEY, answer, pass_time
from tests.world import World, unchecked

pytestmark = pytest.mark.looptime

ONE, TWO = "10.0.0.1", "10.0.0.2"
READS = ("get services", "get endpoints", "list endpointslices")


def made(publish: Publish = Publish.BOTH, cluster: EmbeddedCluster | None = None) -> World:
    world = World(unchecked(publish=publish), cluster=cluster)
    if cluster is None:
        world.cluster.service()
    return world


async def test_what_is_made_for_a_service_is_made_for_the_one_that_is_there() -> None:
    world = made()
    async with world.running():
        deaf = world.cluster.deafen()
        world.cluster.drop(Service, KEY.name)
        again = world.cluster.service()
        await world.say(ONE)
        (found,) = world.own_slices()
        assert found.metadata.owner_references[0].uid == again.metadata.uid
        assert world.cluster.writes == ["create endpointslices", "create endpoints"]
        assert world.reason() is None
        deaf.end()
        await pass_time(60)
    assert len(world.cluster.writes) == 2


async def test_nothing_is_made_for_a_service_that_is_gone() -> None:
    world = made()
    async with world.running():
        world.cluster.deafen()
        world.cluster.drop(Service, KEY.name)
        await world.say(ONE)
        assert world.reason() is HoldReason.SERVICE_MISSING
        assert world.cluster.writes == []


async def test_nothing_is_made_for_a_service_that_has_gained_a_selector() -> None:
    world = made()
    async with world.running():
        world.cluster.deafen()
        world.cluster.service(selector={"app": "web"})
        await world.say(ONE)
        assert world.reason() is HoldReason.SERVICE_HAS_SELECTOR
        assert world.cluster.writes == []


async def test_nothing_is_let_go_of_a_service_that_has_lost_its_selector_again() -> None:
    world = made()
    world.says.answer = answer(ONE)
    async with world.running():
        world.cluster.service(selector={"app": "web"})
        await pass_time(1)
        world.cluster.deafen()
        world.cluster.service()
        await pass_time(60)
        assert world.sliced() == {ONE: True}
        assert world.reason() is None


async def test_endpoints_stay_until_slices_are_really_there() -> None:
    world = made(Publish.BOTH)
    world.says.answer = answer(ONE)
    async with world.running():
        world.cluster.deafen()
        (found,) = world.own_slices()
        world.cluster.drop(EndpointSlice, found.metadata.name)
        await world.reload(unchecked(publish=Publish.ENDPOINTSLICES))
        await pass_time(2)
        assert world.cluster.writes[2:] == ["create endpointslices", "delete endpoints"]
        assert world.sliced() == {ONE: True}


async def test_an_object_that_somebody_has_made_meanwhile_is_left_alone() -> None:
    world = made(Publish.ENDPOINTS)
    async with world.running():
        world.cluster.deafen()
        theirs = world.cluster.set(
            Endpoints(metadata=ObjectMeta(name=KEY.name, namespace=KEY.namespace))
        )
        await world.say(ONE)
        assert world.reason() is HoldReason.NOT_OURS
        assert world.cluster.find(Endpoints, KEY.name) == theirs
        assert world.cluster.asked("create endpoints") == 0


async def test_an_orphan_is_looked_at_before_it_goes() -> None:
    world = made()
    world.says.answer = answer(ONE)
    async with world.running():
        await world.reload()
        world.cluster.deafen()
        before = world.cluster.asked(*READS)
        await pass_time(100)
        assert world.own_slices() == []
        assert world.published() is None
        assert world.cluster.asked(*READS) == before + 2


async def test_updates_read_nothing_and_a_creation_reads_two_things() -> None:
    world = made()
    async with world.running():
        before = world.cluster.asked(*READS)
        await world.say(ONE)
        assert world.cluster.writes == ["create endpointslices", "create endpoints"]
        assert world.cluster.asked(*READS) == before + 4
        for n in range(5):
            await world.say(ONE, f"10.0.1.{n}")
        assert len(world.cluster.writes) == 12
        assert world.cluster.asked(*READS) == before + 4


async def test_without_the_right_to_read_a_service_nothing_is_made_for_it() -> None:
    world = made()
    async with world.running():
        rule = world.cluster.fault(Refuse(403), "get", "services")
        await world.say(ONE)
        assert world.reason() is HoldReason.FORBIDDEN
        assert world.cluster.writes == []
        rule.end()
        await pass_time(60)
        assert world.sliced() == {ONE: True}
