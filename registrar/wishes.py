"""Resyncs that are asked for on a Service itself: by any new value of an annotation.

The value that is there at the start counts as handled, so that a restart repeats nothing.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from registrar.cluster.term import Leadership
from registrar.model import ServiceKey
from registrar.resync import Order, Resync
from registrar.transitions import Listener, Resynced

BY = "the annotation"


class View(Protocol):
    """What the cluster holds, as far as wishes go."""

    def is_listed(self, key: ServiceKey) -> bool:
        """Whether all that is there for a Service has been listed."""
        ...

    def wish(self, key: ServiceKey) -> str:
        """Return the value of the annotation on a Service, empty if there is none."""
        ...


class Wishes:
    """Has Services looked at again that ask for it; `tell` is told what came of it."""

    def __init__(self, view: View, resync: Resync, leadership: Leadership, tell: Listener) -> None:
        self._view = view
        self._resync = resync
        self._leadership = leadership
        self._tell = tell
        self._seen: dict[ServiceKey, str] = {}
        self._wanted: set[ServiceKey] = set()
        self._news = asyncio.Event()

    def note(self, key: ServiceKey) -> None:
        """Look whether a Service asks for a resync, after any news of it."""
        if not self._view.is_listed(key):
            return
        wish = self._view.wish(key)
        seen = self._seen.setdefault(key, wish)
        self._seen[key] = wish
        # The others only note it: whoever leads then has done it.
        if wish not in {"", seen} and self._leadership.term is not None:
            self._wanted.add(key)
            self._news.set()

    async def run(self) -> None:
        """Carry out what is wished for, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            keys, self._wanted = tuple(sorted(self._wanted)), set()
            for key, outcome in (await self._resync.carry_out(Order(BY, keys))).items():
                self._tell(Resynced(key, outcome.state.value, outcome.detail))
