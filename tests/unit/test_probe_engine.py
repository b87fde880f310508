from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import pytest
from structlog.testing import capture_logs

from registrar.model import CheckResult, Outcome, Target
from registrar.probe.engine import AsyncioEngine
from tests.fakes import CHECK, pass_time, target

A, B = target("10.0.0.1"), target("10.0.0.2")
PASSED = CheckResult(Outcome.PASSED, "connected")

pytestmark = pytest.mark.looptime


class Backends:
    """What the checks meet: `seconds` until an answer of each, or the error of a check."""

    def __init__(self) -> None:
        self.seconds: dict[Target, float] = {}
        self.error: Exception | None = None
        self.began: list[tuple[Target, float]] = []
        self.under_way: Counter[Target] = Counter()
        self.most_under_way = 0
        self.reports: list[tuple[Target, CheckResult]] = []

    async def check(self, target: Target) -> CheckResult:
        self.began.append((target, asyncio.get_running_loop().time()))
        self.under_way[target] += 1
        self.most_under_way = max(self.most_under_way, *self.under_way.values())
        try:
            await pass_time(self.seconds.get(target, 0.0))
            if self.error is not None:
                raise self.error
        finally:
            self.under_way[target] -= 1
        return PASSED

    def report(self, target: Target, result: CheckResult) -> None:
        self.reports.append((target, result))

    def times(self, target: Target) -> list[float]:
        return [time for which, time in self.began if which == target]


def engine_for(backends: Backends) -> AsyncioEngine:
    rng = Random(1)  # noqa: S311  the same in each run
    return AsyncioEngine(backends.report, rng, backends.check)


@asynccontextmanager
async def running(backends: Backends) -> AsyncIterator[AsyncioEngine]:
    engine = engine_for(backends)
    yield engine
    await engine.aclose()


async def test_the_first_check_is_at_once_and_then_they_come_at_the_interval() -> None:
    backends = Backends()
    backends.seconds[A] = 0.7
    async with running(backends) as engine:
        await pass_time(100)
        engine.add(A)
        await pass_time(1000)
    first, second, *later = backends.times(A)
    assert first == 100
    assert 0 < second - first <= CHECK.interval
    for number, time in enumerate(later, 1):
        assert time == pytest.approx(second + number * CHECK.interval, abs=0.001)
    assert backends.reports == [(A, PASSED)] * len(backends.times(A))


async def test_checks_of_one_target_never_overlap_and_are_skipped_when_late() -> None:
    backends = Backends()
    backends.seconds[A] = 12.0
    async with running(backends) as engine:
        engine.add(A)
        await pass_time(300)
        assert backends.most_under_way == 1
        _, second, *later = backends.times(A)
        assert len(later) == pytest.approx(300 / 15, abs=2)  # every third of the moments
        for time in later:
            steps = (time - second) / CHECK.interval
            assert steps == pytest.approx(round(steps), abs=0.001)  # and they stay the same


async def test_a_slow_backend_holds_up_no_other() -> None:
    backends = Backends()
    backends.seconds[A] = 1000.0
    async with running(backends) as engine:
        engine.add(A)
        engine.add(B)
        await pass_time(100)
    assert len(backends.times(A)) == 1
    assert len(backends.times(B)) >= 100 / CHECK.interval


async def test_many_targets_added_at_once_do_not_come_in_bursts() -> None:
    backends = Backends()
    targets = [target("10.0.0.1", port) for port in range(1, 201)]
    async with running(backends) as engine:
        for one in targets:
            engine.add(one)
        await pass_time(30)
    per_second = Counter(int(time) for _, time in backends.began if time >= CHECK.interval)
    even = len(targets) / CHECK.interval
    assert max(per_second.values()) < 1.5 * even
    assert min(per_second.values()) > 0.5 * even


async def test_removing_gives_up_the_check_under_way_and_reports_nothing_more() -> None:
    backends = Backends()
    backends.seconds[A] = 3.0
    async with running(backends) as engine:
        engine.add(A)
        await pass_time(1)
        engine.remove(A)
        await pass_time(0)
        assert not +backends.under_way
        await pass_time(100)
    assert backends.times(A) == [0.0]
    assert backends.reports == []


async def test_what_is_added_again_is_checked_at_once_again() -> None:
    backends = Backends()
    backends.seconds[A] = 1.0
    async with running(backends) as engine:
        engine.add(A)
        await pass_time(0.5)
        engine.remove(A)
        engine.add(A)
        await pass_time(1.2)
    assert backends.times(A)[:2] == [0.0, 0.5]
    assert backends.reports[:1] == [(A, PASSED)]


async def test_closing_leaves_nothing_under_way() -> None:
    backends = Backends()
    backends.seconds = {A: 3.0, B: 0.0}
    engine = engine_for(backends)
    engine.add(A)
    engine.add(B)
    await pass_time(1)
    before = len(backends.reports)
    await engine.aclose()
    assert not +backends.under_way
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await pass_time(100)
    assert len(backends.reports) == before


async def test_targets_have_their_own_intervals() -> None:
    backends = Backends()
    slow = replace(B, check=replace(CHECK, interval=60.0))
    async with running(backends) as engine:
        engine.add(A)
        engine.add(slow)
        await pass_time(600)
    assert len(backends.times(A)) == pytest.approx(600 / CHECK.interval, abs=2)
    assert len(backends.times(slow)) == pytest.approx(10, abs=2)


async def test_a_defect_in_a_check_ends_no_checks_and_is_said_once() -> None:
    backends = Backends()
    backends.error = ValueError("unexpected")
    with capture_logs() as logs:
        async with running(backends) as engine:
            engine.add(A)
            engine.add(B)
            await pass_time(100)
            assert backends.reports == []
            backends.error = None
            await pass_time(10)
    assert {which for which, _ in backends.reports} == {A, B}
    assert [line["event"] for line in logs] == ["check-internal-error"]
    assert logs[0]["exc_info"].args == ("unexpected",)
