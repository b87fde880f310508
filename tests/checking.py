"""Runs health checks by the real engine, and waits for what it reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from registrar.files import Files
from registrar.model import CheckResult, Target
from registrar.probe.engine import CheckEngine, Whereabouts, as_found

PATIENCE_S = 30.0


class Reports:
    """What an engine has reported, in order."""

    def __init__(self) -> None:
        self.all: list[tuple[Target, CheckResult]] = []
        self._more = asyncio.Event()

    def take(self, target: Target, result: CheckResult) -> bool:
        self.all.append((target, result))
        self._more.set()
        return False

    def of(self, target: Target) -> list[CheckResult]:
        return [result for one, result in self.all if one == target]

    async def wait_for(self, target: Target, number: int = 1) -> list[CheckResult]:
        """Return the results of a target once there are so many."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := self.of(target)) < number:
                self._more.clear()
                await self._more.wait()
        return found

    async def wait_until(self, target: Target, reason: str) -> CheckResult:
        """Return the first result of a target whose reason holds some words."""
        number = 1
        while True:
            found = await self.wait_for(target, number)
            for result in found:
                if reason in result.reason:
                    return result
            number = len(found) + 1


@asynccontextmanager
async def checking(
    *targets: Target, whereabouts: Whereabouts = as_found
) -> AsyncIterator[tuple[CheckEngine, Reports]]:
    """Check targets by a real engine within the block."""
    reports, files = Reports(), Files()
    engine = CheckEngine(reports.take, files, whereabouts)
    try:
        for target in targets:
            engine.add(target)
        yield engine, reports
    finally:
        await engine.aclose()
        await files.aclose()


async def check(target: Target) -> CheckResult:
    """Return the result of the first check of a target."""
    async with checking(target) as (_, reports):
        return (await reports.wait_for(target))[0]
