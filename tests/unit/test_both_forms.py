"""The default form, `publish: both`, and writes that go wrong on the way to the API server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace as struct_replace

from registrar.cluster.objects import Endpoints, EndpointSlice
from registrar.cluster.slices import TRIGGER_TIME
from registrar.contest import FREE
from registrar.embedded import Break, Delay, Fault, Refuse, Silence
from registrar.model import HoldReason, Outcome, Publish, ServiceKey
from tests.embedded_cluster import EmbeddedCluster
from tests.fakes import KEY, answer, mapping, pass_time
from tests.world import World, unchecked

pytestmark = pytest.mark.looptime

UP = {"10.0.0.1": True}
BOTH_UP = {"10.0.0.1": True, "10.0.0.2": True}
RESOURCES = ("endpointslices", "endpoints")


def made(cluster: EmbeddedCluster | None = None) -> World:
    world = World(unchecked(publish=Publish.BOTH), cluster=cluster)
    if cluster is None:
        world.cluster.service()
    world.says.answer = answer("10.0.0.1")
    return world


def stored(world: World, resource: str) -> int:
    """Return how often an object of a kind was changed, by whomever."""
    return sum(change.resource == resource for change in world.cluster.server.history)


# --- one write of each ---------------------------------------------------------------------------


async def test_a_change_is_one_write_of_each_object_the_slice_first() -> None:
    world = World(mapping(publish=Publish.BOTH))
    world.cluster.service()
    async with world.running():
        await world.say("10.0.0.1", "10.0.0.2")
        for outcomes, wanted, writes in (
            ([Outcome.PASSED], UP, ["create endpointslices", "create endpoints"]),
            ([Outcome.FAILED] * 3, {"10.0.0.1": False}, None),
            ([Outcome.PASSED] * 2, UP, None),
        ):
            before = len(world.cluster.writes)
            await world.judge("10.0.0.1", *outcomes)
            assert world.sliced() == world.published() == wanted
            expected = writes or ["update endpointslices", "update endpoints"]
            assert world.cluster.writes[before:] == expected
        await pass_time(3600)
    assert len(world.cluster.writes) == world.standing().written == 6


async def test_of_many_services_all_slices_come_before_any_endpoints() -> None:
    keys = [ServiceKey("shop", f"web-{number}") for number in range(40)]
    world = World(*(unchecked(key, Publish.BOTH) for key in keys))
    for key in keys:
        world.cluster.service(key)
    world.says.answer = answer("10.0.0.1")
    async with world.running():
        await world.say("10.0.0.1", "10.0.0.2")
        assert all(world.sliced(key) == world.published(key) == BOTH_UP for key in keys)
        assert all(world.standing(key).written == 4 for key in keys)
    writes = world.cluster.writes
    assert len(writes) == 160
    assert writes[80:120].count("update endpointslices") == 40
    published = [line["service"] for line in world.logs if line["event"] == "published"]
    assert sorted(published) == sorted(2 * [str(key) for key in keys])


async def test_what_is_put_right_in_two_parts_is_one_correction() -> None:
    keys = [ServiceKey("shop", f"web-{number}") for number in range(40)]
    world = World(*(unchecked(key, Publish.BOTH) for key in keys))
    for key in keys:
        world.cluster.service(key)
    world.says.answer = answer("10.0.0.1")
    async with world.running():
        for _ in range(FREE):
            for key in keys:
                empty_endpoints(world.cluster, key)
                for one in world.own_slices(key):
                    world.cluster.set(struct_replace(one, endpoints=()))
            await pass_time(0.2)
            assert all(world.sliced(key) == world.published(key) == UP for key in keys)
    assert not world.logged("hold")


async def test_a_new_process_writes_nothing_where_nothing_differs() -> None:
    before = made()
    async with before.running():
        written = list(before.cluster.writes)
    after = made(before.cluster)
    async with after.running(600):
        assert after.reasons() == []
    assert after.cluster.writes == written
    assert not after.logged("published")


async def test_slices_tell_when_we_learned_of_what_changed() -> None:
    world = made()
    async with world.running(0.5):
        await pass_time(99.5)
        await world.say("10.0.0.1", "10.0.0.2")
        (found,) = world.own_slices()
    said = datetime.fromisoformat(found.metadata.annotations[TRIGGER_TIME])
    assert said == datetime(2026, 1, 1, 0, 1, 40, tzinfo=UTC)


@pytest.mark.parametrize("fault", [Silence(), Refuse(500)])
async def test_killed_between_slices_and_endpoints_the_slices_are_the_truth(fault: Fault) -> None:
    before = made()
    async with before.running():
        stuck = before.cluster.fault(fault, "update", "endpoints")
        await before.say("10.0.0.1", "10.0.0.2")
        assert before.sliced() == BOTH_UP
        assert before.published() == UP
    stuck.end()
    after = made(before.cluster)
    after.says.answer, after.says.error = None, "connection refused"
    async with after.running():
        assert after.sliced() == after.published() == BOTH_UP
        assert after.reasons() == [HoldReason.SOURCE_UNKNOWN]
    assert after.cluster.writes[-1] == "update endpoints"
    assert after.cluster.asked("update endpointslices") == 1


# --- writes that go wrong -------------------------------------------------------------------------


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("fault", [Refuse(500), Refuse(429), Refuse(409), Break(), Silence()])
async def test_a_write_that_failed_is_made_up_for_once(fault: Fault, resource: str) -> None:
    world = made()
    async with world.running():
        rule = world.cluster.fault(fault, "update", resource, times=1)
        await world.say("10.0.0.1", "10.0.0.2")
        await pass_time(12)
        assert rule.hits == 1
        assert world.sliced() == world.published() == BOTH_UP
        assert world.reasons() == []
        assert [stored(world, one) for one in RESOURCES] == [2, 2]


@pytest.mark.parametrize("verb", ["create", "update"])
@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("fault", [Break(applied=True), Silence(applied=True)])
@pytest.mark.parametrize("is_deaf", [False, True])
async def test_a_write_whose_answer_is_lost_is_not_made_twice(
    fault: Fault,
    resource: str,
    verb: str,
    is_deaf: bool,  # noqa: FBT001  a parameter
) -> None:
    world = made()
    world.says.answer = answer("10.0.0.1") if verb == "update" else None
    async with world.running():
        if is_deaf:  # the watch doesn't tell of it either
            world.cluster.deafen()
        rule = world.cluster.fault(fault, verb, resource, times=1)
        await world.say("10.0.0.1", "10.0.0.2")
        await pass_time(15)
        assert rule.hits == 1
        assert world.sliced() == world.published() == BOTH_UP
        assert world.reasons() == []
        assert [stored(world, one) for one in RESOURCES] == [2 if verb == "update" else 1] * 2


async def test_a_deletion_whose_answer_is_lost_is_over() -> None:
    world = made()
    async with world.running():
        pass
    after = World(unchecked(publish=Publish.ENDPOINTSLICES), cluster=world.cluster)
    after.says.answer = answer("10.0.0.1")
    after.cluster.fault(Break(applied=True), "delete", times=1)
    async with after.running(5):
        assert after.published() is None
        assert after.sliced() == UP
        assert after.reasons() == []
    assert after.cluster.asked("delete endpoints") == 1


async def test_a_change_during_a_silence_is_what_is_written_after_it() -> None:
    world = made()
    async with world.running():
        world.cluster.fault(Silence(), "update", times=1)
        await world.say("10.0.0.1", "10.0.0.2")
        assert world.sliced() == UP
        await world.say("10.0.0.2")
        await pass_time(9)
        assert world.reason() is None  # there may still be an answer
        await pass_time(2)
        assert world.sliced() == world.published() == {"10.0.0.2": True}
        assert [stored(world, one) for one in RESOURCES] == [2, 2]


def empty_endpoints(cluster: EmbeddedCluster, key: ServiceKey = KEY) -> None:
    found = cluster.find(Endpoints, key.name)
    assert found is not None
    cluster.set(struct_replace(found, subsets=()))


@pytest.mark.parametrize("deed", [lambda _: None, empty_endpoints])
async def test_while_the_api_server_is_away_nothing_is_lost(
    deed: Callable[[EmbeddedCluster], None],
) -> None:
    world = made()
    async with world.running():
        away = world.cluster.fault(Break())
        world.cluster.server.cut_watches()
        deed(world.cluster)
        await world.say("10.0.0.1", "10.0.0.2")
        await pass_time(600)
        assert world.reason() is HoldReason.CLUSTER_UNREACHABLE
        assert world.sliced() == UP
        away.end()
        await pass_time(61)
        assert world.sliced() == world.published() == BOTH_UP
        assert world.reasons() == []


async def test_a_namespace_that_ends_is_left_in_peace() -> None:
    world = made()
    async with world.running():
        world.cluster.end_namespace("shop")
        await pass_time(0.1)
        await world.say("10.0.0.2")
        await pass_time(60)
        assert world.cluster.slices() == ()
        assert world.reason() in {HoldReason.NAMESPACE_TERMINATING, HoldReason.SERVICE_MISSING}


async def test_in_a_namespace_that_ends_nothing_is_made_and_that_is_no_alarm() -> None:
    world = made()
    async with world.running():
        world.cluster.deafen()  # so that the end of what is there is not seen
        world.cluster.fault(Delay(2), "create", "endpointslices", times=1)
        for found in world.cluster.slices():
            world.cluster.drop(EndpointSlice, found.metadata.name)
        await world.say("10.0.0.2")
        await pass_time(0.1)  # what is to be written again is under way
        world.cluster.end_namespace("shop")
        while world.reason() is None:
            await pass_time(0.1)
        assert world.reason() is HoldReason.NAMESPACE_TERMINATING
        tried = world.cluster.asked("create endpointslices")
        await pass_time(30)
        assert world.reason() is HoldReason.SERVICE_MISSING
        assert world.cluster.asked("create endpointslices") == tried
    lines = [line for line in world.logs if line["event"] == "hold"]
    assert lines[0]["reason"] == "namespace-terminating"
    assert lines[0]["log_level"] == "info"
