"""Constructs everything that runs against a cluster, and connects it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Protocol, TypeAlias

from registrar.announcer import Announcer
from registrar.app.app import App, fed
from registrar.app.orders import Orders
from registrar.checks import Checks
from registrar.cluster.client import Client
from registrar.cluster.election import Election
from registrar.cluster.events import EventWriter
from registrar.cluster.fence import Fence
from registrar.cluster.lease import LeaseStore, LeaseTerms
from registrar.cluster.metered import Metered
from registrar.cluster.pacing import Pace, Paced
from registrar.cluster.publisher import ClusterPublisher, DryPublisher
from registrar.cluster.ranges import Ranges
from registrar.cluster.relay import Relay
from registrar.cluster.term import Alone
from registrar.cluster.view import ClusterView
from registrar.config import Config
from registrar.draining import Draining
from registrar.due import Due
from registrar.engine import Engine
from registrar.feeds import Feeds
from registrar.files import Files
from registrar.metrics.latency import Latency, MeasuredLooks, MeasuredPublisher
from registrar.metrics.meters import Meters
from registrar.model import ServiceKey
from registrar.orphans import Orphans
from registrar.periodic import PeriodicResync
from registrar.probe.engine import CheckEngine, Report
from registrar.publication import Cluster
from registrar.reconciler import Reconciler
from registrar.resync import Resync
from registrar.schedule import ClockProofSchedule
from registrar.source import Context
from registrar.threads import in_thread
from registrar.transitions import Transition
from registrar.wishes import Wishes


class Mode(enum.Enum):
    """What it is run for: to stay, for one pass, or to say what one would write."""

    STAY = enum.auto()
    PASS = enum.auto()
    PLAN = enum.auto()


def _time_of_day() -> datetime:
    """Return the time of day, for what the cluster's objects say of it."""
    return datetime.now(UTC)


class RunningEngine(Engine, Protocol):
    """An engine that checks from when it was made until it is closed."""

    async def aclose(self) -> None:
        """Stop checking; nothing is under way on return."""
        ...


EngineMaker: TypeAlias = Callable[[Report, Files], RunningEngine]


@dataclass(frozen=True, slots=True)
class Ends:
    """What it meets the world with besides sources and cluster; the simulation brings its own."""

    engine: EngineMaker = CheckEngine
    now: Callable[[], datetime] = _time_of_day
    rng: Random = field(default_factory=Random)
    """It spreads load, it guards nothing."""
    lease: LeaseTerms | None = None
    """By which Lease it stands for election; None: it is alone, and leads."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What has to be started and ended besides the App's own parts."""

    files: Files
    schedule: ClockProofSchedule
    engine: RunningEngine
    announcer: Announcer
    relay: Relay | None


def construct(config: Config, client: Client, mode: Mode, ends: Ends) -> tuple[App, Parts]:
    """Return everything, connected; nothing runs yet, and nothing has been sent."""
    rng = ends.rng
    files, schedule, meters = Files(), ClockProofSchedule(), Meters()
    client = client.through(partial(Metered, listener=meters))
    latency = Latency(lambda key: reconciler.standings.get(key), meters.published_after)  # noqa: PLW0108  made below
    due = Due(MeasuredLooks(meters, latency))

    def said(key: ServiceKey) -> None:
        latency.changed(key)
        due.mark(key)

    context = Context(config.base, files, in_thread)
    checks = Checks(said, config.preservation)
    engine = ends.engine(checks.report, files)
    election = relay = None
    if ends.lease is not None:
        store = LeaseStore(client, ends.lease, ends.now)
        election = Election(client, ends.lease, store, lambda: app.lead_changed(), rng)  # noqa: PLW0108  made below
        relay = Relay(store, election, ends.now, rng)
        client = client.through(partial(Fence, tenure=election))
    leadership = election or Alone()
    pace = Pace(config.api)
    client = client.through(partial(Paced, pace=pace))
    keys = [mapping.key for mapping in config.mappings]

    def changed(key: ServiceKey) -> None:
        due.mark(key)
        wishes.note(key)

    view = ClusterView(client, config.instance, keys, changed, rng)
    asked = config if election is None else fed(config)
    feeds = Feeds(asked, context, schedule, rng, said, meters.questioned)
    writes = MeasuredPublisher(ClusterPublisher(client, view, leadership), latency.wrote)
    publisher = DryPublisher() if mode is Mode.PLAN else writes
    ranges = Ranges(client, lambda: reconciler.mark_all(), rng)  # noqa: PLW0108  made below
    if not config.networks.cluster.all:
        ranges.need()
    announcer = Announcer(EventWriter(client, ends.now, rng), view.uid)

    def tell(transition: Transition) -> None:
        if mode is not Mode.PLAN and leadership.term is not None:
            announcer.tell(transition)

    cluster = Cluster(view, publisher, ends.now, ranges, tell, leadership)
    reconciler = Reconciler(config, due, cluster, feeds, checks, rng)
    orphans = Orphans(cluster, config, due.mark)
    resync = Resync(config, due, view, feeds, checks, reconciler, meters.resynced)
    draining = Draining(config, due, view, reconciler)
    orders = Orders(resync, draining, election, relay)
    wishes = Wishes(view, resync, leadership, tell)
    periodic = PeriodicResync(config.resync, resync, leadership, ends.now)
    app = App(
        config,
        view,
        due,
        feeds,
        checks,
        reconciler,
        orphans,
        ranges,
        resync,
        wishes,
        periodic,
        draining,
        orders,
        pace,
        election,
        meters,
        lambda: announcer.dropped,
    )
    return app, Parts(files, schedule, engine, announcer, relay)
