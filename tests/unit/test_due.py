from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from registrar.due import COALESCE_S, FOLLOW_S, Due
from registrar.model import ServiceKey
from tests.fakes import pass_time

A, B, C = (ServiceKey("shop", name) for name in "abc")

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


class Looker:
    """Takes keys as a worker does, and notes when; a look takes `seconds`."""

    def __init__(self, due: Due, seconds: float = 0.0) -> None:
        self.looks: list[tuple[ServiceKey, float]] = []
        self._due = due
        self._seconds = seconds

    async def run(self) -> None:
        while True:
            key = await self._due.take()
            self.looks.append((key, round(now(), 3)))
            await pass_time(self._seconds)
            self._due.done(key)


@asynccontextmanager
async def looking(due: Due, workers: int = 1, seconds: float = 0.0) -> AsyncIterator[Looker]:
    looker = Looker(due, seconds)
    tasks = [asyncio.create_task(looker.run()) for _ in range(workers)]
    yield looker
    for task in tasks:
        task.cancel()


async def test_a_mark_is_one_look() -> None:
    due = Due()
    async with looking(due, workers=3) as looker:
        due.mark(A)
        await pass_time(60)
    assert looker.looks == [(A, COALESCE_S)]


async def test_marks_that_come_together_are_one_look_and_do_not_put_it_off() -> None:
    due = Due()
    async with looking(due) as looker:
        for _ in range(3):
            due.mark(A)
            await pass_time(0.006)
        await pass_time(60)
    assert looker.looks == [(A, COALESCE_S)]


async def test_a_mark_of_a_key_that_waits_for_a_worker_adds_no_look() -> None:
    due = Due()
    due.mark(A)
    await pass_time(1)
    due.mark(A)
    async with looking(due, workers=2, seconds=10) as looker:
        await pass_time(60)
    assert looker.looks == [(A, 1.0)]


async def test_a_key_is_never_looked_at_twice_at_the_same_time() -> None:
    due = Due()
    async with looking(due, workers=3, seconds=10) as looker:
        due.mark(A)
        await pass_time(1)
        for _ in range(3):
            due.mark(A)
            await pass_time(1)
        await pass_time(60)
    first = COALESCE_S
    assert looker.looks == [(A, first), (A, first + 10)]


async def test_what_is_marked_while_it_is_looked_at_keeps_its_delay() -> None:
    due = Due()
    async with looking(due, seconds=1) as looker:
        due.mark(A, 0)
        await pass_time(0.5)
        due.mark(A, 30)
        due.mark(A, 5)
        due.mark(A, 20)
        await pass_time(60)
    assert looker.looks == [(A, 0.0), (A, 5.5)]


async def test_a_long_look_at_one_key_holds_up_no_other() -> None:
    due = Due()
    async with looking(due, workers=2, seconds=10) as looker:
        due.mark(A, 0)
        due.mark(B, 1)
        await pass_time(60)
    assert looker.looks == [(A, 0.0), (B, 1.0)]


async def test_of_many_keys_each_is_looked_at_once() -> None:
    due = Due()
    keys = [ServiceKey("shop", f"s{number}") for number in range(100)]
    async with looking(due, workers=4, seconds=1) as looker:
        for key in keys:
            due.mark(key)
        await pass_time(60)
    assert sorted(key for key, _ in looker.looks) == sorted(keys)


@pytest.mark.parametrize("delays", [(5.0, 1.0), (1.0, 5.0)])
async def test_the_sooner_mark_wins(delays: tuple[float, float]) -> None:
    due = Due()
    async with looking(due) as looker:
        for delay in delays:
            due.mark(A, delay)
        await pass_time(60)
    assert looker.looks == [(A, 1.0)]


async def test_closing_waits_for_those_being_looked_at_and_begins_no_other() -> None:
    due = Due()
    async with looking(due, workers=2, seconds=3) as looker:
        due.mark(A, 0)
        due.mark(B, 1)
        due.mark(C, 2)
        await pass_time(1.5)
        due.mark(A)
        await due.close()
        assert now() == pytest.approx(4.0)
        await pass_time(60)
    assert looker.looks == [(A, 0.0), (B, 1.0)]


