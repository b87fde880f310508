"""Time that passes only when nothing is left to do: an event loop, and a wall clock that can jump.

It must never wait, nor look at any real clock.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from unittest.mock import patch

EPOCH = 1_767_225_600.0
"""2026-01-01T00:00Z, as in tests.embedded_cluster."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that jumps to the time of its next timer. Quicker than looptime."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Leap(self))

    def time(self) -> float:
        return self._now

    def leap(self, seconds: float) -> None:
        self._now += seconds


class _Leap(selectors.SelectSelector):
    """A selector that hears of no file: it passes the time until the next timer."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing is left that could ever happen")
        if timeout > 0:
            self._loop.leap(timeout)
        return []


class Wall:
    """The wall clock that APScheduler sees; `ahead` is by how much it has jumped, in seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self, tz: tzinfo | None = None) -> datetime:
        seconds = asyncio.get_running_loop().time() + self.ahead
        return datetime.fromtimestamp(EPOCH + seconds, tz)

    @contextmanager
    def in_force(self) -> Generator[None]:
        """Have APScheduler, and registrar's schedule on it, look at this clock."""
        wall = self

        class WallTime(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return wall.now(tz)

        # APScheduler reads the wall clock itself, so nothing less would make it jump.
        with (
            patch("apscheduler.schedulers.base.datetime", WallTime),
            patch("registrar.schedule.datetime", WallTime),
        ):
            yield
