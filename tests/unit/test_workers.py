"""Whoever looks lets the rest of the program go on between two looks."""

from __future__ import annotations

import asyncio

import pytest

from registrar.due import Due
from registrar.model import ServiceKey
from registrar.workers import Workers

pytestmark = pytest.mark.looptime

KEYS = [ServiceKey("shop", f"service-{number}") for number in range(100)]


async def test_many_looks_that_wait_for_nothing_hold_up_nobody_else() -> None:
    due, looked = Due(), list[ServiceKey]()
    loop = asyncio.get_running_loop()
    seen_by_then: list[int] = []

    async def look(key: ServiceKey) -> None:
        if not looked:
            loop.call_soon(lambda: seen_by_then.append(len(looked)))
        looked.append(key)

    running = asyncio.create_task(Workers(due, look, 4).run())
    await asyncio.gather(*map(due.look, KEYS))
    running.cancel()
    assert sorted(looked) == sorted(KEYS)
    assert seen_by_then[0] <= 4
