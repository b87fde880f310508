"""All queries of a configuration, each run once however many mappings ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

import structlog

from registrar.config import Config
from registrar.feed import Feed
from registrar.model import Observation, QueryRef, ServiceKey
from registrar.schedule import Schedule
from registrar.source import Context, Source

CLOSING_S = 2.0
"""A source that takes longer to close is left as it is: the process is about to end."""

log = structlog.get_logger()


class Feeds:
    """Runs a Feed per query. `changed` is called with each Service that a change concerns."""

    def __init__(
        self,
        config: Config,
        context: Context,
        schedule: Schedule,
        rng: Random,
        changed: Callable[[ServiceKey], None],
    ) -> None:
        self._changed = changed
        self._askers: dict[QueryRef, set[ServiceKey]] = {}
        for mapping in config.mappings:
            for port in mapping.ports:
                for ref in port.queries:
                    self._askers.setdefault(ref, set()).add(mapping.key)
        used = {ref.source for ref in self._askers}
        self._sources: dict[str, Source[Any, Any]] = {
            source.name: source.plugin(source.options, context)
            for source in config.sources
            if source.name in used
        }
        self._feeds = {
            ref: Feed(ref, self._sources[ref.source], schedule, rng, self._marker(ref))
            for ref in self._askers
        }

    def start(self) -> None:
        """Begin to ask."""
        for feed in self._feeds.values():
            feed.start()

    async def aclose(self) -> None:
        """Stop asking, and close the sources."""
        await asyncio.gather(*(feed.stop() for feed in self._feeds.values()))
        ends = await asyncio.gather(
            *(_close(source) for source in self._sources.values()), return_exceptions=True
        )
        for name, error in zip(self._sources, ends, strict=True):
            if error is not None:
                # Only the type: what a plugin did not mean to be read may hold a secret.
                log.warning("source-not-closed", source=name, error=type(error).__name__)

    def observe(self, queries: Iterable[QueryRef]) -> Mapping[QueryRef, Observation]:
        """Return the latest observation of each query."""
        return {ref: self._feeds[ref].observation for ref in queries}

    def hurry(self, queries: Iterable[QueryRef], within: float) -> None:
        """Ask each part of the queries again, within so many seconds."""
        for ref in queries:
            self._feeds[ref].hurry(within)

    def asked(self, queries: Iterable[QueryRef]) -> bool:
        """Whether every part of the queries has answered or failed at least once."""
        return all(self._feeds[ref].asked for ref in queries)

    def _marker(self, ref: QueryRef) -> Callable[[], None]:
        def mark() -> None:
            for key in self._askers[ref]:
                self._changed(key)

        return mark


async def _close(source: Source[Any, Any]) -> None:
    async with asyncio.timeout(CLOSING_S):
        await source.aclose()
