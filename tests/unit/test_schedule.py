"""Work keeps its monotonic time, whatever the wall clock does; all in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo

import pytest

from registrar.schedule import EARLY_S, TOGETHER_S, WATCHDOG_S, ClockProofSchedule
from tests.fakes import pass_time

EPOCH = 1_800_000_000.0


@dataclass
class Wall:
    """The wall clock: virtual time, and the jumps that a test makes."""

    ahead: float = 0.0


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    clock = Wall()

    class WallTime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            seconds = asyncio.get_running_loop().time() + clock.ahead
            return datetime.fromtimestamp(EPOCH + seconds, tz)

    # APScheduler reads the wall clock itself, so nothing less would make it jump.
    monkeypatch.setattr("apscheduler.schedulers.base.datetime", WallTime)
    monkeypatch.setattr("registrar.schedule.datetime", WallTime)
    return clock


class Runs:
    """When work ran, in seconds since the start."""

    def __init__(self, schedule: ClockProofSchedule) -> None:
        self.schedule = schedule
        self.times: dict[str, float] = {}
        self._start = asyncio.get_running_loop().time()

    def note(self, name: str) -> None:
        assert name not in self.times, "it ran twice"
        self.times[name] = round(asyncio.get_running_loop().time() - self._start, 3)

    def after(self, delay: float, name: str) -> None:
        self.schedule.after(delay, lambda: self.note(name))


@contextmanager
def running() -> Generator[Runs]:
    schedule = ClockProofSchedule()
    schedule.start()
    try:
        yield Runs(schedule)
    finally:
        schedule.stop()


@pytest.fixture(autouse=True)
def _clean_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.levelname != "DEBUG"] == []


@pytest.mark.looptime
async def test_work_runs_once_at_its_time(wall: Wall) -> None:
    del wall
    with running() as runs:
        for delay in (5, 0, 0.25, 60):
            runs.after(delay, f"{delay}")
        await pass_time(100)
    assert runs.times == {"0": 0, "0.25": 0.25, "5": 5, "60": 60}


@pytest.mark.looptime
@pytest.mark.parametrize("jump", [-86_400.0, -3.0, 0.7, 3.0, 86_400.0])
async def test_work_keeps_its_time_when_the_wall_clock_jumps(wall: Wall, jump: float) -> None:
    with running() as runs:
        for delay in (5, 20, 40):
            runs.after(delay, f"{delay}")
        await pass_time(10.3)
        wall.ahead += jump
        runs.after(20, "30.3")
        await pass_time(100)
    assert runs.times == {"5": 5, "20": 20, "30.3": 30.3, "40": 40}


@pytest.mark.looptime
async def test_work_that_is_due_as_the_clock_jumps_back_is_late_by_a_second_at_most(
    wall: Wall,
) -> None:
    with running() as runs:
        runs.after(10.5, "work")
        await pass_time(10.3)
        wall.ahead -= 3600
        await pass_time(2)
    assert 10.5 <= runs.times["work"] <= 10.3 + WATCHDOG_S


@pytest.mark.looptime
async def test_nothing_runs_early_when_apscheduler_looks_before_the_watchdog(wall: Wall) -> None:
    with running() as runs:
        runs.after(60, "late")
        await pass_time(10.3)
        wall.ahead += 3600
        runs.after(0.2, "soon")  # makes APScheduler look at once, and late is overdue for it
        await pass_time(100)
    assert runs.times == {"soon": 10.5, "late": 60}


@pytest.mark.looptime
async def test_small_steps_of_the_wall_clock_add_up_to_a_jump(wall: Wall) -> None:
    with running() as runs:
        runs.after(120, "work")
        for _ in range(100):
            await pass_time(1)
            wall.ahead -= 0.4
        await pass_time(100)
    assert 120 <= runs.times["work"] <= 121


@pytest.mark.looptime
async def test_the_watchdog_outlives_a_jump_at_the_very_time_of_some_work(wall: Wall) -> None:
    with running() as runs:
        for tenths in range(100):
            runs.after(tenths / 10, f"{tenths}")
        for _ in range(10):
            wall.ahead += 10
            await pass_time(1)
        runs.after(5, "after")
        wall.ahead -= 3600
        await pass_time(10)
    assert runs.times["after"] == 15
    assert all(runs.times[f"{tenths}"] >= tenths / 10 for tenths in range(100))


@pytest.mark.looptime
async def test_cancelled_work_does_not_run(wall: Wall) -> None:
    with running() as runs:
        first = runs.schedule.after(5, lambda: runs.note("cancelled"))
        second = runs.schedule.after(5, lambda: runs.note("cancelled by work"))
        runs.schedule.after(4.999_999, second.cancel)
        done = runs.schedule.after(1, lambda: runs.note("done"))
        await pass_time(2)
        first.cancel()
        done.cancel()
        wall.ahead += 3600  # what was cancelled must not come back by being planned anew
        await pass_time(10)
    assert runs.times == {"done": 1}


@pytest.mark.looptime
async def test_work_can_cancel_what_is_on_its_way(wall: Wall) -> None:
    with running() as runs:
        runs.schedule.after(5, lambda: second.cancel())  # noqa: PLW0108  it is not there yet
        second = runs.schedule.after(5.001, lambda: runs.note("cancelled"))
        await pass_time(4.995)
        wall.ahead += 1  # so that APScheduler takes both at once
        runs.after(0, "done")
        await pass_time(10)
    assert runs.times == {"done": 4.995}


@pytest.mark.looptime
async def test_work_plans_its_next_run(wall: Wall) -> None:
    del wall
    with running() as runs:

        def work() -> None:
            runs.note(f"{len(runs.times)}")
            runs.schedule.after(30, work)

        runs.schedule.after(0, work)
        await pass_time(100)
    assert list(runs.times.values()) == [0, 30, 60, 90]


@pytest.mark.looptime
async def test_work_that_fails_takes_nothing_from_other_work(
    wall: Wall, caplog: pytest.LogCaptureFixture
) -> None:
    del wall

    def fail() -> None:
        raise ValueError("as the test has it")

    with running() as runs:
        runs.schedule.after(5, fail)
        runs.after(5.001, "right after")
        runs.after(60, "later")
        await pass_time(100)
    assert runs.times.keys() == {"right after", "later"}
    assert runs.times["right after"] < 5.1
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]
    caplog.clear()


@pytest.mark.looptime
async def test_thousands_wait_no_longer_for_each_other_than_a_moment(wall: Wall) -> None:
    del wall
    with running() as runs:
        for number in range(3000):
            runs.after(5 + number / 1000, f"{number}")
        await pass_time(10)
    late = [at - 5 - int(number) / 1000 for number, at in runs.times.items()]
    assert len(late) == 3000
    assert min(late) >= -EARLY_S - 0.001  # what is noted is rounded
    assert max(late) <= TOGETHER_S + EARLY_S + 0.001


@pytest.mark.looptime
async def test_nothing_runs_after_the_stop(wall: Wall) -> None:
    del wall
    with running() as runs:
        runs.after(0, "at once")
        runs.after(5, "later")
    await pass_time(10)
    assert runs.times == {}


@pytest.mark.looptime
async def test_nothing_runs_after_the_stop_that_was_on_its_way(wall: Wall) -> None:
    schedule = ClockProofSchedule()
    schedule.start()
    runs = Runs(schedule)
    schedule.after(5, schedule.stop)
    runs.after(5.001, "work")
    await pass_time(4.995)
    wall.ahead += 1
    schedule.after(0, lambda: None)
    await pass_time(10)
    assert runs.times == {}
