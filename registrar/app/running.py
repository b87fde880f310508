"""Everything that runs against a cluster: constructed, connected, and ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import registrar
from registrar.announcer import Announcer
from registrar.checks import Checks
from registrar.cluster.client import Client
from registrar.cluster.connect import connect
from registrar.cluster.endpoints import is_ours
from registrar.cluster.events import EventWriter
from registrar.cluster.publisher import ClusterPublisher, DryPublisher
from registrar.cluster.ranges import Ranges
from registrar.cluster.view import ClusterView
from registrar.config import Config
from registrar.difference import Difference, difference
from registrar.due import Due
from registrar.feeds import Feeds
from registrar.files import FileReader, Files, in_thread
from registrar.model import Hold, HoldReason, QueryRef, ServiceKey
from registrar.orphans import Orphans
from registrar.probe.engine import AsyncioEngine, Check, check
from registrar.publication import Cluster
from registrar.reconciler import Reconciler
from registrar.reload import Change, Reload, read_outcome
from registrar.schedule import ClockProofSchedule
from registrar.source import Context
from registrar.standing import Standing
from registrar.transitions import nobody

LAST_WRITE_S = 1.5
SETTLE_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Which cluster, as kubectl's options of these names say."""

    kubeconfig: str | None = None
    context: str | None = None


@dataclass(slots=True)
class App:
    """The running parts, and what is asked of them all at once."""

    config: Config
    view: ClusterView
    due: Due
    feeds: Feeds
    checks: Checks
    reconciler: Reconciler
    orphans: Orphans
    ranges: Ranges

    async def heard(self, patience: float) -> None:
        """Wait until the cluster has been heard, and its own ranges are known.

        Raise RangesForbidden, or the ClusterError that says why not, as `view` and `ranges` do.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        await self.view.heard(patience)
        await self.ranges.heard(max(0.0, deadline - loop.time()))

    def apply(self, config: Config, change: Change) -> None:
        """Go over to another configuration, all parts in one step. What is the same goes on."""
        self.feeds.apply(config)  # first, because a source may refuse to be made
        if not config.networks.cluster.all:
            self.ranges.need()
        self.view.apply(mapping.key for mapping in config.mappings)
        self.checks.apply(config.preservation)
        self.reconciler.apply(config, change.added | change.changed)
        self.orphans.apply(config)
        self.config = config

    def doubt(self) -> None:
        """Take nothing away while the file says something else than what is in force."""
        self.orphans.doubt()

    async def settle(self, patience: float) -> Mapping[ServiceKey, Standing]:
        """Wait until each Service is in place or held, `patience` seconds at most.

        That takes an answer or an error of each source, and a judgement of each backend.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not self._is_settled():  # noqa: ASYNC110  what it waits for has many parts
                    await asyncio.sleep(SETTLE_LOOK_S)
        return {mapping.key: self._standing(mapping.key) for mapping in self.config.mappings}

    def differences(self) -> list[Difference]:
        """Return what a look at each Service has come to, where nothing is written."""
        found = []
        for mapping in sorted(self.config.mappings, key=lambda mapping: mapping.key):
            key = mapping.key
            held = self.view.held(key)
            takes_over = held.endpoints is not None and not is_ours(
                held.endpoints, self.config.instance
            )
            reasons = self.checks.reasons(key)
            found.append(difference(key, self._standing(key), reasons, takes_over=takes_over))
        return found

    def _standing(self, key: ServiceKey) -> Standing:
        # Not having been listed in time is no longer "no news" to one who waited for it.
        unlisted = Hold(HoldReason.CLUSTER_UNREACHABLE, f"{key.namespace} was not listed in time")
        return self.reconciler.standings.get(key, Standing(unlisted))

    def _is_settled(self) -> bool:
        return self.due.idle and all(
            self._has_settled(mapping.key, {q for port in mapping.ports for q in port.queries})
            for mapping in self.config.mappings
        )

    def _has_settled(self, key: ServiceKey, queries: set[QueryRef]) -> bool:
        standing = self.reconciler.standings.get(key)
        if standing is None or standing.is_early:
            return False
        if standing.hold is not None and standing.hold.reason not in _PASSING:
            return True
        return self.feeds.asked(queries) and self.checks.settled(key)


