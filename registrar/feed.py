"""Keeps what one query of one source says: which parts it has, and what each of them says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, TypeAlias

import structlog
from structlog.typing import FilteringBoundLogger

from registrar.inquiry import Inquiry
from registrar.model import Observation, QueryRef
from registrar.part_feed import PartFeed
from registrar.schedule import Schedule
from registrar.source import Part, Source

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
        self._parts: tuple[PartFeed, ...] = ()
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
            PartFeed(self, part, self._schedule, self._rng)
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

    def _drop(self, gone: PartFeed) -> None:
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
