"""All queries of a configuration, each run once however many mappings ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from random import Random
from typing import Any, TypeAlias

import structlog

from registrar.config import Config
from registrar.feed import Feed, Measured, nobody
from registrar.mappings import SourceConfig
from registrar.model import Observation, QueryRef, ServiceKey
from registrar.schedule import Schedule
from registrar.source import Context, Source

AnySource: TypeAlias = Source[Any, Any]

CLOSING_S = 2.0
"""A source that takes longer to close is left as it is."""

log = structlog.get_logger()


class Feeds:
    """Runs a Feed per query. `changed` is called with each Service that a change concerns.

    `measured` gets the source, how a question to it has ended, and how many seconds it took.
    """

    def __init__(
        self,
        config: Config,
        context: Context,
        schedule: Schedule,
        rng: Random,
        changed: Callable[[ServiceKey], None],
        measured: Measured = nobody,
    ) -> None:
        self._measured = measured
        self._context = context
        self._schedule = schedule
        self._rng = rng
        self._changed = changed
        self._askers: Mapping[QueryRef, tuple[ServiceKey, ...]] = {}
        self._configured: Mapping[str, SourceConfig] = {}
        self._sources: dict[str, AnySource] = {}
        self._feeds: dict[QueryRef, Feed] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._started = False
        self.apply(config)

    def start(self) -> None:
        """Begin to ask."""
        self._started = True
        for feed in self._feeds.values():
            feed.start()

    def apply(self, config: Config) -> None:
        """Go over to another configuration: what it asks as before of the same source goes on.

        Whatever a source raises when it is made is raised, and then nothing is changed.
        """
        askers = _askers(config)
        used = {ref.source for ref in askers}
        configured = {source.name: source for source in config.sources if source.name in used}
        made = self._make([s for s in configured.values() if self._configured.get(s.name) != s])
        ended = {
            name: self._sources.pop(name)
            for name in list(self._sources)
            if name not in configured or name in made
        }
        gone = [
            self._feeds.pop(ref)
            for ref in list(self._feeds)
            if ref not in askers or ref.source in ended
        ]
        self._askers, self._configured = askers, configured
        self._sources.update(made)
        changed = self._changed_of
        for ref in askers.keys() - self._feeds.keys():
            source = self._sources[ref.source]
            feed = Feed(ref, source, self._schedule, self._rng, changed, self._measured)
            self._feeds[ref] = feed
            if self._started:
                feed.start()
        if gone or ended:
            self._end_later(gone, ended)

    async def aclose(self) -> None:
        """Stop asking, and close the sources."""
        await asyncio.gather(_end(self._feeds.values(), self._sources), *self._ending)

    def observe(self, queries: Iterable[QueryRef]) -> Mapping[QueryRef, Observation]:
        """Return the latest observation of each query that is asked."""
        return {ref: self._feeds[ref].observation for ref in queries if ref in self._feeds}

    def hurry(self, queries: Iterable[QueryRef], within: float) -> None:
        """Ask each part of the queries again, within so many seconds."""
        for ref in queries:
            self._feeds[ref].hurry(within)

    def states(self) -> Mapping[str, tuple[Observation, ...]]:
        """Return what is known of each query, by its source."""
        found: dict[str, list[Observation]] = {}
        for source, observation in self.each():
            found.setdefault(source, []).append(observation)
        return {source: tuple(all_of_it) for source, all_of_it in found.items()}

    def each(self) -> Iterator[tuple[str, Observation]]:
        """Yield what is known of each query, after its source; it may change meanwhile."""
        for ref, feed in list(self._feeds.items()):
            yield ref.source, feed.observation

    async def renew(self, queries: Iterable[QueryRef]) -> None:
        """Ask everything of the queries again; return once all has been answered or has failed."""
        asked = [self._feeds[ref] for ref in queries if ref in self._feeds]
        await asyncio.gather(*(feed.renew() for feed in asked))

    def asked(self, queries: Iterable[QueryRef]) -> bool:
        """Whether every part of the queries has answered or failed at least once."""
        return all(self._feeds[ref].asked for ref in queries)

    def _make(self, configured: Iterable[SourceConfig]) -> dict[str, AnySource]:
        made: dict[str, AnySource] = {}
        try:
            for source in configured:
                made[source.name] = source.plugin(source.options, self._context)
        except BaseException:
            if made:
                self._end_later([], made)
            raise
        return made

    def _end_later(self, feeds: Iterable[Feed], sources: Mapping[str, AnySource]) -> None:
        task = asyncio.create_task(_end(feeds, sources))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _changed_of(self, ref: QueryRef) -> None:
        for key in self._askers.get(ref, ()):
            self._changed(key)


def _askers(config: Config) -> Mapping[QueryRef, tuple[ServiceKey, ...]]:
    askers: dict[QueryRef, dict[ServiceKey, None]] = {}
    for mapping in config.mappings:
        for port in mapping.ports:
            for ref in port.queries:
                askers.setdefault(ref, {})[mapping.key] = None
    return {ref: tuple(keys) for ref, keys in askers.items()}


async def _end(feeds: Iterable[Feed], sources: Mapping[str, AnySource]) -> None:
    await asyncio.gather(*(feed.stop() for feed in feeds))
    ends = await asyncio.gather(*map(_close, sources.values()), return_exceptions=True)
    for name, error in zip(sources, ends, strict=True):
        if error is not None:
            # Only the type: what a plugin did not mean to be read may hold a secret.
            log.warning("source-not-closed", source=name, error=type(error).__name__)


async def _close(source: AnySource) -> None:
    async with asyncio.timeout(CLOSING_S):
        await source.aclose()