_PASSING = frozenset({HoldReason.SOURCE_UNKNOWN, HoldReason.WAITING})


class Mode(enum.Enum):
    """What it is run for: to stay, for one pass, or to say what one would write."""

    STAY = enum.auto()
    PASS = enum.auto()
    PLAN = enum.auto()


def _time_of_day() -> datetime:
    """Return the time of day, for what the cluster's objects say of it."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Ends:
    """What it meets the world with besides sources and cluster; the simulation brings its own."""

    run_check: Check = check
    now: Callable[[], datetime] = _time_of_day
    rng: Random = field(default_factory=Random)
    """It spreads load, it guards nothing."""


@contextlib.asynccontextmanager
async def running(
    config: Config,
    cluster: ClusterOptions,
    mode: Mode,
    run_check: Check = check,
    file: Path | None = None,
) -> AsyncGenerator[App]:
    """Run everything within the block. On leaving it the write in flight is finished first.

    Where the configuration's file is given, changes of it are applied.
    """
    agent = f"registrar/{registrar.__version__} ({config.instance})"
    client = await connect(cluster.kubeconfig, cluster.context, agent)
    async with running_with(client, config, mode, Ends(run_check), file) as app:
        yield app


@contextlib.asynccontextmanager
async def running_with(
    client: Client, config: Config, mode: Mode, ends: Ends, file: Path | None = None
) -> AsyncGenerator[App]:
    """As `running`, with a client that is there; it is closed at the end."""
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(client.aclose)
        app, parts = _construct(config, client, mode, ends)
        stack.push_async_callback(parts.files.aclose)
        parts.schedule.start()
        stack.callback(parts.schedule.stop)
        stack.push_async_callback(parts.engine.aclose)
        app.checks.start(parts.engine)
        stack.push_async_callback(app.feeds.aclose)
        app.feeds.start()
        try:
            async with asyncio.TaskGroup() as group:
                parts_of_it = (app.view, app.ranges, app.reconciler)
                tasks = [group.create_task(part.run()) for part in parts_of_it]
                tasks.append(group.create_task(parts.announcer.run()))
                if mode is Mode.STAY:
                    tasks.append(group.create_task(app.orphans.run()))
                if file is not None:
                    reader = FileReader(read_outcome)
                    stack.push_async_callback(reader.aclose)
                    reload = Reload(file, config, parts.files, reader, app)
                    tasks.append(group.create_task(reload.run()))
                for mapping in config.mappings:
                    app.due.mark(mapping.key)
                try:
                    yield app
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LAST_WRITE_S):
                            await app.due.close()
                            await parts.announcer.finish()
                finally:
                    for task in tasks:
                        task.cancel()
        except BaseExceptionGroup as group_of_errors:
            # Whoever called knows what to say of the error itself, not of a group of them.
            error: BaseException = group_of_errors
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from None


@dataclass(frozen=True, slots=True)
class _Parts:
    files: Files
    schedule: ClockProofSchedule
    engine: AsyncioEngine
    announcer: Announcer


def _construct(config: Config, client: Client, mode: Mode, ends: Ends) -> tuple[App, _Parts]:
    rng = ends.rng
    files, schedule, due = Files(), ClockProofSchedule(), Due()
    context = Context(config.base, files, in_thread)
    checks = Checks(due.mark, config.preservation)
    engine = AsyncioEngine(checks.report, rng, ends.run_check)
    keys = [mapping.key for mapping in config.mappings]
    view = ClusterView(client, config.instance, keys, due.mark, rng)
    feeds = Feeds(config, context, schedule, rng, due.mark)
    publisher = DryPublisher() if mode is Mode.PLAN else ClusterPublisher(client, view)
    ranges = Ranges(client, lambda: reconciler.mark_all(), rng)  # noqa: PLW0108  made below
    if not config.networks.cluster.all:
        ranges.need()
    announcer = Announcer(EventWriter(client, ends.now, rng), view.uid)
    tell = nobody if mode is Mode.PLAN else announcer.tell
    cluster = Cluster(view, publisher, ends.now, ranges, tell)
    reconciler = Reconciler(config, due, cluster, feeds, checks, rng)
    orphans = Orphans(cluster, config, due.mark)
    app = App(config, view, due, feeds, checks, reconciler, orphans, ranges)
    return app, _Parts(files, schedule, engine, announcer)
