"""Has transitions written as Events, one after the other, beside everything else.

It never blocks whoever tells of a transition, and a failure of it stays its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from registrar.announcements import Announcement, Announcements
from registrar.cluster.events import EventWriter, News
from registrar.model import ServiceKey
from registrar.transitions import Transition

LOOK_S = 0.05
LOGGED_S = 60.0

log = structlog.get_logger()


class Announcer:
    """Runs until cancelled; `uid_of` returns the uid of a Service, empty if there is none."""

    def __init__(self, writer: EventWriter, uid_of: Callable[[ServiceKey], str]) -> None:
        self._writer = writer
        self._uid_of = uid_of
        self._announcements = Announcements()
        self._told = asyncio.Event()
        self._dropped = 0
        self._logged = float("-inf")

    @property
    def dropped(self) -> int:
        """How many Events there were too many to write."""
        return self._announcements.dropped

    def tell(self, transition: Transition) -> None:
        """Take note of a transition."""
        self._announcements.tell(transition, _monotonic())
        self._told.set()

    async def run(self) -> None:
        """Write what is due, until cancelled."""
        while True:
            for announcement in self._announcements.due(_monotonic()):
                await self._write(announcement)
            self._log_dropped()
            self._told.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._announcements.next(_monotonic())):
                    await self._told.wait()
            # A look goes over all that waits: what is told at once is looked at once.
            await asyncio.sleep(LOOK_S)

    async def finish(self) -> None:
        """Write what is left, at the end."""
        for announcement in self._announcements.rest(_monotonic()):
            await self._write(announcement)

    async def _write(self, one: Announcement) -> None:
        uid = self._uid_of(one.key)
        await self._writer.write(News(one.key, uid, one.reason, one.message, one.is_warning))

    def _log_dropped(self) -> None:
        now, count = _monotonic(), self._announcements.dropped
        if count > self._dropped and now - self._logged >= LOGGED_S:
            log.info("events-dropped", count=count - self._dropped)
            self._dropped, self._logged = count, now


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
