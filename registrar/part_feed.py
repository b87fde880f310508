"""Keeps the last good answer of one part of a query.

A part that fails keeps its last good answer. One log line per transition, none per poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import Any, Protocol

import structlog
from structlog.typing import FilteringBoundLogger

from registrar.errors import SourceError
from registrar.inquiry import Inquiry
from registrar.model import Answer, PartState, QueryRef
from registrar.rotation import Seen, all_named, unite
from registrar.schedule import Schedule, Scheduled
from registrar.source import Part, Source

VANISHED_S = 30.0
"""A part that is no longer listed is kept for so long: a file being replaced, a host moved."""

LOGGED_DROPS = 10

MOST_BACKENDS = 100_000
"""More than these in one answer are taken for nonsense, and so for not knowing."""

log = structlog.get_logger()


class Query(Protocol):
    """What the part is one of."""

    @property
    def ref(self) -> QueryRef:
        """The query."""
        ...

    @property
    def source(self) -> Source[Any, Any]:
        """What is asked."""
        ...

    def changed(self) -> None:
        """Take note that something is known anew."""
        ...

    def measured(self, result: str, seconds: float) -> None:
        """Take how a question has ended, and how long it took."""
        ...


class PartFeed:
    """Runs one part, the Question what its answer is, until `stop`; `state` is what it knows."""

    __slots__ = (
        "_expiry",
        "_feed",
        "_heard",
        "_listened",
        "_schedule",
        "_seen",
        "inquiry",
        "part",
        "state",
    )

    def __init__(self, feed: Query, part: Part[Any], schedule: Schedule, rng: Random) -> None:
        self._feed = feed
        self.part = part
        self.state = PartState(part.name)
        self._schedule = schedule
        self._expiry: Scheduled | None = None
        self._seen: Seen | None = None  # None: all that the last answer has named, and no more
        self._heard: Answer | None = None  # the last answer, as it was given
        self._listened = 0.0  # seconds from the first answer on, but for those of failures
        self.inquiry: Inquiry[Answer] = Inquiry(self, schedule, rng)

    async def stop(self) -> None:
        """Stop asking; nothing is under way on return."""
        if self._expiry is not None:
            self._expiry.cancel()
        await self.inquiry.stop()

    def listed(self, *, listed: bool, gone: Callable[[PartFeed], None]) -> None:
        """Note whether the part is still among the query's; `gone` is called once it expires."""
        if listed and self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        elif not listed and self._expiry is None:
            self._expiry = self._schedule.after(VANISHED_S, lambda: gone(self))

    # --- as a Question ---------------------------------------------------------------------------

    @property
    def interval(self) -> float:
        """How often it is polled, in seconds."""
        interval: float = self._feed.source.options.interval
        return interval

    @property
    def timeout(self) -> float:
        """How long one answer may take, in seconds."""
        timeout: float = self._feed.source.options.timeout
        return timeout

    def ask(self) -> Awaitable[Answer]:
        """Ask the source once."""
        return self._feed.source.discover(self.part)

    def watch(self) -> AsyncGenerator[Answer | SourceError] | None:
        """Yield each answer, where the source can be watched."""
        return self._feed.source.watch(self.part)

    def listen(self, changed: Callable[[], None]) -> Callable[[], None] | None:
        """Have `changed` called where the source hints that it is to be asked; return the end."""
        return self._feed.source.listen(self.part, changed)

    def fresh_for(self, answer: Answer) -> float | None:
        """Return for how many seconds an answer holds, None where it doesn't say."""
        return answer.fresh_for

    def measured(self, result: str, seconds: float) -> None:
        """Tell how a poll has ended, and how long it took."""
        self._feed.measured(result, seconds)

    def log(self) -> FilteringBoundLogger:
        """Return where to say what became of a watch."""
        said: FilteringBoundLogger = log.bind(source=self._feed.ref.source, part=self.part.name)
        return said

    def accept(self, answer: Answer) -> None:
        """Take an answer: all of it, or nothing where it can't be believed."""
        before = self.state
        if answer.dropped and not answer.backends:
            # There are records: that none can be used doesn't say that there are no backends.
            self.fail(f"no record can be used: {answer.dropped[0].reason}")
            return
        if len(answer.backends) > MOST_BACKENDS:
            count = f"{len(answer.backends):,}"
            self.fail(f"it lists {count} backends, and {MOST_BACKENDS:,} are the most")
            return
        now = asyncio.get_running_loop().time()
        listened = self._listened
        if before.answered_at is not None and before.error is None:
            self._listened += now - before.answered_at
        if before.answer is not None and answer is self._heard and not answer.window:
            answer = before.answer  # a source that has found nothing new may give the same again
        else:
            answer = self._united(answer, listened)
        settled = self._listened >= answer.window
        self.state = PartState(before.name, answer, now, None, before.answers + 1, settled)
        if before.error is not None:
            self.log().info("source-recovered")
        if before.answer is None or answer.dropped != before.answer.dropped:
            for drop in answer.dropped[:LOGGED_DROPS]:
                self.log().warning("record-dropped", record=drop.record, reason=drop.reason)
            if len(answer.dropped) > LOGGED_DROPS:
                self.log().warning("records-dropped", count=len(answer.dropped))
        if (before.answer, before.error, before.settled) != (answer, None, settled):
            self._feed.changed()

    def _united(self, answer: Answer, before: float) -> Answer:
        """Return the answer with what counts as named; `before`: seconds listened till the last."""
        self._heard = answer
        named, last = self._seen, self.state.answer
        if named is None:
            named = all_named(last, before) if last is not None else {}
        seen = unite(named, answer, self._listened)
        self._seen = seen if answer.window else None
        # How long it holds is for the poll alone: a TTL that counts down is no change.
        backends = tuple([backend for backend, _ in seen.values()])
        united = replace(answer, backends=backends, fresh_for=None)
        return answer if answer == united else united

    def fail(self, error: str) -> None:
        """Take the reason why it isn't known now; what was known stays."""
        if error != self.state.error:
            self.log().warning("source-unknown", error=error)
            self.state = replace(self.state, error=error)
            self._feed.changed()
