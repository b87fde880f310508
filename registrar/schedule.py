"""Delayed and periodic work, on APScheduler and proof against jumps of the wall clock.

For polling and the like: tens to hundreds of jobs. Health checks have an engine of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler

WATCHDOG_S = 1.0
"""How long a jump goes unseen, and so the most by which one makes work late."""

JUMP_S = 0.5
"""The wall clock has jumped if it parted by this much from the monotonic one."""

EARLY_S = 0.01
"""Work may run this much early: the clocks never agree to the last digit."""


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
    Nothing runs early.
    """

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True}
        )
        self._pending: dict[_Work, None] = {}
        self._watchdog: asyncio.TimerHandle | None = None
        self._offset = 0.0

    def start(self) -> None:
        """Begin. Must be called from within the event loop that the work runs in."""
        self._scheduler.start()
        self._offset = _offset()
        self._watch()

    def after(self, delay: float, work: Callable[[], None]) -> Scheduled:
        """Call `work` once, `delay` seconds from now."""
        entry = _Work(self, work, _monotonic() + delay)
        self._pending[entry] = None
        self._plan(entry)
        return entry

    def stop(self) -> None:
        """Forget all work."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._pending.clear()
        self._scheduler.remove_all_jobs()  # one that it begins while it ends is logged as an error
        self._scheduler.shutdown(wait=False)

    def finish(self, entry: _Work) -> None:
        """Do the work of `entry`, unless it was cancelled or its time has not come."""
        if entry not in self._pending:
            return
        if entry.due - _monotonic() > EARLY_S:
            self._plan(entry)  # the wall clock jumped ahead, and the watchdog has not looked yet
            return
        del self._pending[entry]
        entry.work()

    def forget(self, entry: _Work) -> None:
        """Take `entry` off what waits. It may be on its way to run already."""
        if self._pending.pop(entry, entry) is None:
            self._unplan(entry)

    def _plan(self, entry: _Work) -> None:
        when = datetime.now(UTC) + timedelta(seconds=entry.due - _monotonic())
        entry.job = self._scheduler.add_job(entry.run, "date", run_date=when)

    def _unplan(self, entry: _Work) -> None:
        if entry.job is not None:
            with contextlib.suppress(JobLookupError):
                entry.job.remove()

    def _watch(self) -> None:
        if abs(_offset() - self._offset) > JUMP_S:
            self._offset = _offset()
            for entry in list(self._pending):
                self._unplan(entry)
                self._plan(entry)
        self._watchdog = asyncio.get_running_loop().call_later(WATCHDOG_S, self._watch)


class _Work:
    """One piece of work on a ClockProofSchedule."""

    def __init__(self, owner: ClockProofSchedule, work: Callable[[], None], due: float) -> None:
        self.due = due
        self.work = work
        self.job: Job | None = None
        self._owner = owner

    async def run(self) -> None:
        # A coroutine, or APScheduler would run it in a thread.
        self._owner.finish(self)

    def cancel(self) -> None:
        self._owner.forget(self)


def _offset() -> float:
    """Return by how much the wall clock, read as APScheduler reads it, is ahead."""
    return datetime.now(UTC).timestamp() - _monotonic()


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
