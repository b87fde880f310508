"""The election: who leads, from when, and until when at the latest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from registrar.cluster.client import ENDPOINTS, LEASES, Client
from registrar.cluster.election import Election
from registrar.cluster.fence import Fence
from registrar.cluster.lease import LeaseStore, LeaseTerms
from registrar.cluster.objects import Endpoints, Lease, LeaseSpec, ObjectMeta
from registrar.cluster.term import EPOCH, Term
from registrar.embedded import Refuse, Silence
from registrar.errors import LeaseForbidden, NotLeading
from tests.embedded_cluster import EmbeddedCluster
from tests.fakes import loop_seconds
from tests.in_process import InProcessTransport
from tests.simulation.clock import VirtualLoop

NAMESPACE, NAME = "shop", "registrar"


class Replica:
    """One that stands for election, with a wall clock that began in `year`."""

    def __init__(self, cluster: EmbeddedCluster, name: str, year: int = 2026) -> None:
        self.agent = f"registrar/{name}"
        self.client = Client(InProcessTransport(cluster.server, self.agent))
        terms = LeaseTerms(NAMESPACE, NAME, name)
        begin = datetime(year, 1, 1, tzinfo=UTC)
        self.now = lambda: begin + timedelta(seconds=loop_seconds())
        self.store = LeaseStore(self.client, terms, self.now)
        self.changes = 0
        rng = Random(1)  # noqa: S311  the same in each run
        self.election = Election(self.client, terms, self.store, self._note, rng)
        self.fenced = self.client.through(lambda way: Fence(way, self.election))
        self._task: asyncio.Task[None] | None = None

    def _note(self) -> None:
        self.changes += 1

    async def starts(self) -> None:
        self._task = asyncio.create_task(self.election.run())
        await asyncio.sleep(0.1)

    async def stops(self) -> None:
        await self.dies()
        await self.election.resign()

    async def dies(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def leads(self) -> bool:
        return self.election.term is not None


async def lease(cluster: EmbeddedCluster) -> Lease:
    return await cluster.client.get(LEASES, NAMESPACE, NAME)


def in_virtual_time(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            await test()

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(main())

    run.__name__ = getattr(test, "__name__", "test")
    return run


@in_virtual_time
async def test_the_first_leads_at_once_and_the_second_stands_by() -> None:
    cluster = EmbeddedCluster()
    first, second = Replica(cluster, "a"), Replica(cluster, "b")
    with capture_logs() as logs:
        await first.starts()
        await second.starts()
        await asyncio.sleep(60)
    assert (first.leads, second.leads) == (True, False)
    assert second.election.leader == "a"
    assert [(line["event"], line.get("leader")) for line in logs] == [
        ("leading", None),
        ("standing-by", "a"),
    ]
    spec = (await lease(cluster)).spec
    assert (spec.holder_identity, spec.lease_duration_seconds) == ("a", 15)
    assert spec.lease_transitions == 0


@in_virtual_time
async def test_a_lease_that_was_given_back_is_taken_at_once() -> None:
    cluster = EmbeddedCluster()
    first, second = Replica(cluster, "a"), Replica(cluster, "b")
    await first.starts()
    await second.starts()
    await first.stops()
    assert not first.leads
    await asyncio.sleep(0.1)
    assert second.election.term == Term(1, int((await lease(cluster)).metadata.resource_version))


@in_virtual_time
async def test_a_dead_leader_is_replaced_when_its_lease_has_ended() -> None:
    cluster = EmbeddedCluster()
    first, second = Replica(cluster, "a"), Replica(cluster, "b")
    await first.starts()
    await second.starts()
    await asyncio.sleep(7)
    await first.dies()
    await asyncio.sleep(12.5)
    assert not second.leads
    await asyncio.sleep(2)
    assert second.leads


@in_virtual_time
async def test_a_wall_clock_that_is_wrong_by_years_is_of_no_consequence() -> None:
    cluster = EmbeddedCluster()
    first = Replica(cluster, "a", 1970)
    second = Replica(cluster, "b", 2100)
    await first.starts()
    await second.starts()
    await asyncio.sleep(60)
    assert (first.leads, second.leads) == (True, False)
    await first.dies()
    await asyncio.sleep(16)
    assert second.leads


@in_virtual_time
async def test_one_that_was_frozen_sends_no_write_before_it_has_noticed() -> None:
    cluster = EmbeddedCluster()
    replica = Replica(cluster, "a")
    await replica.starts()
    new = Endpoints(metadata=ObjectMeta(name="web", namespace="shop"))
    await replica.fenced.create(ENDPOINTS, new)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.leap(10.0)  # no timer of it has had its turn yet
    assert not replica.leads
    with pytest.raises(NotLeading):
        await replica.fenced.create(
            ENDPOINTS, replace(new, metadata=ObjectMeta(name="api", namespace="shop"))
        )
    assert (await replica.fenced.get(ENDPOINTS, "shop", "web")).metadata.name == "web"
    await asyncio.sleep(1)
    assert replica.leads
    assert replica.changes == 3


@in_virtual_time
async def test_a_renewal_whose_answer_was_lost_loses_nothing() -> None:
    cluster = EmbeddedCluster()
    replica = Replica(cluster, "a")
    await replica.starts()
    rule = cluster.server.faults.add(
        Silence(applied=True), verb="update", resource="leases", times=1
    )
    await asyncio.sleep(30)
    assert rule.hits == 1
    assert replica.leads
    assert replica.changes == 1


@in_virtual_time
async def test_a_renewal_that_fails_for_long_loses_the_lead_in_time() -> None:
    cluster = EmbeddedCluster()
    replica = Replica(cluster, "a")
    await replica.starts()
    await asyncio.sleep(3)  # renewed at 2.1 s
    rule = cluster.server.faults.add(Refuse(500), verb="update", resource="leases")
    await asyncio.sleep(8.5)
    assert replica.leads
    await asyncio.sleep(0.6)
    assert not replica.leads
    rule.end()
    await asyncio.sleep(3)
    assert replica.leads


@in_virtual_time
async def test_a_lease_that_is_deleted_is_made_again() -> None:
    cluster = EmbeddedCluster()
    first, second = Replica(cluster, "a"), Replica(cluster, "b")
    await first.starts()
    await second.starts()
    await cluster.client.delete(LEASES, await lease(cluster))
    await asyncio.sleep(20)
    assert [first.leads, second.leads].count(True) == 1


@in_virtual_time
async def test_a_lease_that_somebody_gives_to_another_is_heeded() -> None:
    cluster = EmbeddedCluster()
    replica = Replica(cluster, "a")
    await replica.starts()
    found = await lease(cluster)
    other = LeaseSpec(holder_identity="b", lease_duration_seconds=60)
    await cluster.client.replace(LEASES, replace(found, spec=other))
    await asyncio.sleep(3)
    assert not replica.leads
    await asyncio.sleep(55)
    assert not replica.leads
    await asyncio.sleep(5)
    assert replica.leads  # the other has never renewed it


@in_virtual_time
async def test_a_missing_right_is_told() -> None:
    cluster = EmbeddedCluster()
    cluster.server.faults.add(Refuse(403), verb="list", resource="leases")
    replica = Replica(cluster, "a")
    await replica.starts()
    with pytest.raises(LeaseForbidden, match="the Lease shop/registrar; grant"):
        await replica.election.heard(1)


@in_virtual_time
async def test_a_right_that_is_missing_to_write_is_told_once() -> None:
    cluster = EmbeddedCluster()
    rule = cluster.server.faults.add(Refuse(403), verb="create", resource="leases")
    replica = Replica(cluster, "a")
    with capture_logs() as logs:
        await replica.starts()
        await asyncio.sleep(20)
        rule.end()
        await asyncio.sleep(3)
    assert [line["event"] for line in logs] == ["not-elected", "leading"]
    assert "cannot create resource" in logs[0]["error"]


def test_a_term_knows_what_was_written_in_it() -> None:
    before = Endpoints(metadata=ObjectMeta(name="web", resource_version="7"))
    term = Term(3, 7)
    signed = term.sign(before)
    assert signed.metadata.annotations == {EPOCH: "3"}
    later = ObjectMeta(name="web", resource_version="8")
    assert not term.is_strange(before)
    assert term.is_strange(replace(before, metadata=later))
    assert term.is_strange(replace(before, metadata=replace(later, annotations={EPOCH: "2"})))
    assert not term.is_strange(replace(before, metadata=replace(later, annotations={EPOCH: "3"})))


def test_without_an_election_nothing_is_signed_and_nothing_strange() -> None:
    found = Endpoints(metadata=ObjectMeta(name="web", resource_version="8"))
    assert Term().sign(found) == found
    assert not Term().is_strange(found)
