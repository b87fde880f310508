"""A resync: everything is looked at again, and each Service has an outcome. In virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from registrar.cluster.objects import Endpoints
from registrar.embedded import Refuse
from registrar.model import Confirm, Periodic, ServiceKey
from registrar.resync import Order, Outcome, Outcomes, State
from registrar.transitions import Resynced
from tests.fakes import KEY, answer, pass_time
from tests.world import World, unchecked

pytestmark = pytest.mark.looptime

OTHER = ServiceKey("shop", "api")


def made(*, confirm: Confirm | None = None) -> World:
    mapping = unchecked()
    mapping = replace(mapping, ports=(replace(mapping.ports[0], confirm=confirm),))
    world = World(mapping)
    world.cluster.service()
    world.says.answer = answer("10.0.0.1", "10.0.0.2", "10.0.0.3")
    return world


async def resynced(world: World, order: Order | None = None) -> Outcomes:
    task = asyncio.create_task(world.app.resync(order or Order("a test")))
    await pass_time(3)
    assert task.done()
    return task.result()


async def test_where_nothing_differs_nothing_is_written() -> None:
    world = made()
    async with world.running():
        before = len(world.cluster.writes)
        assert await resynced(world) == {KEY: Outcome(State.UNCHANGED)}
        assert len(world.cluster.writes) == before
        assert world.says.renewed == 1
        assert {"by": "a test", "services": "all", "unchanged": 1} | {
            "event": "resync",
            "accept_removals": False,
            "log_level": "info",
        } in world.logs


async def test_what_no_watch_has_told_of_is_read_and_corrected() -> None:
    world = made()
    async with world.running():
        world.cluster.deafen()
        world.cluster.drop(Endpoints, KEY.name)
        await world.look()
        assert world.published() is None
        found = await resynced(world)
        assert found == {KEY: Outcome(State.CORRECTED, "3 added, 1 write")}
        assert len(world.published() or ()) == 3


async def test_what_a_source_does_not_know_is_held_with_its_reason() -> None:
    world = made()
    async with world.running():
        world.says.error = "it is down"
        await world.look()
        found = await resynced(world)
        assert found == {KEY: Outcome(State.HELD, "source-unknown: it is down")}


async def test_what_the_api_server_refuses_has_failed_with_its_words() -> None:
    world = made()
    async with world.running():
        rule = world.cluster.fault(Refuse(500), "get")
        found = await resynced(world)
        assert found[KEY].state is State.FAILED
        assert "Internal error occurred" in found[KEY].detail
        rule.end()
        assert await resynced(world) == {KEY: Outcome(State.UNCHANGED)}


async def test_a_removal_is_believed_once_a_person_accepts_it() -> None:
    world = made(confirm=Confirm())
    async with world.running():
        await world.say("10.0.0.1")
        assert len(world.published() or ()) == 3
        held = await resynced(world)
        assert held[KEY].state is State.HELD
        assert held[KEY].detail.startswith("removals-unconfirmed: ")
        found = await resynced(world, Order("a test", accept_removals=True))
        assert found == {KEY: Outcome(State.CORRECTED, "2 removed, 1 write")}
        # It was for once: the next one is held again.
        await world.say("10.0.0.1", "10.0.0.2", "10.0.0.3")
        await world.say("10.0.0.1")
        assert len(world.published() or ()) == 3


async def test_accepting_takes_nothing_away_while_a_source_does_not_know() -> None:
    world = made()
    async with world.running():
        pass
    world = World(unchecked(), cluster=world.cluster)
    world.says.error = "it is down"
    async with world.running():
        found = await resynced(world, Order("a test", accept_removals=True))
        assert found[KEY].state is State.HELD
        assert len(world.published() or ()) == 3


async def test_a_service_that_no_mapping_names_is_told() -> None:
    world = made()
    async with world.running():
        found = await resynced(world, Order("a test", (KEY, OTHER)))
        assert found == {
            KEY: Outcome(State.UNCHANGED),
            OTHER: Outcome(State.FAILED, "no mapping of the configuration names it"),
        }


async def test_only_what_is_named_is_looked_at() -> None:
    world = World(unchecked(), unchecked(OTHER))
    world.cluster.service()
    world.cluster.service(OTHER)
    world.says.answer = answer("10.0.0.1")
    async with world.running():
        assert list(await resynced(world, Order("a test", (OTHER,)))) == [OTHER]


async def test_what_takes_too_long_is_told_and_changes_nothing() -> None:
    world = made()
    async with world.running():
        world.says.answering.clear()
        before = len(world.cluster.writes)
        found = await resynced(world, Order("a test", timeout=2))
        assert found == {KEY: Outcome(State.FAILED, "no outcome within 2 s; it goes on")}
        assert len(world.cluster.writes) == before


async def test_an_order_that_somebody_has_edited_ends_nothing() -> None:
    world = made()
    async with world.running():
        for kind in ("resync", "drain", "of another version"):
            assert await world.app.orders.handle(kind, "nonsense") == ""
        assert world.says.renewed == 0


# --- by the annotation ----------------------------------------------------------------------------


def wishes(world: World, value: str) -> None:
    world.cluster.annotate_service("registrar.internal/resync", value)


async def test_a_new_value_of_the_annotation_is_a_resync_and_its_outcome_an_event() -> None:
    world = made()
    wishes(world, "one")
    async with world.running():
        await pass_time(3)
        assert world.says.renewed == 0  # what is there at the start counts as handled
        wishes(world, "two")
        await pass_time(3)
        assert world.says.renewed == 1
        assert world.resynced == [Resynced(KEY, "unchanged", "")]
        world.cluster.service(publishNotReadyAddresses=True)  # other news of it are none
        await pass_time(3)
        assert world.says.renewed == 1


# --- by the schedule ------------------------------------------------------------------------------


async def test_every_so_often_everything_is_looked_at() -> None:
    world = made()
    world.resyncs(Periodic(every=60))
    async with world.running():
        await pass_time(50)
        assert world.says.renewed == 0
        await pass_time(75)
        assert world.says.renewed == 2
        assert any(line.get("by") == "the schedule (every 60 s)" for line in world.logs)


async def test_as_cron_says_everything_is_looked_at() -> None:
    world = made()
    world.resyncs(Periodic(cron="30 * * * *"))  # the world begins at midnight
    async with world.running():
        await pass_time(29 * 60)
        assert world.says.renewed == 0
        await pass_time(2 * 60)
        assert world.says.renewed == 1
        await pass_time(3600)
        assert world.says.renewed == 2
