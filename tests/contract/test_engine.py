"""What whoever keeps verdicts relies on, of the real engine and of the one that tests play."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

import pytest

from registrar.counts import Durations
from registrar.engine import Engine
from registrar.files import Files
from registrar.model import CheckResult, Outcome, Target
from registrar.probe.engine import CheckEngine
from tests.checking import Reports
from tests.fakes import CHECK, target
from tests.simulated_engine import SimulatedEngine

QUICK = replace(CHECK, interval=0.1, timeout=0.1, rise=1, fall=1)
SLOW = replace(CHECK, interval=3600.0, rise=1, fall=1)


class Field(Protocol):
    """Backends, and the engine that checks them."""

    engine: Engine

    def backend(self) -> int:
        """Return the port of a new backend, which is up."""
        ...

    def kill(self, port: int) -> None:
        """Have a backend refuse from now on."""
        ...

    async def aclose(self) -> None:
        """End the engine."""
        ...


class RealField:
    """Listeners on this machine."""

    def __init__(self, reports: Reports) -> None:
        self._listeners: dict[int, socket.socket] = {}
        self._files = Files()
        self._stack = ExitStack()
        self.engine = CheckEngine(reports.take, self._files)

    def backend(self) -> int:
        listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = int(listener.getsockname()[1])
        self._listeners[port] = listener
        return port

    def kill(self, port: int) -> None:
        self._listeners[port].close()

    async def aclose(self) -> None:
        await self.engine.aclose()
        await self._files.aclose()
        self._stack.close()


class PlayedField:
    """Backends that are only said to be there."""

    def __init__(self, reports: Reports) -> None:
        self._up: set[int] = set()
        self.engine = SimulatedEngine(reports.take, self._check)

    def backend(self) -> int:
        self._up.add(len(self._up) + 1)
        return len(self._up)

    def kill(self, port: int) -> None:
        self._up.remove(port)

    async def aclose(self) -> None:
        await self.engine.aclose()

    async def _check(self, target: Target) -> CheckResult:
        await asyncio.sleep(0)
        if target.port in self._up:
            return CheckResult(Outcome.PASSED, "connected")
        return CheckResult(Outcome.FAILED, "connection refused")


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture(params=[RealField, PlayedField])
async def field(
    request: pytest.FixtureRequest, reports: Reports
) -> AsyncIterator[RealField | PlayedField]:
    make: Callable[[Reports], RealField | PlayedField] = request.param
    made = make(reports)
    yield made
    await made.aclose()


def outcomes(results: list[CheckResult]) -> list[Outcome]:
    return [result.outcome for result in results]


async def test_what_is_added_is_checked_at_once(field: Field, reports: Reports) -> None:
    one, two = (target("127.0.0.1", field.backend(), SLOW) for _ in range(2))
    field.kill(two.port)
    field.engine.add(one, ())
    field.engine.add(two, ())
    assert outcomes(await reports.wait_for(one)) == [Outcome.PASSED]
    assert outcomes(await reports.wait_for(two)) == [Outcome.FAILED]


async def test_a_turn_is_reported_by_itself(field: Field, reports: Reports) -> None:
    one = target("127.0.0.1", field.backend(), QUICK)
    field.engine.add(one, ())
    await reports.wait_for(one)
    field.kill(one.port)
    await reports.wait_until(one, "refused")
    tally = field.engine.tallies["tcp"]
    assert tally.passed >= 1
    assert tally.failed >= 1


async def test_what_is_removed_is_reported_no_more(field: Field, reports: Reports) -> None:
    one, other = (target("127.0.0.1", field.backend(), QUICK) for _ in range(2))
    field.engine.add(one, ())
    field.engine.add(other, ())
    await reports.wait_for(one)
    field.engine.remove(one, ())
    field.kill(one.port)
    field.kill(other.port)
    await reports.wait_until(other, "refused")
    assert set(outcomes(reports.of(one))) == {Outcome.PASSED}


async def test_what_is_added_twice_is_reported_once_a_time_and_to_be_removed_twice(
    field: Field, reports: Reports
) -> None:
    one = target("127.0.0.1", field.backend(), QUICK)
    field.engine.add(one, ())
    await reports.wait_for(one)
    field.engine.add(one, ())
    await reports.wait_for(one, 2)  # anew
    field.engine.remove(one, ())
    field.kill(one.port)
    await reports.wait_until(one, "refused")
    field.engine.remove(one, ())
    await field.engine.renew([one])  # it is checked no more


async def test_renewing_waits_for_a_check_that_begins_now(field: Field, reports: Reports) -> None:
    one = target("127.0.0.1", field.backend(), SLOW)
    field.engine.add(one, ())
    await reports.wait_for(one)
    field.kill(one.port)
    await asyncio.gather(field.engine.renew([one]), field.engine.renew([one]))
    assert outcomes(reports.of(one))[-1] is Outcome.FAILED


async def test_renewing_ends_when_the_target_goes(field: Field, reports: Reports) -> None:
    one = target("127.0.0.1", field.backend(), SLOW)
    field.engine.add(one, ())
    await reports.wait_for(one)
    renewing = asyncio.create_task(field.engine.renew([one]))
    await asyncio.sleep(0)
    field.engine.remove(one, ())
    await asyncio.wait_for(renewing, 30)


async def test_how_long_answers_took_is_told(field: Field, reports: Reports) -> None:
    one, heard = target("127.0.0.1", field.backend(), SLOW), Durations((0.5,))
    field.engine.add(one, (heard,))
    await reports.wait_for(one)
    await field.engine.renew([one])
    assert heard.counts == [2, 0]


async def test_a_canary_that_goes_leaves_a_backend_its_durations(
    field: Field, reports: Reports
) -> None:
    one, heard = target("127.0.0.1", field.backend(), SLOW), Durations((0.5,))
    told = (heard,)
    field.engine.add(one, told)
    await reports.wait_for(one)
    field.engine.add(one, ())
    field.engine.remove(one, ())
    await field.engine.renew([one])
    assert heard.counts == [2, 0]
    field.engine.add(one, ())
    field.engine.remove(one, told)
    await field.engine.renew([one])
    assert heard.counts == [2, 0]


async def test_nothing_is_left_behind(reports: Reports) -> None:
    before = threading.active_count(), len(asyncio.all_tasks())
    for make in (RealField, PlayedField):
        field = make(reports)
        one = target("127.0.0.1", field.backend(), QUICK)
        field.engine.add(one, ())
        await reports.wait_for(one)
        await field.aclose()
    assert (threading.active_count(), len(asyncio.all_tasks())) == before
