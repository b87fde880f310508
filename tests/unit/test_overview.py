"""The state of everything as one value, as the loop's own parts have it. In virtual time."""

from __future__ import annotations

import pytest

from registrar.embedded import Refuse
from registrar.model import Outcome, Publish
from registrar.status import ServiceStatus
from tests.fakes import mapping
from tests.world import World

pytestmark = pytest.mark.looptime


def state(world: World) -> tuple[str, int, int]:
    found = web(world)
    return found.state, found.ready, found.endpoints


def web(world: World) -> ServiceStatus:
    [found] = world.app.status().services
    return found


async def test_what_has_been_written_is_in_place_and_what_has_not_is_changing() -> None:
    world = World(mapping(publish=Publish.BOTH))
    world.cluster.service()
    assert state(world) == ("changing", 0, 0)  # nobody has looked yet
    async with world.running():
        await world.say("10.0.0.1")
        assert state(world) == ("held", 0, 0)
        await world.judge("10.0.0.1", Outcome.PASSED)
        assert state(world) == ("in-place", 1, 1)
        rule = world.cluster.fault(Refuse(500), "update")
        await world.judge("10.0.0.1", *[Outcome.FAILED] * 3)
        assert state(world) == ("held", 1, 1)
        rule.end()
        await world.look()
        assert state(world) == ("in-place", 0, 1)
