"""A look that would come to nothing is left out, and none that would come to something."""

from __future__ import annotations

import pytest

from registrar.embedded import Refuse
from registrar.model import HoldReason, Outcome, Publish
from tests.fakes import answer, mapping, pass_time
from tests.world import CHANGE_S, World, unchecked

pytestmark = pytest.mark.looptime


async def in_place(world: World) -> None:
    """Have one backend published, and that looked at once more."""
    world.cluster.service()
    await pass_time(CHANGE_S)
    await world.say("10.0.0.1")
    await world.judge("10.0.0.1", Outcome.PASSED)
    await world.look()


async def test_what_rests_on_the_same_is_not_decided_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(mapping())
    async with world.running():
        await in_place(world)
        with monkeypatch.context() as patch:
            patch.setattr("registrar.deciding.candidates", None)  # whoever decides meets a defect
            await world.look()
            assert world.reason() is None
            world.says.answers += 1
            await world.look()
            assert world.reason() is HoldReason.INTERNAL_ERROR


async def test_a_write_that_failed_is_not_held_once_it_is_not_needed_any_more() -> None:
    world = World(mapping())
    async with world.running():
        await in_place(world)
        world.cluster.fault(Refuse(500), "update", times=100)
        await world.judge("10.0.0.1", *[Outcome.FAILED] * 3)
        assert world.reasons() == [HoldReason.CLUSTER_UNREACHABLE]
        await world.judge("10.0.0.1", *[Outcome.PASSED] * 2)
        assert world.reasons() == []
        assert world.published() == {"10.0.0.1": True}


async def test_what_is_waited_for_is_looked_at_again_though_nothing_has_changed() -> None:
    before = World(unchecked(publish=Publish.BOTH))
    before.says.answer = answer("10.0.0.1")
    before.cluster.service()
    async with before.running():
        assert before.sliced() == before.published() == {"10.0.0.1": True}
    world = World(unchecked(publish=Publish.ENDPOINTS), cluster=before.cluster)
    world.says.answer = answer("10.0.0.1")
    async with world.running(5):
        await world.look()
        assert world.reasons() == []
        await pass_time(5)
        assert world.reasons() == [HoldReason.MIRRORING_ABSENT]
