"""Looks at everything again by itself: every so often, or as a line of cron says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.cron import CronTrigger

from registrar.cluster.term import Leadership
from registrar.model import Periodic
from registrar.resync import Order, Resync

LOOK_S = 30.0
"""The wall clock, by which cron goes, is looked at so often: it may have jumped."""


class PeriodicResync:
    """Orders a resync whenever it is time, while this replica leads."""

    def __init__(
        self,
        settings: Periodic,
        resync: Resync,
        leadership: Leadership,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._resync = resync
        self._leadership = leadership
        self._now = now
        self._changed = asyncio.Event()
        self._last: datetime | None = None  # when cron had it done

    def apply(self, settings: Periodic) -> None:
        """Go over to other settings; the time begins anew if they differ."""
        if settings != self._settings:
            self._settings = settings
            self._changed.set()

    async def run(self) -> None:
        """Order resyncs until cancelled."""
        while True:
            self._changed.clear()
            if await self._comes() and self._leadership.term is not None:
                await self._resync.carry_out(Order(f"the schedule ({self._said})"))

    async def _comes(self) -> bool:
        """Wait until it is time; return False if the settings change before."""
        if self._settings.cron is None:
            return not await self._changes_within(self._settings.every)
        trigger = CronTrigger.from_crontab(self._settings.cron, timezone=UTC)
        due = trigger.get_next_fire_time(self._last, self._now())
        while due is None or self._now() < due:
            left = LOOK_S if due is None else (due - self._now()) / timedelta(seconds=1)
            if await self._changes_within(min(left, LOOK_S)):
                return False
        self._last = due
        return True

    async def _changes_within(self, seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    @property
    def _said(self) -> str:
        return self._settings.cron or f"every {self._settings.every:g} s"
