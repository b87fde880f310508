"""What a change of the configuration does to what is published, on the embedded API server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registrar.cluster.objects import Endpoints, ObjectMeta
from registrar.decide.reload import digest
from registrar.embedded import Delay, Refuse
from registrar.model import (
    ApiLimits,
    HoldReason,
    NewPort,
    NewService,
    Outcome,
    PortMapping,
    Publish,
    ServiceKey,
)
from registrar.reload import difference
from tests.embedded_cluster import EmbeddedCluster
from tests.fakes import CHECK, KEY, QUERY, answer, loop_seconds, mapping, pass_time
from tests.world import World, unchecked

pytestmark = pytest.mark.looptime

OLD = ServiceKey("shop", "old")
ELSEWHERE = ServiceKey("office", "db")
UP = {"10.0.0.1": True}
KEYS = [ServiceKey("shop", f"web-{number}") for number in range(12)]


def world_of(*keys: ServiceKey, cluster: EmbeddedCluster | None = None) -> World:
    world = World(*(unchecked(key) for key in keys), cluster=cluster)
    for key in keys:
        world.cluster.service(key)
    world.says.answer = answer("10.0.0.1")
    return world


def events(world: World, event: str) -> list[object]:
    return [line.get("service") for line in world.logs if line["event"] == event]


# --- limits ---------------------------------------------------------------------------------------


async def test_as_many_services_are_looked_at_at_a_time_as_the_configuration_says_now() -> None:
    keys = KEYS[:8]
    world = world_of(*keys)
    world.says.answer = None
    begun: list[float] = []
    async with world.running():
        world.cluster.fault(Delay(1), "create", "endpoints")
        for concurrency, expected in ((2, 4), (8, 1), (4, 2)):
            config = replace(world.app.config, api=ApiLimits(concurrency=concurrency))
            world.app.apply(config, difference(world.app.config, config))
            for key in keys:
                if world.published(key) is not None:
                    world.cluster.drop(Endpoints, key.name)
            begun.append(loop_seconds())
            await world.say("10.0.0.1")
            while not all(world.published(key) == UP for key in keys):
                await pass_time(0.1)
            assert loop_seconds() - begun[-1] == pytest.approx(expected, abs=0.6)
            await pass_time(60)  # so that the next round is no fight


# --- added and changed ----------------------------------------------------------------------------


@pytest.mark.parametrize("key", [OLD, ELSEWHERE])
async def test_what_is_added_is_published_and_nothing_else_is_touched(key: ServiceKey) -> None:
    world = world_of(KEY)
    world.cluster.service(key)
    async with world.running():
        before = len(world.cluster.writes)
        watches = world.cluster.asked("watch services")
        await world.reload(unchecked(KEY), unchecked(key))
        assert world.published(key) == UP
        assert world.cluster.writes[before:] == ["create endpoints"]
        opened = world.cluster.asked("watch services") - watches
        assert opened == (1 if key is ELSEWHERE else 0)  # a watch that is there goes on
        await world.say("10.0.0.2")
        assert world.published(key) == world.published() == {"10.0.0.2": True}
    assert not events(world, "hold")


async def test_what_is_there_for_what_is_added_is_seen_before_anything_is_decided() -> None:
    world = world_of(KEY)
    world.cluster.service(OLD)
    meta = ObjectMeta(name=OLD.name, namespace=OLD.namespace)
    theirs = world.cluster.set(Endpoints(metadata=meta))
    async with world.running():
        world.cluster.fault(Delay(5.0), "list", "endpoints")
        await world.reload(unchecked(KEY), unchecked(OLD))
        await pass_time(4)
        assert OLD not in world.reconciler.standings
        await pass_time(2)
        assert HoldReason.NOT_OURS in world.reasons(OLD)
        assert world.cluster.find(Endpoints, OLD.name) == theirs


async def test_a_change_is_applied_and_keeps_what_was_found_out() -> None:
    world = World(mapping())
    world.cluster.service()
    async with world.running():
        await world.say("10.0.0.1", "10.0.0.2")
        await world.judge("10.0.0.1", Outcome.PASSED)
        await world.judge("10.0.0.2", Outcome.PASSED)
        before = len(world.cluster.writes)
        targets = list(world.engine.targets)
        await world.reload(replace(mapping(), max_backends=7))
        assert world.engine.targets == targets
        await pass_time(600)
        assert len(world.cluster.writes) == before
        slower = PortMapping(None, (QUERY,), None, replace(CHECK, interval=60.0))
        await world.reload(mapping(slower))
        assert {t.check.interval for t in world.engine.targets} == {60.0}
        await pass_time(600)  # as whoever is published is adopted, nobody has to wait for a check
        assert len(world.cluster.writes) == before
        assert world.published() == {"10.0.0.1": True, "10.0.0.2": True}


async def test_another_form_is_a_change_and_no_contest() -> None:
    world = world_of(KEY)
    forms = (Publish.BOTH, Publish.ENDPOINTSLICES) * 3
    async with world.running():
        for form in forms:
            await world.reload(unchecked(KEY, form))
            assert world.sliced() == UP
            assert (world.published() is None) is (form is Publish.ENDPOINTSLICES)
    assert not events(world, "hold")


# --- removed --------------------------------------------------------------------------------------


async def test_what_is_removed_is_served_no_more_at_once_and_goes_after_half_a_minute() -> None:
    world = World(mapping(), unchecked(OLD))
    for key in (KEY, OLD):
        world.cluster.service(key)
    async with world.running():
        await world.say("10.0.0.1")
        await world.judge("10.0.0.1", Outcome.PASSED)
        await pass_time(100)
        await world.reload(unchecked(OLD))
        assert world.engine.targets == []
        assert KEY not in world.reconciler.standings
        await world.say("10.0.0.2")
        await pass_time(28)
        assert world.published() == UP
        await pass_time(3)
        assert world.published() is None
        assert world.published(OLD) == {"10.0.0.2": True}
    assert events(world, "orphan-removed") == ["shop/web"]


async def test_every_change_starts_the_half_minute_anew() -> None:
    world = world_of(KEY, OLD)
    async with world.running(100):
        await world.reload(unchecked(KEY))
        await pass_time(25)
        await world.reload(unchecked(KEY, Publish.BOTH))
        await pass_time(25)
        assert world.published(OLD) == UP
        await pass_time(6)
        assert world.published(OLD) is None


async def test_what_comes_back_in_time_is_not_written() -> None:
    world = world_of(KEY, OLD)
    async with world.running(100):
        before = len(world.cluster.writes)
        await world.reload(unchecked(KEY))
        await pass_time(29)
        await world.reload(unchecked(KEY), unchecked(OLD))
        await pass_time(600)
        assert world.published(OLD) == UP
        assert len(world.cluster.writes) == before


async def test_what_comes_back_while_it_goes_is_published_again() -> None:
    world = world_of(KEY, OLD)
    async with world.running(100):
        await world.reload(unchecked(KEY))
        await pass_time(29)
        world.cluster.fault(Delay(5.0), "delete")
        await pass_time(2)  # its deletion is on its way
        await world.reload(unchecked(KEY), unchecked(OLD))
        assert world.published(OLD) == UP
        world.cluster.deafen()
        await pass_time(10)
        assert world.published(OLD) == UP
        assert world.cluster.writes[-2:] == ["delete endpoints", "create endpoints"]


async def test_what_comes_back_while_others_go_stays() -> None:
    world = world_of(KEY, *KEYS[:2])
    async with world.running(100):
        await world.reload(unchecked(KEY))
        await pass_time(29)
        world.cluster.fault(Delay(5.0), "delete")
        await pass_time(2)
        before = len(world.cluster.writes)
        await world.reload(unchecked(KEY), unchecked(KEYS[1]))
        await pass_time(600)
        assert [world.published(key) for key in KEYS[:2]] == [None, UP]
        assert world.cluster.writes[before:] == ["delete endpoints"]


async def test_a_namespace_without_mappings_is_watched_until_nothing_of_ours_is_left() -> None:
    world = world_of(KEY, ELSEWHERE)
    async with world.running(100):
        assert world.cluster.server.watching() == 6
        world.cluster.fault(Refuse(500), "delete", times=1)
        await world.reload(unchecked(KEY))
        await pass_time(31)
        assert world.published(ELSEWHERE) == UP
        assert world.cluster.server.watching() == 6
        await pass_time(60)
        assert world.published(ELSEWHERE) is None
        await pass_time(60)
        assert world.cluster.server.watching() == 3
        await world.reload(unchecked(KEY), unchecked(ELSEWHERE))
        assert world.published(ELSEWHERE) == UP


async def test_nothing_goes_while_the_file_says_something_else_than_what_is_in_force() -> None:
    world = world_of(KEY, OLD)
    async with world.running(100):
        await world.reload(unchecked(KEY))
        await pass_time(10)
        world.app.doubt()
        await pass_time(600)
        assert world.published(OLD) == UP
        await world.reload(unchecked(KEY))
        await pass_time(31)
        assert world.published(OLD) is None


async def test_a_mapping_that_is_removed_while_it_is_looked_at_is_forgotten() -> None:
    world = World(mapping(), unchecked(OLD))
    for key in (KEY, OLD):
        world.cluster.service(key)
    async with world.running():
        await world.say("10.0.0.1")
        world.cluster.fault(Refuse(500), "create", "endpoints", times=1)
        world.cluster.transport.late_s = 5.0
        await world.judge("10.0.0.1", Outcome.PASSED)
        await world.reload(unchecked(OLD))
        await pass_time(600)
        assert KEY not in world.reconciler.standings
        assert world.engine.targets == []
        assert world.published() is None


async def test_a_mapping_that_is_changed_while_its_service_is_made_is_published_as_it_is_now() -> (
    None
):
    made = replace(unchecked(KEY), create=NewService((NewPort("", 80),)))
    world = World(made)
    world.says.answer = answer("10.0.0.1")
    world.cluster.fault(Delay(5.0), "create", "services")
    async with world.running():
        await world.reload(replace(made, publish=Publish.ENDPOINTSLICES))
        await pass_time(10)
        assert world.sliced() == UP
    assert world.cluster.writes == ["create services", "create endpointslices"]


# --- much at once ---------------------------------------------------------------------------------


async def test_what_was_accepted_goes_though_not_all_of_it_had_been_published() -> None:
    world = world_of(*KEYS[:11])
    mappings = [unchecked(key) for key in KEYS]
    async with world.running(100):
        await world.reload(*mappings)
        await world.reload(*mappings[:7], accept_removed=digest(set(KEYS[7:])))
        await pass_time(31)
        assert [world.published(key) for key in KEYS[7:]] == [None] * 5
        assert [world.published(key) for key in KEYS[:7]] == [UP] * 7
    assert not events(world, "orphans-kept")


MANY = [ServiceKey("shop", f"web-{number}") for number in range(20)]


async def accept_most_through_failures(world: World) -> None:
    """Keep four of MANY, and see the others go though some deletions fail at first."""
    world.cluster.fault(Refuse(500), "delete", times=8)
    kept = [unchecked(key) for key in MANY[:4]]
    await world.reload(*kept, accept_removed=digest(set(MANY[4:])))
    await pass_time(31)
    assert len([key for key in MANY if world.published(key)]) == 12
    await pass_time(60)
    assert [world.published(key) for key in MANY[4:]] == [None] * 16


async def test_what_was_accepted_goes_to_the_last_also_after_a_failure() -> None:
    world = world_of(*MANY)
    async with world.running(100):
        await accept_most_through_failures(world)
    assert not events(world, "orphans-kept")


async def test_what_was_accepted_after_a_restart_goes_to_the_last_as_well() -> None:
    world = world_of(*MANY)
    async with world.running(10):
        pass
    world = world_of(*MANY[:4], cluster=world.cluster)
    async with world.running(1):
        await accept_most_through_failures(world)
    assert not events(world, "orphans-kept")


async def test_what_was_accepted_and_came_back_has_to_be_accepted_again() -> None:
    world = world_of(*KEYS)
    mappings = [unchecked(key) for key in KEYS]
    async with world.running(100):
        await world.reload(*mappings[:7], accept_removed=digest(set(KEYS[7:])))
        await world.reload(*mappings)
        await world.reload(*mappings[:9])
        await world.reload(*mappings[:7])  # by small steps, of which each is few
        await pass_time(100)
        assert [world.published(key) for key in KEYS] == [UP] * 12
    assert len(events(world, "orphans-kept")) == 1


async def test_the_digest_in_the_log_accepts_what_is_found_after_a_restart() -> None:
    world = world_of(*KEYS)
    async with world.running(10):
        pass
    world = world_of(*KEYS[:7], cluster=world.cluster)
    mappings = [unchecked(key) for key in KEYS[:7]]
    async with world.running(100):
        (line,) = [line for line in world.logs if line["event"] == "orphans-kept"]
        assert line["digest"] in line["remedy"]
        await world.reload(*mappings, accept_removed="aaaaaaaaaaaa")
        await pass_time(100)
        assert world.published(KEYS[-1]) == UP
        await world.reload(*mappings, accept_removed=line["digest"])
        await pass_time(31)
        assert [world.published(key) for key in KEYS[7:]] == [None] * 5
