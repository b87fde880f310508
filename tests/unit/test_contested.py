"""What others do to our objects is put right: at once, and ever later where they don't stop."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as struct_replace

from registrar.cluster.objects import EndpointAddress, Endpoints, Service
from registrar.model import HoldReason, Publish, ServiceKey
from tests.fakes import KEY, answer, loop_seconds, pass_time
from tests.world import World, unchecked

pytestmark = pytest.mark.looptime

OTHER = ServiceKey("shop", "api")
UP = {"10.0.0.1": True}
BOTH_UP = {"10.0.0.1": True, "10.0.0.2": True}


def made(publish: Publish = Publish.BOTH) -> World:
    """Return a world with a Service, mapped, and one backend that counts as up."""
    world = World(unchecked(publish=publish))
    world.cluster.service()
    world.says.answer = answer("10.0.0.1")
    return world


async def interfere(world: World) -> float:
    """Empty the Endpoints as somebody else; return how long that lasts."""
    ours = world.cluster.find(Endpoints, KEY.name)
    assert ours is not None
    world.cluster.set(struct_replace(ours, subsets=()))
    begin = loop_seconds()
    while world.published() == {}:
        await pass_time(max(0.05, 0.03 * (loop_seconds() - begin)))
        assert loop_seconds() < begin + 120
    return loop_seconds() - begin


@pytest.mark.parametrize("publish", [Publish.BOTH, Publish.ENDPOINTS])
async def test_what_others_change_is_put_right_at_once_and_then_ever_later(
    publish: Publish,
) -> None:
    world = made(publish)
    async with world.running():
        lasted = [await interfere(world) for _ in range(11)]
    assert lasted == pytest.approx([0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60], abs=0.2, rel=0.05)


async def test_what_must_not_be_published_goes_within_a_second_however_often_it_is_put_there() -> (
    None
):
    world = made(Publish.ENDPOINTS)
    own = EndpointAddress(ip="198.51.100.9")  # one of the cluster's own
    lasted = []
    async with world.running():
        for _ in range(8):
            ours = world.cluster.find(Endpoints, KEY.name)
            assert ours is not None
            subsets = tuple(struct_replace(one, addresses=(own,)) for one in ours.subsets or ())
            world.cluster.set(struct_replace(ours, subsets=subsets))
            begin = loop_seconds()
            await pass_time(0.05)
            while world.published() != UP:
                await pass_time(0.05)
            lasted.append(loop_seconds() - begin)
    assert max(lasted) < 1.2
    assert max(lasted) > 0.5  # and still it is no loop without a pause


async def test_who_keeps_changing_ours_is_reported_until_that_stops() -> None:
    world = made(Publish.ENDPOINTS)
    async with world.running():
        for _ in range(4):
            assert world.reasons() == []
            await interfere(world)
        ours = world.cluster.find(Endpoints, KEY.name)
        assert ours is not None
        world.cluster.set(struct_replace(ours, subsets=()))
        await pass_time(0.5)
        assert world.reasons() == [HoldReason.CONTESTED]
        assert "put right 4 times" in world.standing().holds[0].detail
        await pass_time(2)
        assert world.published() == UP
        assert world.reasons() == []


async def test_a_real_change_waits_for_no_contest() -> None:
    world = made(Publish.ENDPOINTS)
    async with world.running():
        for _ in range(8):
            await interfere(world)
        ours = world.cluster.find(Endpoints, KEY.name)
        assert ours is not None
        world.cluster.set(struct_replace(ours, subsets=()))
        await pass_time(1)
        assert world.published() == {}
        await world.say("10.0.0.1", "10.0.0.2")
        assert world.published() == BOTH_UP


async def test_after_a_contest_a_service_made_again_is_published_at_once() -> None:
    world = made()
    async with world.running():
        for _ in range(8):
            await interfere(world)
        world.cluster.drop(Service, KEY.name)
        again = world.cluster.service()
        await pass_time(0.2)
        (found,) = world.own_slices()
        assert found.metadata.owner_references[0].uid == again.metadata.uid


async def test_one_contest_delays_no_other_service() -> None:
    world = World(unchecked(), unchecked(OTHER))
    for key in (KEY, OTHER):
        world.cluster.service(key)
    world.says.answer = answer("10.0.0.1")
    async with world.running():
        for _ in range(6):
            await interfere(world)
        world.cluster.drop(Endpoints, OTHER.name)
        await pass_time(0.1)
        assert world.published(OTHER) == UP
