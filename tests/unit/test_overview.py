"""The state of everything as one value, as the loop's own parts have it. In virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from registrar.app.overview import AT_ONCE
from registrar.embedded import Refuse
from registrar.model import Outcome, Publish, ServiceKey
from registrar.status import ServiceStatus
from tests.fakes import mapping
from tests.world import World

pytestmark = pytest.mark.looptime


async def state(world: World) -> tuple[str, int, int]:
    found = await web(world)
    return found.state, found.ready, found.endpoints


async def web(world: World) -> ServiceStatus:
    [found] = (await world.app.status()).services
    return found


async def test_what_has_been_written_is_in_place_and_what_has_not_is_changing() -> None:
    world = World(mapping(publish=Publish.BOTH))
    world.cluster.service()
    assert await state(world) == ("changing", 0, 0)  # nobody has looked yet
    async with world.running():
        await world.say("10.0.0.1")
        assert await state(world) == ("held", 0, 0)
        await world.judge("10.0.0.1", Outcome.PASSED)
        assert await state(world) == ("in-place", 1, 1)
        rule = world.cluster.fault(Refuse(500), "update")
        await world.judge("10.0.0.1", *[Outcome.FAILED] * 3)
        assert await state(world) == ("held", 1, 1)
        rule.end()
        await world.look()
        assert await state(world) == ("in-place", 0, 1)


async def test_others_have_their_turn_while_many_services_are_read() -> None:
    world = World(mapping())
    many = [replace(mapping(), key=ServiceKey("shop", f"s{n}")) for n in range(10 * AT_ONCE)]
    world.app.config = replace(world.app.config, mappings=tuple(many))
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(take_turns())
    found = await world.app.status()
    others.cancel()
    assert len(found.services) == len(many)
    assert turns >= 10
