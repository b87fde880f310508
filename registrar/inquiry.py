"""Asks one question again and again: deadline, watch, the poll beneath, backoff.

It never gives up, and never lets one question wait for another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

import structlog

from registrar.backoff import Backoff
from registrar.errors import SourceError
from registrar.schedule import Schedule, Scheduled

T = TypeVar("T")

FIRST_RETRY_S = 1.0
POLL_JITTER = 0.1

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked, by polling and, where `watch` gives an iterator, by watching."""

    ask: Callable[[], Awaitable[T]]
    watch: Callable[[], AsyncGenerator[T | SourceError] | None]
    interval: float
    timeout: float


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
    ) -> None:
        self._question = question
        self._accept = accept
        self._fail = fail
        self._schedule = schedule
        self._rng = rng
        self._backoff = Backoff(FIRST_RETRY_S, max(question.interval, FIRST_RETRY_S), rng)
        self._next: Scheduled | None = None
        self._asking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

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
        try:
            async with asyncio.timeout(self._question.timeout):
                answer = await self._question.ask()
        except Exception as error:  # noqa: BLE001  a plugin's fault is not knowing, whatever it is
            self._fail(_words(error, self._question.timeout))
            delay = self._backoff.next(_retry_after(error))
        else:
            self._backoff.reset()
            self._accept(answer)
        self._next = self._schedule.after(delay, self.ask_now)

    async def _watch(self) -> None:
        backoff = Backoff(FIRST_RETRY_S, max(self._question.interval, FIRST_RETRY_S), self._rng)
        while (stream := self._question.watch()) is not None:
            at_least = None
            try:
                async with contextlib.aclosing(stream) as items:
                    async for item in items:
                        backoff.reset()
                        if isinstance(item, SourceError):
                            self._fail(str(item))
                        else:
                            self._accept(item)
            except Exception as error:  # noqa: BLE001  as in _ask
                self._fail(_words(error, self._question.timeout))
                at_least = _retry_after(error)
            await asyncio.sleep(backoff.next(at_least))


def _retry_after(error: Exception) -> float | None:
    return error.retry_after if isinstance(error, SourceError) else None


def _words(error: Exception, timeout: float) -> str:
    if isinstance(error, SourceError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    # Only the type: what a plugin did not mean to be read may hold a secret.
    log.error("source-plugin-error", error=type(error).__name__)
    return f"the source plugin failed with {type(error).__name__}"
