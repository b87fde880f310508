"""Delayed and periodic work, on APScheduler and proof against jumps of the wall clock.

For polling and the like: tens to hundreds of jobs. Health checks have an engine of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler

WATCHDOG_S = 1.0
JUMP_S = 0.5
"""The wall clock has jumped if it moved by this much more, or less, than the monotonic one."""


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

    A watchdog compares that with the monotonic clock, and plans every job anew when they part.
    `wall` returns the time in seconds since the epoch.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True}
        )
        self._pending: dict[_Work, None] = {}
        self._watchdog: asyncio.TimerHandle | None = None
        self._offset = 0.0

    def start(self) -> None:
        """Begin. Must be called from within the event loop that the work runs in."""
        self._scheduler.start()
        self._offset = self._wall() - _monotonic()
        self._watch()

    def after(self, delay: float, work: Callable[[], None]) -> Scheduled:
        """Call `work` once, `delay` seconds from now."""
        entry = _Work(self, work, _monotonic() + delay)
        self._pending[entry] = None
        entry.job = self._scheduler.add_job(entry.run, "date", run_date=self._date(entry))
        return entry

    def stop(self) -> None:
        """Forget all work."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._pending.clear()
        self._scheduler.shutdown(wait=False)

    def forget(self, entry: _Work) -> bool:
        """Take `entry` off the list of what waits. Return whether it was on it."""
        return self._pending.pop(entry, entry) is None

    def _date(self, entry: _Work) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC) + timedelta(
            seconds=entry.due - _monotonic()
        )

    def _watch(self) -> None:
        offset = self._wall() - _monotonic()
        if abs(offset - self._offset) > JUMP_S:
            for entry in list(self._pending):
                if entry.job is not None:
                    entry.job.reschedule("date", run_date=self._date(entry))
        self._offset = offset
        self._watchdog = asyncio.get_running_loop().call_later(WATCHDOG_S, self._watch)


class _Work:
    """One piece of work on a ClockProofSchedule."""

    def __init__(self, owner: ClockProofSchedule, work: Callable[[], None], due: float) -> None:
        self.due = due
        self.job: Job | None = None
        self._owner = owner
        self._work = work

    async def run(self) -> None:
        # A coroutine, or APScheduler would run it in a thread.
        if self._owner.forget(self):
            self._work()

    def cancel(self) -> None:
        if self._owner.forget(self) and self.job is not None:
            # It may be on its way to run already; then run() finds itself forgotten.
            with contextlib.suppress(JobLookupError):
                self.job.remove()


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
