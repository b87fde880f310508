"""How long a change takes: which changes count, from when, and until when."""

from __future__ import annotations

import pytest

from registrar.metrics.latency import Latency
from registrar.model import Desired, Hold, HoldReason
from registrar.standing import Standing
from tests.fakes import KEY


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.standing: Standing | None = Standing(desired=Desired(frozenset()))
        self.told: list[float] = []
        self.latency = Latency(lambda _: self.standing, self.told.append, lambda: self.now)

    def changes(self) -> None:
        self.latency.changed(KEY)

    def look(self, *, writes: bool) -> None:
        self.latency.begun(KEY)
        if writes:
            self.latency.wrote(KEY)
        self.latency.ended(KEY)


@pytest.fixture
def world() -> World:
    return World()


def test_it_counts_from_the_first_change_that_the_write_brings(world: World) -> None:
    world.changes()
    world.now += 0.2
    world.changes()
    world.now += 0.3
    world.look(writes=True)
    assert world.told == [pytest.approx(0.5)]


def test_what_needs_no_write_is_no_change(world: World) -> None:
    world.changes()
    world.look(writes=False)
    world.now += 3600
    world.look(writes=True)  # somebody else has changed it
    assert world.told == []


@pytest.mark.parametrize(
    "standing",
    [
        Standing(is_early=True),
        Standing(Hold(HoldReason.CLUSTER_UNREACHABLE, "no answer")),
        Standing(Hold(HoldReason.REJECTED, "a quota")),
    ],
)
def test_what_could_not_be_written_yet_is_waited_for(world: World, standing: Standing) -> None:
    world.changes()
    world.standing = standing
    world.look(writes=False)
    world.now += 7
    world.look(writes=True)
    assert world.told == [pytest.approx(7)]


def test_what_waits_for_an_answer_or_a_person_is_not_slow(world: World) -> None:
    world.changes()
    world.standing = Standing(Hold(HoldReason.SOURCE_UNKNOWN, "no answer"))
    world.look(writes=False)
    world.now += 7
    world.changes()
    world.now += 1
    world.look(writes=True)
    assert world.told == [pytest.approx(1)]


def test_a_change_during_a_look_is_the_next_looks(world: World) -> None:
    world.changes()
    world.latency.begun(KEY)
    world.now += 1
    world.changes()
    world.latency.wrote(KEY)
    world.latency.ended(KEY)
    world.now += 2
    world.look(writes=True)
    assert world.told == [pytest.approx(1), pytest.approx(2)]
