"""Delayed and periodic work, on APScheduler and proof against jumps of the wall clock.

For polling and the like: thousands of questions, of each a few a minute. Health checks have an
engine of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol

from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler

WATCHDOG_S = 2.0
"""How long a jump goes unseen, and so the most by which one makes work late."""

JUMP_S = 0.5
"""The wall clock has jumped if it parted by this much from the monotonic one."""

EARLY_S = 0.01
"""Work may run this much early: the clocks never agree to the last digit."""

TOGETHER_S = 0.02
"""Work that comes so soon after other work may wait: a job of APScheduler costs more than most."""


class Scheduled(Protocol):
    """Work that waits for its time."""

    def cancel(self) -> None:
        """Forget it. Nothing happens if it has run already."""
        ...


class Schedule(Protocol):
    """Runs work later. Times are monotonic seconds from now."""

    def after(self, delay: float, work: Callable[[], None]) -> Scheduled:
        """Call `work` once, `delay` seconds from now."""
        ...


class ClockProofSchedule:
    """A Schedule on APScheduler, which plans by the wall clock.

    It has one job at a time, for whatever comes next. A watchdog compares the wall clock with the
    monotonic one, and plans anew when they part. Nothing runs early.
    """

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True}
        )
        self._waiting: list[tuple[float, int, _Work]] = []  # a heap
        self._numbers = count()
        self._job: Job | None = None
        self._planned = math.inf
        self._ran = -math.inf
        self._watchdog: asyncio.TimerHandle | None = None
        self._offset = 0.0

    def start(self) -> None:
        """Begin. Must be called from within the event loop that the work runs in."""
        self._scheduler.start()
        self._offset = _offset()
        self._watch()

    def after(self, delay: float, work: Callable[[], None]) -> Scheduled:
        """Call `work` once, `delay` seconds from now."""
        entry, due = _Work(work), _monotonic() + delay
        heapq.heappush(self._waiting, (due, next(self._numbers), entry))
        self._plan()
        return entry

    def stop(self) -> None:
        """Forget all work."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._waiting.clear()
        self._scheduler.remove_all_jobs()  # one that it begins while it ends is logged as an error
        self._scheduler.shutdown(wait=False)

    async def _run(self) -> None:
        # A coroutine, or APScheduler would run it in a thread.
        self._job, self._planned, self._ran = None, math.inf, _monotonic()
        try:
            # Nothing, if the wall clock jumped ahead and the watchdog has not looked yet.
            while self._waiting and self._waiting[0][0] - _monotonic() <= EARLY_S:
                _, _, entry = heapq.heappop(self._waiting)
                entry.do()
        finally:
            self._plan()

    def _plan(self) -> None:
        while self._waiting and self._waiting[0][2].is_cancelled:
            heapq.heappop(self._waiting)
        if not self._waiting:
            return
        due = max(self._waiting[0][0], self._ran + TOGETHER_S)
        if due < self._planned:
            self._unplan()
            when = datetime.now(UTC) + timedelta(seconds=due - _monotonic())
            self._job = self._scheduler.add_job(self._run, "date", run_date=when)
            self._planned = due

    def _unplan(self) -> None:
        if self._job is not None:
            with contextlib.suppress(JobLookupError):  # it is on its way
                self._job.remove()
        self._job, self._planned = None, math.inf

    def _watch(self) -> None:
        if abs(_offset() - self._offset) > JUMP_S:
            self._offset = _offset()
            self._unplan()
            self._plan()
        self._watchdog = asyncio.get_running_loop().call_later(WATCHDOG_S, self._watch)


class _Work:
    """One piece of work on a ClockProofSchedule."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work: Callable[[], None] | None = work

    @property
    def is_cancelled(self) -> bool:
        return self._work is None

    def do(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work()

    def cancel(self) -> None:
        self._work = None


def _offset() -> float:
    """Return by how much the wall clock, read as APScheduler reads it, is ahead."""
    return datetime.now(UTC).timestamp() - _monotonic()


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
