"""What registrar says of itself in short, as the status page asks for it. In virtual time."""

from __future__ import annotations

import msgspec
import pytest

from registrar.app.summary import Summarizing
from registrar.model import Outcome, ServiceKey
from registrar.status import ServiceRow
from tests.fakes import KEY, mapping
from tests.world import World

pytestmark = pytest.mark.looptime


def rows(world: World) -> tuple[str, list[ServiceRow]]:
    found = world.app.rows()
    return found.revision, msgspec.json.decode(found.services, type=list[ServiceRow])


async def test_a_service_that_was_never_looked_at_is_not_in_place() -> None:
    world = World(mapping())
    assert [row.state for row in rows(world)[1]] == ["changing"]


async def test_the_short_list_says_the_same_as_the_full_state() -> None:
    world = World(mapping())
    world.cluster.service()
    async with world.running():
        await world.say("10.0.0.1", "10.0.0.2")
        await world.judge("10.0.0.1", Outcome.PASSED, Outcome.PASSED)
        (row,) = rows(world)[1]
        full = world.app.service(KEY)
        assert full is not None
        assert (row.state, row.ready, row.endpoints) == (full.state, full.ready, full.endpoints)
        assert (row.state, row.ready) == ("in-place", 1)
        assert world.app.summary().states == {"in-place": 1, "changing": 0, "held": 0}
        assert (await world.app.status()).services == (full,)


async def test_the_revision_is_another_if_and_only_if_a_row_is() -> None:
    world = World(mapping())
    world.cluster.service()
    async with world.running():
        await world.say("10.0.0.1")
        await world.judge("10.0.0.1", Outcome.PASSED, Outcome.PASSED)
        before, _ = rows(world)
        await world.look()
        assert rows(world)[0] == before == world.app.summary().revision
        assert Summarizing().rows(world.app).revision == before  # of the whole, not of what changed
        await world.judge("10.0.0.1", *[Outcome.FAILED] * 3)
        after, (row,) = rows(world)
        assert after != before
        assert row.ready == 0
        await world.reload()
        await world.look()
        assert rows(world)[0] != after
        assert rows(world)[1] == []


async def test_of_what_has_no_mapping_nothing_is_said() -> None:
    world = World(mapping())
    assert world.app.service(ServiceKey("shop", "other")) is None
