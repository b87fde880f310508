"""The keys that are due to be looked at: each at most once, and never twice at the same time.

A mark says only "look again"; whoever takes a key reads the latest of everything.
"""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

from registrar.model import ServiceKey

COALESCE_S = 0.02
"""Changes that come together are looked at together, and cost one write."""

FOLLOW_S = 5.0
"""What follows lets others go first for so long; then it has every other turn."""

SOONEST_S = 0.001
"""What rounding leaves of a wait is no shorter than this, or it would be a loop without a pause."""


class Looks(Protocol):
    """Is told of looks, and for how long each was waited for and took, in seconds."""

    def begun(self, key: ServiceKey, waited: float) -> None:
        """Take note that a look begins."""
        ...

    def ended(self, key: ServiceKey, took: float) -> None:
        """Take note that a look is over."""
        ...


class Due:
    """A queue of Services. Marks while a key waits, or is being looked at, become one look."""

    def __init__(self, looks: Looks | None = None) -> None:
        self._looks = looks
        self._timers: dict[ServiceKey, asyncio.TimerHandle] = {}
        self._ready: dict[ServiceKey, float] = {}  # a queue that knows since when it holds what
        self._following: dict[ServiceKey, float] = {}  # the same of what lets others go first
        self._lets_others_go: set[ServiceKey] = set()
        self._was_following = False
        self._taken: dict[ServiceKey, float] = {}
        self._again: dict[ServiceKey, float] = {}
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._closed = False
        self._waiting: dict[ServiceKey, list[asyncio.Future[None]]] = {}
        self._looking: dict[ServiceKey, list[asyncio.Future[None]]] = {}

    def mark(self, key: ServiceKey, delay: float = COALESCE_S) -> None:
        """Have a key looked at after `delay` seconds, or sooner if it is due sooner."""
        loop = asyncio.get_running_loop()
        delay = max(delay, SOONEST_S) if delay > 0 else 0.0
        when = loop.time() + delay
        if key in self._taken:
            self._again[key] = min(when, self._again.get(key, when))
            return
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= when:
            return
        if timer is not None:
            timer.cancel()
        elif key in self._ready:
            return
        self._timers[key] = loop.call_at(when, self._fire, key)

    def follow_up(self, key: ServiceKey) -> None:
        """Have a key that is taken looked at again, after others that are due."""
        self._lets_others_go.add(key)

    async def take(self) -> ServiceKey:
        """Wait for a key and take it. `done` must follow."""
        while self._closed or not (self._ready or self._following):
            self._filled.clear()
            await self._filled.wait()
        now = asyncio.get_running_loop().time()
        key, since = self._pop(now)
        self._taken[key] = now
        if self._looks is not None:
            self._looks.begun(key, now - since)
        self._looking[key] = self._waiting.pop(key, [])
        return key

    def done(self, key: ServiceKey) -> None:
        """Give a key back; if it was marked meanwhile it becomes due again."""
        began, now = self._taken.pop(key), asyncio.get_running_loop().time()
        if self._looks is not None:
            self._looks.ended(key, now - began)
        for future in self._looking.pop(key, ()):
            if not future.done():
                future.set_result(None)
        if not self._taken:
            self._emptied.set()
        if key in self._lets_others_go:
            self._lets_others_go.remove(key)
            self._following[key] = now
            self._filled.set()
        when = self._again.pop(key, None)
        if when is not None:
            self.mark(key, max(0.0, when - now))

    async def look(self, key: ServiceKey, delay: float = 0.0) -> None:
        """Have a key looked at, and return once a look is over that has begun after this."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        self.mark(key, delay)
        await future

    async def close(self) -> None:
        """Hand out no more keys, and wait for those that are being looked at."""
        self._closed = True
        while self._taken:
            self._emptied.clear()
            await self._emptied.wait()

    @property
    def length(self) -> int:
        """How many keys' time has come that nobody looks at yet."""
        return len(self._ready) + len(self._following)

    @property
    def age(self) -> float:
        """For how many seconds the oldest of them has waited, 0 if there is none."""
        oldest = min(_oldest(self._ready), _oldest(self._following))
        return max(0.0, asyncio.get_running_loop().time() - oldest)

    @property
    def has_waiting(self) -> bool:
        """Whether a key's time has come that nobody looks at yet, and that lets nobody go first."""
        return bool(self._ready)

    @property
    def idle(self) -> bool:
        """Whether no key is being looked at, and none waits whose time has come."""
        now = asyncio.get_running_loop().time()
        waiting = any(timer.when() <= now + COALESCE_S for timer in self._timers.values())
        return not (self._ready or self._following or self._taken or waiting)

    def _pop(self, now: float) -> tuple[ServiceKey, float]:
        """Take a key off the queue whose turn it is; return it, and since when it was there."""
        is_late = now - _oldest(self._following) > FOLLOW_S
        follows = not self._ready or (is_late and not self._was_following)
        self._was_following = follows
        queue = self._following if follows else self._ready
        key = next(iter(queue))
        if (timer := self._timers.pop(key, None)) is not None:  # nobody looks at it twice at a time
            timer.cancel()
            self._again[key] = timer.when()
        return key, queue.pop(key)

    def _fire(self, key: ServiceKey) -> None:
        del self._timers[key]
        self._following.pop(key, None)
        self._ready[key] = asyncio.get_running_loop().time()
        self._filled.set()


def _oldest(queue: dict[ServiceKey, float]) -> float:
    """Return since when the first of a queue waits; infinity if there is none."""
    return next(iter(queue.values()), math.inf)
