"""Keeps what one query of one source says: its parts, and the last good answer of each.

A part that fails keeps its last good answer. One log line per transition, none per poll.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import structlog

from registrar.inquiry import Inquiry, Measured, Question
from registrar.model import Answer, Observation, PartState, QueryRef
from registrar.rotation import Seen, unite
from registrar.schedule import Schedule, Scheduled
from registrar.source import Part, Source

VANISHED_S = 30.0
"""A part that is no longer listed is kept for so long: a file being replaced, a host moved."""

LOGGED_DROPS = 10

MOST_BACKENDS = 100_000
"""More than these in one answer are taken for nonsense, and so for not knowing."""

log = structlog.get_logger()


class Feed:
    """Runs one query from `start` to `stop`; `observation` is what it knows.

    `changed` is called after every change of it that a decision could depend on.
    """

    def __init__(
        self,
        ref: QueryRef,
        source: Source[Any, Any],
        schedule: Schedule,
        rng: Random,
        changed: Callable[[], None],
        measured: Measured = lambda _result, _seconds: None,
    ) -> None:
        self._name = ref.source
        self._source = source
        self._schedule = schedule
        self._rng = rng
        self._changed = changed
        self._measured = measured
        self._parts: dict[str, _PartFeed] = {}
        self._error: str | None = None
        self._asked = False
        options = source.options
        # A query that is its own only part never turns into others.
        is_fixed = type(source).split is Source.split
        self._split: Inquiry[Sequence[Part[Any]]] = Inquiry(
            Question(
                ask=lambda: source.split(ref.query),
                watch=lambda: source.watch_split(ref.query),
                interval=math.inf if is_fixed else options.interval,
                timeout=options.timeout,
                measured=measured,
            ),
            self._accept,
            self._fail,
            schedule,
            rng,
            log.bind(source=ref.source),
        )
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def observation(self) -> Observation:
        """What is known now."""
        return Observation(tuple(part.state for part in self._parts.values()), self._error)

    @property
    def asked(self) -> bool:
        """Whether every part has answered or failed at least once."""
        return self._asked and all(
            part.state.answer is not None or part.state.error is not None
            for part in self._parts.values()
        )

    def start(self) -> None:
        """Begin to ask."""
        self._split.start()

    def hurry(self, within: float) -> None:
        """Ask each part again, within so many seconds."""
        for part in self._parts.values():
            part.hurry(within)

    async def renew(self) -> None:
        """Ask again for the parts, and each of them; return once all have answered or failed."""
        await self._split.renew()
        await asyncio.gather(*(part.renew() for part in self._parts.values()))

    async def stop(self) -> None:
        """Stop asking; nothing is under way on return."""
        await self._split.stop()
        await asyncio.gather(*(part.stop() for part in self._parts.values()), *self._ending)

    def _accept(self, parts: Sequence[Part[Any]]) -> None:
        before = self.observation
        listed = {part.name: part for part in parts}
        if self._error is not None and self._asked:
            log.info("source-recovered", source=self._name)
        self._asked = True
        self._error = None
        for name, part in listed.items():
            if name not in self._parts:
                self._parts[name] = _PartFeed(
                    self._name,
                    self._source,
                    part,
                    self._schedule,
                    self._rng,
                    self._changed,
                    self._measured,
                )
                self._parts[name].start()
        for name, feed in self._parts.items():
            feed.listed(listed=name in listed, gone=self._drop)
        if self.observation != before:
            self._changed()

    def _fail(self, error: str) -> None:
        self._asked = True
        for feed in self._parts.values():
            # Not to be listed counts only while the list is known.
            feed.listed(listed=True, gone=self._drop)
        if error != self._error:
            log.warning("source-unknown", source=self._name, error=error)
            self._error = error
            self._changed()

    def _drop(self, name: str) -> None:
        part = self._parts.pop(name)
        log.info("part-gone", source=self._name, part=name)
        task = asyncio.create_task(part.stop())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        self._changed()


class _PartFeed:
    """Runs one part; `state` is what it knows."""

    def __init__(
        self,
        name: str,
        source: Source[Any, Any],
        part: Part[Any],
        schedule: Schedule,
        rng: Random,
        changed: Callable[[], None],
        measured: Measured,
    ) -> None:
        self.state = PartState(part.name)
        self._log = log.bind(source=name, part=part.name)
        self._schedule = schedule
        self._changed = changed
        self._expiry: Scheduled | None = None
        self._seen: Seen = {}
        self._heard: Answer | None = None  # the last answer, as it was given
        self._listened = 0.0  # seconds from the first answer on, but for those of failures
        self._inquiry: Inquiry[Answer] = Inquiry(
            Question(
                ask=lambda: source.discover(part),
                watch=lambda: source.watch(part),
                interval=source.options.interval,
                timeout=source.options.timeout,
                fresh_for=lambda answer: answer.fresh_for,
                measured=measured,
            ),
            self._accept,
            self._fail,
            schedule,
            rng,
            self._log,
        )

    def start(self) -> None:
        self._inquiry.start()

    def hurry(self, within: float) -> None:
        self._inquiry.hurry(within)

    async def renew(self) -> None:
        await self._inquiry.renew()

    async def stop(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        await self._inquiry.stop()

    def listed(self, *, listed: bool, gone: Callable[[str], None]) -> None:
        """Note whether the part is still among the query's; `gone` is called once it expires."""
        if listed and self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        elif not listed and self._expiry is None:
            self._expiry = self._schedule.after(VANISHED_S, lambda: gone(self.state.name))

    def _accept(self, answer: Answer) -> None:
        before = self.state
        if answer.dropped and not answer.backends:
            # There are records: that none can be used doesn't say that there are no backends.
            self._fail(f"no record can be used: {answer.dropped[0].reason}")
            return
        if len(answer.backends) > MOST_BACKENDS:
            count = f"{len(answer.backends):,}"
            self._fail(f"it lists {count} backends, and {MOST_BACKENDS:,} are the most")
            return
        now = asyncio.get_running_loop().time()
        if before.answered_at is not None and before.error is None:
            self._listened += now - before.answered_at
        if before.answer is not None and answer is self._heard and not answer.window:
            answer = before.answer  # a source that has found nothing new may give the same again
        else:
            self._heard = answer
            self._seen = unite(self._seen, answer, self._listened)
            backends = tuple(backend for backend, _ in self._seen.values())
            # How long it holds is for the poll alone: a TTL that counts down is no change.
            answer = replace(answer, backends=backends, fresh_for=None)
        settled = self._listened >= answer.window
        self.state = PartState(before.name, answer, now, None, before.answers + 1, settled)
        if before.error is not None:
            self._log.info("source-recovered")
        if before.answer is None or answer.dropped != before.answer.dropped:
            for drop in answer.dropped[:LOGGED_DROPS]:
                self._log.warning("record-dropped", record=drop.record, reason=drop.reason)
            if len(answer.dropped) > LOGGED_DROPS:
                self._log.warning("records-dropped", count=len(answer.dropped))
        if (before.answer, before.error, before.settled) != (answer, None, settled):
            self._changed()

    def _fail(self, error: str) -> None:
        if error != self.state.error:
            self._log.warning("source-unknown", error=error)
            self.state = replace(self.state, error=error)
            self._changed()
