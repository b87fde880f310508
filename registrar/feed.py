"""Keeps what one query of one source says: its parts, and the last good answer of each.

A part that fails keeps its last good answer. One log line per transition, none per poll.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, TypeAlias

import structlog
from structlog.typing import FilteringBoundLogger

from registrar.errors import SourceError
from registrar.inquiry import Inquiry
from registrar.model import Answer, Observation, PartState, QueryRef
from registrar.rotation import Seen, all_named, unite
from registrar.schedule import Schedule, Scheduled
from registrar.source import Part, Source

VANISHED_S = 30.0
"""A part that is no longer listed is kept for so long: a file being replaced, a host moved."""

LOGGED_DROPS = 10

MOST_BACKENDS = 100_000
"""More than these in one answer are taken for nonsense, and so for not knowing."""

log = structlog.get_logger()


Changed: TypeAlias = Callable[[QueryRef], None]
"""Gets the query of which something has changed that a decision could depend on."""

Measured: TypeAlias = Callable[[str, str, float], None]
"""Gets the source, how a question to it has ended, and how many seconds it took."""


def nobody(source: str, result: str, seconds: float) -> None:
    """Measure nothing."""


class Feed:
    """Runs one query from `start` to `stop`; `observation` is what it knows.

    Most have a single part, and there are thousands of them: it keeps little.
    """

    __slots__ = (
        "_asked",
        "_changed",
        "_ending",
        "_error",
        "_inquiry",
        "_measured",
        "_parts",
        "_rng",
        "_schedule",
        "ref",
        "source",
    )

    def __init__(
        self,
        ref: QueryRef,
        source: Source[Any, Any],
        schedule: Schedule,
        rng: Random,
        changed: Changed,
        measured: Measured = nobody,
    ) -> None:
        self.ref = ref
        self.source = source
        self._schedule = schedule
        self._rng = rng
        self._changed = changed
        self._measured = measured
        self._parts: tuple[_PartFeed, ...] = ()
        self._error: str | None = None
        self._asked = False
        self._inquiry: Inquiry[Sequence[Part[Any]]] | None = None
        self._ending: tuple[asyncio.Task[None], ...] = ()

    @property
    def observation(self) -> Observation:
        """What is known now."""
        return Observation(tuple([part.state for part in self._parts]), self._error)

    @property
    def asked(self) -> bool:
        """Whether every part has answered or failed at least once."""
        return self._asked and all(
            part.state.answer is not None or part.state.error is not None for part in self._parts
        )

    def start(self) -> None:
        """Begin to ask."""
        with contextlib.suppress(Exception):  # whatever a plugin does: `split` will say so
            parts = self.source.parts(self.ref.query)
            if parts is not None:
                self.accept(parts)
                return
        self._inquiry = Inquiry(_Splitting(self), self._schedule, self._rng)
        self._inquiry.start()

    def hurry(self, within: float) -> None:
        """Ask each part again, within so many seconds."""
        for part in self._parts:
            part.inquiry.hurry(within)

    async def renew(self) -> None:
        """Ask again for the parts, and each of them; return once all have answered or failed."""
        if self._inquiry is not None:
            await self._inquiry.renew()
        await asyncio.gather(*(part.inquiry.renew() for part in self._parts))

    async def stop(self) -> None:
        """Stop asking; nothing is under way on return."""
        if self._inquiry is not None:
            await self._inquiry.stop()
        await asyncio.gather(*(part.stop() for part in self._parts), *self._ending)

    def changed(self) -> None:
        """Tell that something is known anew."""
        self._changed(self.ref)

    def measured(self, result: str, seconds: float) -> None:
        """Tell how a question has ended, and how long it took."""
        self._measured(self.ref.source, result, seconds)

    def accept(self, parts: Sequence[Part[Any]]) -> None:
        """Take what the query's parts are now."""
        before = self.observation
        listed = {part.name: part for part in parts}
        if self._error is not None and self._asked:
            log.info("source-recovered", source=self.ref.source)
        self._asked = True
        self._error = None
        known = {feed.part.name for feed in self._parts}
        new = [
            _PartFeed(self, part, self._schedule, self._rng)
            for name, part in listed.items()
            if name not in known
        ]
        self._parts = (*self._parts, *new)
        for feed in new:
            feed.inquiry.start()
        for feed in self._parts:
            feed.listed(listed=feed.part.name in listed, gone=self._drop)
        if self.observation != before:
            self.changed()

    def fail(self, error: str) -> None:
        """Take why the parts are not known."""
        self._asked = True
        for feed in self._parts:
            # Not to be listed counts only while the list is known.
            feed.listed(listed=True, gone=self._drop)
        if error != self._error:
            log.warning("source-unknown", source=self.ref.source, error=error)
            self._error = error
            self.changed()

    def _drop(self, gone: _PartFeed) -> None:
        self._parts = tuple(part for part in self._parts if part is not gone)
        log.info("part-gone", source=self.ref.source, part=gone.part.name)
        ended = asyncio.create_task(gone.stop())
        self._ending = (*(task for task in self._ending if not task.done()), ended)
        self.changed()


