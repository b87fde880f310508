"""Asks one question again and again: deadline, watch, the poll beneath, backoff.

It never gives up, whatever a plugin does, and never lets one question wait for another.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeAlias, TypeVar

from structlog.typing import FilteringBoundLogger

from registrar.backoff import Backoff
from registrar.defects import where
from registrar.errors import SourceError
from registrar.schedule import Schedule, Scheduled

T = TypeVar("T")

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
"""What failed is asked again that soon, however seldom it is asked while all is well."""

POLL_JITTER = 0.1
LONGEST_RETRY_AFTER_S = 86_400.0

LEAST_FRESH_S = 0.5
"""A question is not asked again sooner, however short an answer holds: DNS knows a TTL of 0."""


Measured: TypeAlias = Callable[[str, float], None]
"""Gets `answered`, `failed` or `timed-out`, and seconds."""


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked, by polling and, where `watch` gives an iterator, by watching.

    Polled every `interval` seconds; infinite: once, unless it fails or somebody asks for it.
    `fresh_for` says for how many seconds an answer holds, None where it doesn't say. `measured` is
    told how each time that it was asked has ended, and how long that took.
    """

    ask: Callable[[], Awaitable[T]]
    watch: Callable[[], AsyncGenerator[T | SourceError] | None]
    interval: float
    timeout: float
    fresh_for: Callable[[T], float | None] = lambda _: None
    measured: Measured = lambda _result, _seconds: None


class Inquiry(Generic[T]):
    """Runs one Question from `start` to `stop` and hands on each answer, and each error.

    `accept` gets what was answered, `fail` the reason why it isn't known, in words.
    """

    def __init__(
        self,
        question: Question[T],
        accept: Callable[[T], None],
        fail: Callable[[str], None],
        schedule: Schedule,
        rng: Random,
        log: FilteringBoundLogger,
    ) -> None:
        self._question = question
        self._accept = accept
        self._fail = fail
        self._schedule = schedule
        self._rng = rng
        self._log = log
        self._backoff = self._new_backoff()
        self._next: Scheduled | None = None
        self._due = 0.0
        self._failed = False
        self._asking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._seen = 0
        self._lost: str | None = None

    def start(self) -> None:
        """Ask at once, and go on."""
        self.ask_now()
        self._watching = asyncio.create_task(self._watch())

    def ask_now(self) -> None:
        """Ask at once, unless the question is being asked already."""
        if self._next is not None:
            self._next.cancel()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())

    async def renew(self) -> None:
        """Ask again; return once that has been answered or has failed."""
        if self._asking is not None and not self._asking.done():
            await asyncio.wait({self._asking})  # it may have begun too early to tell the latest
        self.ask_now()
        if self._asking is not None:
            await asyncio.wait({self._asking})

    def hurry(self, within: float) -> None:
        """Ask again within so many seconds, unless it failed: then its backoff stands."""
        if self._next is not None and within < self._due - self._now() and not self._failed:
            self._next.cancel()
            self._plan(within)

    async def stop(self) -> None:
        """Stop asking. Whatever was under way is cancelled and has ended on return."""
        if self._next is not None:
            self._next.cancel()
        tasks = [task for task in (self._asking, self._watching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self) -> None:
        delay = self._question.interval * self._rng.uniform(1 - POLL_JITTER, 1)
        seen, began = self._seen, self._now()
        deadline = asyncio.timeout(self._question.timeout)
        try:
            async with deadline:
                answer = await self._question.ask()
            self._question.measured("answered", self._now() - began)
            if seen == self._seen:  # else what was watched meanwhile may be newer
                self._accept(answer)
            delay = min(delay, self._fresh_for(answer))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  it is not knowing
            _let_go_if_stopped(error)
            self._failed = True
            is_late = deadline.expired() and isinstance(error, TimeoutError)
            self._question.measured("timed-out" if is_late else "failed", self._now() - began)
            if is_late:
                self._fail(f"no answer within {self._question.timeout:g} s")
            else:
                self._fail(_words(error))
            delay = self._backoff.next(_retry_after(error))
        else:
            self._failed = False
            self._backoff.reset()
        self._plan(delay)

    def _plan(self, delay: float) -> None:
        self._due = self._now() + delay
        if delay < math.inf:
            self._next = self._schedule.after(delay, self.ask_now)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _watch(self) -> None:
        backoff = self._new_backoff()
        while True:
            at_least = None
            try:
                stream = self._question.watch()
                if stream is None:
                    return
                async with contextlib.aclosing(stream) as items:
                    async for item in items:
                        self._hear(item)
                        backoff.reset()
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  as in _ask
                _let_go_if_stopped(error)
                at_least = _retry_after(error)
                self._lose(_words(error))
            await asyncio.sleep(backoff.next(at_least))

    def _hear(self, item: T | SourceError) -> None:
        if isinstance(item, SourceError):
            self._fail(str(item))
        else:
            self._accept(item)
            self._seen += 1
            self.hurry(self._fresh_for(item))
        if self._lost is not None:
            self._lost = None
            self._log.info("watch-recovered")

    def _lose(self, error: str) -> None:
        if self._lost is None:
            # Whether the answer is still known is for the poll to say, at once.
            self.ask_now()
        if error != self._lost:
            self._lost = error
            self._log.warning("watch-lost", error=error)

    def _fresh_for(self, answer: T) -> float:
        seconds = self._question.fresh_for(answer)
        return math.inf if seconds is None else max(LEAST_FRESH_S, seconds)

    def _new_backoff(self) -> Backoff:
        longest = min(self._question.interval, LONGEST_RETRY_S)
        return Backoff(FIRST_RETRY_S, max(longest, FIRST_RETRY_S), self._rng)


def _let_go_if_stopped(error: BaseException) -> None:
    # A plugin may let slip a cancellation of its own doing: only one of this task is meant.
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


def _retry_after(error: BaseException) -> float | None:
    if isinstance(error, SourceError) and error.retry_after is not None:
        return min(error.retry_after, LONGEST_RETRY_AFTER_S)
    return None


def _words(error: BaseException) -> str:
    if isinstance(error, SourceError):
        return str(error)
    # Only type and place: what a plugin did not mean to be read may hold a secret.
    place = where(error)
    at = f" at {place}" if place else ""
    return f"the source plugin failed with {type(error).__name__}{at}"
