"""Asks one question again and again: deadline, watch, the poll beneath, backoff.

It never gives up, whatever a plugin does, and never lets one question wait for another.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from random import Random
from typing import Generic, Protocol, TypeVar

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


class Question(Protocol[T]):
    """What is asked, by polling and, where that can be, by watching; and who hears of it."""

    @property
    def interval(self) -> float:
        """How often it is polled, in seconds; infinite: once, unless it fails or is hinted at."""
        ...

    @property
    def timeout(self) -> float:
        """How long one answer may take, in seconds."""
        ...

    def ask(self) -> Awaitable[T]:
        """Ask once."""
        ...

    def watch(self) -> AsyncGenerator[T | SourceError] | None:
        """Yield each answer, where it can be watched."""
        ...

    def listen(self, changed: Callable[[], None]) -> Callable[[], None] | None:
        """Have `changed` called when to ask again, where something hints at it; return its end."""
        ...

    def fresh_for(self, answer: T) -> float | None:
        """Return for how many seconds an answer holds, None where it doesn't say."""
        ...

    def accept(self, answer: T) -> None:
        """Take what was answered."""
        ...

    def fail(self, error: str) -> None:
        """Take the reason why it isn't known, in words."""
        ...

    def measured(self, result: str, seconds: float) -> None:
        """Take how a poll has ended (`answered`, `failed`, `timed-out`), and how long it took."""
        ...

    def log(self) -> FilteringBoundLogger:
        """Return where to say what became of a watch."""
        ...


class Inquiry(Generic[T]):
    """Runs one Question from `start` to `stop`: there are thousands of them, so it keeps little."""

    __slots__ = (
        "_again",
        "_asking",
        "_backoff",
        "_due",
        "_failed",
        "_leave",
        "_lost",
        "_next",
        "_question",
        "_rng",
        "_schedule",
        "_seen",
        "_watching",
    )

    def __init__(self, question: Question[T], schedule: Schedule, rng: Random) -> None:
        self._question = question
        self._schedule = schedule
        self._rng = rng
        self._backoff: Backoff | None = None
        self._next: Scheduled | None = None
        self._due = 0.0
        self._failed = False
        self._again = False
        self._asking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._leave: Callable[[], None] | None = None
        self._seen = 0
        self._lost: str | None = None

    def start(self) -> None:
        """Ask at once, and go on."""
        self.ask_now()
        begun = self._begin()
        if begun is not None:
            self._watching = asyncio.create_task(self._watch(begun))

    def ask_now(self) -> None:
        """Ask at once, unless the question is being asked already."""
        if self._next is not None:
            self._next.cancel()
        if not self._is_asking:
            self._asking = asyncio.create_task(self._ask())

    async def renew(self) -> None:
        """Ask again; return once that has been answered or has failed."""
        if self._asking is not None:
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
        if self._leave is not None:
            self._leave()
        if self._next is not None:
            self._next.cancel()
        tasks = [task for task in (self._asking, self._watching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _is_asking(self) -> bool:
        return self._asking is not None and not self._asking.done()

    def _hint(self) -> None:
        self._again = self._is_asking  # what is under way may have begun before the change
        self.ask_now()

    async def _ask(self) -> None:
        delay = await self._ask_once()
        while self._again:
            self._again = False
            delay = await self._ask_once()
        self._asking = None
        self._plan(delay)

    async def _ask_once(self) -> float:
        """Ask; return in how many seconds to ask again."""
        question = self._question
        seen, began = self._seen, self._now()
        deadline = asyncio.timeout(question.timeout)
        try:
            async with deadline:
                answer = await question.ask()
            question.measured("answered", self._now() - began)
            if seen == self._seen:  # else what was watched meanwhile may be newer
                question.accept(answer)
            fresh_for = self._fresh_for(answer)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  it is not knowing
            _let_go_if_stopped(error)
            self._failed = True
            is_late = deadline.expired() and isinstance(error, TimeoutError)
            question.measured("timed-out" if is_late else "failed", self._now() - began)
            if is_late:
                question.fail(f"no answer within {question.timeout:g} s")
            else:
                question.fail(_words(error))
            if self._backoff is None:
                self._backoff = self._new_backoff()
            return self._backoff.next(_retry_after(error))
        self._failed = False
        self._backoff = None
        return min(question.interval * self._rng.uniform(1 - POLL_JITTER, 1), fresh_for)

    def _plan(self, delay: float) -> None:
        self._due = self._now() + delay
        if delay < math.inf:
            self._next = self._schedule.after(delay, self.ask_now)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _begin(self) -> AsyncGenerator[T | SourceError] | BaseException | None:
        """Begin to listen and to watch; return what is told, or what has been raised."""
        try:
            if self._leave is None:
                self._leave = self._question.listen(self._hint)
            return self._question.watch()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  as in _ask_once
            return error

    async def _watch(self, begun: AsyncGenerator[T | SourceError] | BaseException | None) -> None:
        backoff = self._new_backoff()
        while begun is not None:
            at_least = None
            try:
                async with contextlib.aclosing(_stream(begun)) as items:
                    async for item in items:
                        self._hear(item)
                        backoff.reset()
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  as in _ask_once
                _let_go_if_stopped(error)
                at_least = _retry_after(error)
                self._lose(_words(error))
            await asyncio.sleep(backoff.next(at_least))
            begun = self._begin()

    def _hear(self, item: T | SourceError) -> None:
        if isinstance(item, SourceError):
            self._question.fail(str(item))
        else:
            self._question.accept(item)
            self._seen += 1
            self.hurry(self._fresh_for(item))
        if self._lost is not None:
            self._lost = None
            self._question.log().info("watch-recovered")

    def _lose(self, error: str) -> None:
        if self._lost is None:
            # Whether the answer is still known is for the poll to say, at once.
            self.ask_now()
        if error != self._lost:
            self._lost = error
            self._question.log().warning("watch-lost", error=error)

    def _fresh_for(self, answer: T) -> float:
        seconds = self._question.fresh_for(answer)
        return math.inf if seconds is None else max(LEAST_FRESH_S, seconds)

    def _new_backoff(self) -> Backoff:
        longest = min(self._question.interval, LONGEST_RETRY_S)
        return Backoff(FIRST_RETRY_S, max(longest, FIRST_RETRY_S), self._rng)


def _stream(begun: AsyncGenerator[T] | BaseException) -> AsyncGenerator[T]:
    if isinstance(begun, BaseException):
        raise begun
    return begun


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
