"""Runs health checks, each at a fixed cadence of its own, and reports every outcome.

The first check comes at once; a random phase then keeps checks from coming in bursts. A check
never overlaps the one before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from random import Random

import structlog

from registrar.model import CheckResult, HttpProbe, Target
from registrar.probe.http import check_http
from registrar.probe.tcp import check_tcp

MOST_AT_ONCE = 100
"""Of the checks that somebody asks for beside their cadence."""

Report = Callable[[Target, CheckResult], None]
Check = Callable[[Target], Awaitable[CheckResult]]

log = structlog.get_logger()


async def check(target: Target) -> CheckResult:
    """Run one check of a target, within its timeout."""
    if isinstance(target.check.probe, HttpProbe):
        return await check_http(target, target.check.probe)
    return await check_tcp(target)


class AsyncioEngine:
    """An engine with a task per target. `report` gets every outcome, in the event loop."""

    def __init__(self, report: Report, rng: Random, run_check: Check = check) -> None:
        self._report = report
        self._rng = rng
        self._check = run_check
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._turns: dict[Target, asyncio.Lock] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._defects: set[type[Exception]] = set()

    def add(self, target: Target) -> None:
        """Check a target from now on, the first time at once."""
        self._turns[target] = asyncio.Lock()
        self._tasks[target] = asyncio.create_task(self._run(target))

    def remove(self, target: Target) -> None:
        """Stop checking a target; a check under way is given up."""
        task = self._tasks.pop(target)
        del self._turns[target]
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        task.cancel()

    async def renew(self, targets: Iterable[Target]) -> None:
        """Check each once more, beside its cadence; return once all have been reported."""
        free = asyncio.Semaphore(MOST_AT_ONCE)

        async def once(target: Target) -> None:
            async with free:
                if target in self._turns:
                    await self._check_once(target, self._turns[target])

        await asyncio.gather(*map(once, targets))

    async def aclose(self) -> None:
        """Stop checking; nothing is under way on return."""
        for target in list(self._tasks):
            self.remove(target)
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def _check_once(self, target: Target, turn: asyncio.Lock) -> None:
        try:
            async with turn:
                self._report(target, await self._check(target))
        except Exception as error:  # noqa: BLE001  a defect must not end the checks for good
            self._note(target, error)

    async def _run(self, target: Target) -> None:
        loop = asyncio.get_running_loop()
        turn = self._turns[target]
        interval = target.check.interval
        due = loop.time()
        # The second check falls anywhere within the first interval, and sets the phase.
        step = interval * self._rng.uniform(0.1, 1.0)
        while True:
            await self._check_once(target, turn)
            due += step
            step = interval
            while due < loop.time():  # late by more than an interval: skip, don't catch up
                due += interval
            await asyncio.sleep(due - loop.time())

    def _note(self, target: Target, error: Exception) -> None:
        if type(error) not in self._defects:  # a line per kind, not per target and check
            self._defects.add(type(error))
            backend = f"{target.address} port {target.port}"
            log.error("check-internal-error", backend=backend, exc_info=error)
