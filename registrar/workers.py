"""Looks at Services as they become due, at as many at a time as may be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from registrar.due import Due
from registrar.model import ServiceKey


class Workers:
    """So many look at the same time, each at one Service; `set` may change how many."""

    def __init__(self, due: Due, look: Callable[[ServiceKey], Awaitable[None]], count: int) -> None:
        self._due = due
        self._look = look
        self._count = count
        self._hired = 0
        self._group: asyncio.TaskGroup | None = None

    def set(self, count: int) -> None:
        """Have so many look from now on; one too many ends once its look is over."""
        self._count = count
        self._hire()

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            self._hire()

    def _hire(self) -> None:
        while self._group is not None and self._hired < self._count:
            self._hired += 1
            self._group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._due.take()
            if self._hired > self._count:
                self._hired -= 1
                self._due.mark(key, 0)
                self._due.done(key)
                return
            try:
                await self._look(key)
            finally:
                self._due.done(key)
            await asyncio.sleep(0)  # a look may wait for nothing, and there may be thousands
