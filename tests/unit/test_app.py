from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import pytest

from registrar.app.app import App
from registrar.app.construction import Mode
from registrar.app.orders import Orders
from registrar.app.running import ClusterOptions, running
from registrar.checks import Checks
from registrar.cluster.pacing import Pace
from registrar.cluster.publisher import DryPublisher
from registrar.cluster.ranges import Ranges
from registrar.cluster.term import Alone
from registrar.cluster.view import ClusterView
from registrar.cluster.watched import Watched
from registrar.config import Config
from registrar.draining import Draining
from registrar.due import Due
from registrar.embedded import Refuse
from registrar.errors import ClusterUnreachable, Forbidden
from registrar.feeds import Feeds
from registrar.model import (
    CheckResult,
    Desired,
    Hold,
    HoldReason,
    NetworkRules,
    Outcome,
    Plan,
    QueryRef,
    ServiceMapping,
)
from registrar.orphans import Orphans
from registrar.periodic import PeriodicResync
from registrar.publication import Cluster
from registrar.reconciler import Reconciler
from registrar.resync import Resync
from registrar.standing import Standings
from registrar.transitions import nobody
from registrar.wishes import Wishes
from tests.embedded_cluster import EmbeddedCluster
from tests.fakes import KEY, mapping, pass_time, target
from tests.world import World as RunningWorld
from tests.world import unchecked

KUBECONFIG = """
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
current-context: c
"""


def config(*mappings: ServiceMapping) -> Config:
    return Config(Path(), "office", NetworkRules(), (), mappings)


# --- settling ------------------------------------------------------------------------------------


class Asked(Feeds):
    """Feeds of which the test says whether all have been asked."""

    all_asked = False

    def __init__(self) -> None:
        pass

    def asked(self, queries: Iterable[QueryRef]) -> bool:
        del queries
        return self.all_asked


class Told(Reconciler):
    """A reconciler that has come to what the test says."""

    def __init__(self) -> None:
        self.standings = Standings()


class World:
    def __init__(self) -> None:
        rng = Random(1)  # noqa: S311  the same in each run
        self.due = Due()
        self.feeds = Asked()
        self.checks = Checks(lambda _: None)
        self.reconciler = Told()
        client = EmbeddedCluster().client
        view = ClusterView(client, "office", [KEY], self.due.mark, rng)
        ranges = Ranges(client, lambda: None, rng)
        asked = config(mapping())
        publisher = DryPublisher()
        end = Cluster(view, publisher, lambda: datetime.now(UTC), ranges)
        orphans = Orphans(end, asked, self.due.mark)
        resync = Resync(asked, self.due, view, self.feeds, self.checks, self.reconciler)
        self.app = App(
            asked,
            view,
            self.due,
            self.feeds,
            self.checks,
            self.reconciler,
            orphans,
            ranges,
            resync,
            Wishes(view, resync, Alone(), nobody),
            PeriodicResync(asked.resync, resync, Alone(), lambda: datetime.now(UTC)),
            draining := Draining(asked, self.due, view, self.reconciler),
            Orders(resync, draining, None, None),
            Pace(asked.api),
        )

    def stands(self, reason: HoldReason | None) -> None:
        if reason is None:
            self.reconciler.standings.settle(KEY, Desired(frozenset()), Plan(), ())
        else:
            self.reconciler.standings.hold(KEY, Hold(reason, "as told"))


@pytest.mark.looptime
async def test_it_settles_when_all_have_been_asked_and_judged() -> None:
    world = World()
    world.stands(HoldReason.WAITING)
    world.checks.want(KEY, {target("10.0.0.1"): True})
    settling = asyncio.create_task(world.app.settle(30))
    await pass_time(5)
    world.feeds.all_asked = True
    world.stands(None)
    await pass_time(5)
    assert not settling.done()
    world.checks.report(target("10.0.0.1"), CheckResult(Outcome.PASSED))
    await pass_time(0.1)
    assert settling.done()
    assert (await settling)[KEY].hold is None


@pytest.mark.looptime
async def test_a_source_that_has_not_been_asked_is_waited_for() -> None:
    world = World()
    world.stands(None)
    settling = asyncio.create_task(world.app.settle(30))
    await pass_time(5)
    assert not settling.done()
    world.feeds.all_asked = True
    await pass_time(0.1)
    assert settling.done()


@pytest.mark.looptime
async def test_what_only_the_cluster_can_change_is_not_waited_for() -> None:
    world = World()
    world.stands(HoldReason.SERVICE_MISSING)
    found = await world.app.settle(30)
    assert found[KEY].hold == Hold(HoldReason.SERVICE_MISSING, "as told")
    assert asyncio.get_running_loop().time() == 0


@pytest.mark.looptime
async def test_a_look_that_is_under_way_is_waited_for() -> None:
    world = World()
    world.feeds.all_asked = True
    world.stands(None)
    world.due.mark(KEY)
    await pass_time(1)
    await world.due.take()
    settling = asyncio.create_task(world.app.settle(30))
    await pass_time(5)
    assert not settling.done()
    world.due.done(KEY)
    await pass_time(0.1)
    assert settling.done()


@pytest.mark.looptime
async def test_what_was_not_listed_is_waited_for_and_is_not_in_place() -> None:
    world = World()
    world.feeds.all_asked = True
    found = await world.app.settle(30)
    assert asyncio.get_running_loop().time() == 30
    hold = found[KEY].hold
    assert hold is not None
    assert hold.reason is HoldReason.CLUSTER_UNREACHABLE
    assert "shop was not listed" in hold.detail


# --- running -------------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path) -> ClusterOptions:
    """Return a cluster that is never asked."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    return ClusterOptions(str(tmp_path / "kubeconfig"))


async def test_what_goes_wrong_within_is_raised_as_it_is(cluster: ClusterOptions) -> None:
    with pytest.raises(ClusterUnreachable, match="no answer in time"):
        async with running(config(), cluster, Mode.PASS):
            raise ClusterUnreachable("no answer in time")


async def test_what_goes_wrong_beside_is_raised_as_it_is_and_ends_the_wait(
    cluster: ClusterOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Watched[Any]) -> NoReturn:
        raise KeyError("a defect")

    monkeypatch.setattr(Watched, "run", fail)
    with pytest.raises(KeyError, match="a defect"):
        async with running(config(ServiceMapping(KEY, ())), cluster, Mode.PASS):
            await asyncio.Event().wait()


# --- a right that is missing at the start ---------------------------------------------------------


@pytest.mark.looptime
async def test_a_refusal_that_passes_is_waited_for() -> None:
    """An API server that has just begun knows no rights yet."""
    world = RunningWorld(unchecked())
    rule = world.cluster.fault(Refuse(403), "list")
    async with world.running():
        asyncio.get_running_loop().call_later(2, rule.end)
        await world.app.heard(30)


@pytest.mark.looptime
async def test_a_refusal_that_stays_is_told() -> None:
    world = RunningWorld(unchecked())
    world.cluster.fault(Refuse(403), "list")
    async with world.running():
        began = asyncio.get_running_loop().time()
        with pytest.raises(Forbidden):
            await world.app.heard(30)
        assert asyncio.get_running_loop().time() - began < 6