class _Splitting:
    """The Question what the parts of a query are."""

    __slots__ = ("_feed", "accept", "fail", "interval", "measured", "timeout")

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.interval = feed.source.options.interval
        self.timeout = feed.source.options.timeout
        self.accept, self.fail, self.measured = feed.accept, feed.fail, feed.measured

    def ask(self) -> Awaitable[Sequence[Part[Any]]]:
        return self._feed.source.split(self._feed.ref.query)

    def watch(self) -> None:
        return None

    def listen(self, changed: Callable[[], None]) -> Callable[[], None] | None:
        return self._feed.source.listen_split(self._feed.ref.query, changed)

    def fresh_for(self, _: Sequence[Part[Any]]) -> None:
        return None

    def log(self) -> FilteringBoundLogger:
        said: FilteringBoundLogger = log.bind(source=self._feed.ref.source)
        return said


class _PartFeed:
    """Runs one part, the Question what its answer is; `state` is what it knows."""

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

    def __init__(self, feed: Feed, part: Part[Any], schedule: Schedule, rng: Random) -> None:
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
        if self._expiry is not None:
            self._expiry.cancel()
        await self.inquiry.stop()

    def listed(self, *, listed: bool, gone: Callable[[_PartFeed], None]) -> None:
        """Note whether the part is still among the query's; `gone` is called once it expires."""
        if listed and self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        elif not listed and self._expiry is None:
            self._expiry = self._schedule.after(VANISHED_S, lambda: gone(self))

    # --- as a Question ---------------------------------------------------------------------------

    @property
    def interval(self) -> float:
        interval: float = self._feed.source.options.interval
        return interval

    @property
    def timeout(self) -> float:
        timeout: float = self._feed.source.options.timeout
        return timeout

    def ask(self) -> Awaitable[Answer]:
        return self._feed.source.discover(self.part)

    def watch(self) -> AsyncGenerator[Answer | SourceError] | None:
        return self._feed.source.watch(self.part)

    def listen(self, changed: Callable[[], None]) -> Callable[[], None] | None:
        return self._feed.source.listen(self.part, changed)

    def fresh_for(self, answer: Answer) -> float | None:
        return answer.fresh_for

    def measured(self, result: str, seconds: float) -> None:
        self._feed.measured(result, seconds)

    def log(self) -> FilteringBoundLogger:
        said: FilteringBoundLogger = log.bind(source=self._feed.ref.source, part=self.part.name)
        return said

    def accept(self, answer: Answer) -> None:
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
        if error != self.state.error:
            self.log().warning("source-unknown", error=error)
            self.state = replace(self.state, error=error)
            self._feed.changed()
