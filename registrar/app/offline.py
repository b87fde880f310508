"""What is done with a configuration and its sources alone, without a cluster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from random import Random
from typing import TypeAlias

from registrar.config import Config
from registrar.feeds import Feeds
from registrar.files import Files
from registrar.model import Hold, ServiceKey
from registrar.render import Manifest, manifests
from registrar.schedule import ClockProofSchedule
from registrar.source import Context
from registrar.threads import in_thread

LOOK_S = 0.05

Rendered: TypeAlias = tuple[Manifest, ...] | Hold


async def warnings(config: Config) -> list[str]:
    """Return what a person should know of the files that a configuration names."""
    context = Context(config.base, Files(), in_thread)
    sources = {s.name: s.plugin(s.options, context) for s in config.sources}
    queries = dict.fromkeys(q for m in config.mappings for port in m.ports for q in port.queries)
    try:
        found = [w for q in queries for w in await sources[q.source].warnings(q.query)]
    finally:
        for source in sources.values():
            await source.aclose()
    return list(dict.fromkeys(found))


async def rendered(config: Config, patience: float) -> Mapping[ServiceKey, Rendered]:
    """Return the manifests of each mapping, or why there are none, by asking the sources alone."""
    files, schedule = Files(), ClockProofSchedule()
    rng = Random()  # noqa: S311  it spreads load, it guards nothing
    context = Context(config.base, files, in_thread)
    feeds = Feeds(config, context, schedule, rng, lambda _: None)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(files.aclose)
        schedule.start()
        stack.callback(schedule.stop)
        stack.push_async_callback(feeds.aclose)
        feeds.start()
        queries = {q for m in config.mappings for port in m.ports for q in port.queries}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not feeds.asked(queries):  # noqa: ASYNC110  what it waits for has many parts
                    await asyncio.sleep(LOOK_S)
        observations = feeds.observe(queries)
        return {
            mapping.key: manifests(mapping, config.instance, observations, config.networks)
            for mapping in config.mappings
        }