async def test_closing_waits_for_nothing_where_nothing_is_looked_at() -> None:
    due = Due()
    due.mark(A)
    await due.close()
    assert now() == 0.0


async def test_it_is_idle_while_only_a_later_look_waits() -> None:
    due = Due()
    assert due.idle
    due.mark(A)
    assert not due.idle  # about to be
    async with looking(due, seconds=1):
        await pass_time(0.5)
        assert not due.idle  # being looked at
        due.mark(A, 30)
        await pass_time(2)
        assert due.idle  # a retry, much later
    due.mark(B, 0)
    await pass_time(1)
    assert not due.idle  # nobody has taken it yet


async def test_what_rounding_leaves_of_a_wait_is_no_loop_without_a_pause() -> None:
    due, begin = Due(), now()
    for _ in range(10):
        due.mark(A, 1e-15)
        due.done(await due.take())
    assert 0.01 <= now() - begin < 0.1


async def test_it_says_how_many_wait_and_for_how_long() -> None:
    told: list[tuple[str, float]] = []

    class Looks:
        def begun(self, key: ServiceKey, waited: float) -> None:
            told.append((f"begun {key}", waited))

        def ended(self, key: ServiceKey, took: float) -> None:
            told.append((f"ended {key}", took))

    due = Due(Looks())
    assert (due.length, due.age) == (0, 0)
    due.mark(A, 0)
    await pass_time(3)
    due.mark(B, 0)
    await pass_time(4)
    assert (due.length, round(due.age)) == (2, 7)
    key = await due.take()
    assert (due.length, round(due.age)) == (1, 4)
    await pass_time(2)
    due.done(key)
    assert [(what, round(seconds)) for what, seconds in told] == [
        (f"begun {A}", 7),
        (f"ended {A}", 2),
    ]


async def taken(due: Due) -> ServiceKey:
    key = await due.take()
    due.done(key)
    return key


async def looked_at_but_for_the_rest(due: Due, *keys: ServiceKey) -> None:
    for key in keys:
        due.mark(key, 0)
        await pass_time(0.1)
        assert await due.take() == key
        due.follow_up(key)
        due.done(key)


async def test_what_follows_lets_others_go_first_even_those_that_come_later() -> None:
    due = Due()
    await looked_at_but_for_the_rest(due, A)
    assert (due.length, due.has_waiting, due.idle) == (1, False, False)
    due.mark(B, 0)
    due.mark(C, 0)
    await pass_time(1)
    assert [await taken(due) for _ in range(3)] == [B, C, A]
    assert due.idle


async def test_what_follows_waits_for_nobody_who_is_not_due() -> None:
    due = Due()
    await looked_at_but_for_the_rest(due, A)
    due.mark(B, 60)
    assert await taken(due) == A


async def test_what_follows_has_every_other_turn_once_it_is_late() -> None:
    due = Due()
    d, e = ServiceKey("shop", "d"), ServiceKey("shop", "e")
    await looked_at_but_for_the_rest(due, A, B)
    await pass_time(FOLLOW_S)
    for key in (C, d, e):
        due.mark(key, 0)
        await pass_time(0.1)
    assert [await taken(due) for _ in range(5)] == [A, C, B, d, e]


async def test_a_mark_ends_the_patience_of_what_follows() -> None:
    due = Due()
    await looked_at_but_for_the_rest(due, A)
    due.mark(A, 0)
    due.mark(B, 0)
    await pass_time(1)
    assert [await taken(due), await taken(due)] == [A, B]
    assert due.idle


async def test_what_follows_is_not_looked_at_twice_at_a_time() -> None:
    due = Due()
    await looked_at_but_for_the_rest(due, A)
    due.mark(A, 1)
    assert await due.take() == A
    await pass_time(2)
    assert due.length == 0
    due.done(A)
    assert await due.take() == A
