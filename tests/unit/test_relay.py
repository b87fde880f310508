"""Orders that a replica passes on to the one that leads, by the Lease. In virtual time."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from registrar.cluster.client import LEASES
from registrar.cluster.relay import ORDER, Relay
from registrar.embedded import Silence
from registrar.errors import ClusterError
from tests.embedded_cluster import EmbeddedCluster
from tests.unit.test_election import NAME, NAMESPACE, Replica, in_virtual_time, lease


class Relayed(Replica):
    """A replica that notes which orders it carries out, each of which takes `seconds`."""

    def __init__(self, cluster: EmbeddedCluster, name: str, seconds: float = 0.0) -> None:
        super().__init__(cluster, name)
        rng = Random(name)  # noqa: S311  the same in each run
        self.relay = Relay(self.store, self.election, self.now, rng)
        self.handled: list[tuple[str, str]] = []
        self._seconds = seconds
        self._relaying: asyncio.Task[None] | None = None

    async def starts(self) -> None:
        self._relaying = asyncio.create_task(self.relay.run(self._handle))
        await super().starts()

    async def dies(self) -> None:
        assert self._relaying is not None
        self._relaying.cancel()
        await super().dies()

    async def _handle(self, kind: str, body: str) -> str:
        self.handled.append((kind, body))
        await asyncio.sleep(self._seconds)
        return f"{body} done"


async def two(seconds: float = 0.0) -> tuple[EmbeddedCluster, Relayed, Relayed]:
    cluster = EmbeddedCluster()
    leader, other = Relayed(cluster, "a", seconds), Relayed(cluster, "b", seconds)
    await leader.starts()
    await other.starts()
    return cluster, leader, other


@in_virtual_time
async def test_the_leader_carries_it_out_and_the_answer_comes_back() -> None:
    _, leader, other = await two(seconds=5)
    assert await other.relay.ask("resync", "all", 30) == "all done"
    assert (leader.handled, other.handled) == ([("resync", "all")], [])
    await asyncio.sleep(30)
    assert leader.leads
    assert len(leader.handled) == 1


@in_virtual_time
async def test_several_at_a_time_are_each_answered() -> None:
    _, leader, other = await two(seconds=1)
    asked = [asyncio.create_task(other.relay.ask("resync", body, 30)) for body in "xyz"]
    assert [await one for one in asked] == ["x done", "y done", "z done"]
    assert len(leader.handled) == 3


@in_virtual_time
async def test_without_an_answer_whoever_asks_is_told_so() -> None:
    cluster, leader, other = await two()
    cluster.server.faults.add(Silence(), user_agent=leader.agent)
    with pytest.raises(TimeoutError):
        await other.relay.ask("resync", "all", 5)


@in_virtual_time
async def test_where_nobody_has_ever_led_it_can_not_be_passed_on() -> None:
    other = Relayed(EmbeddedCluster(), "b")
    with pytest.raises(ClusterError, match="there is no Lease"):
        await other.relay.ask("resync", "all", 5)


@in_virtual_time
async def test_the_next_leader_does_what_is_still_waited_for_and_nothing_older() -> None:
    cluster, leader, other = await two()
    third = Relayed(cluster, "c")
    await third.starts()
    await leader.dies()
    late = asyncio.create_task(other.relay.ask("resync", "late", 5))
    with pytest.raises(TimeoutError):
        await late
    asked = asyncio.create_task(third.relay.ask("resync", "soon", 30))
    await asyncio.sleep(20)
    assert asked.result() == "soon done"
    done = [body for one in (other, third) for _, body in one.handled]
    assert done == ["soon"]


@in_virtual_time
async def test_what_somebody_has_edited_into_the_lease_is_left_alone() -> None:
    cluster, leader, other = await two()
    found = await lease(cluster)
    timeless = '{"id": "0", "kind": "a", "body": "b", "until": "2099-01-01T00:00:00"}'
    for said in ("nonsense", timeless, '{"x": ' * 5000):
        await leader.store.annotate(found, {ORDER: said})
        await asyncio.sleep(5)
        assert leader.leads
        found = await lease(cluster)
    assert leader.handled == []
    assert await other.relay.ask("resync", "all", 30) == "all done"
    assert (await cluster.client.get(LEASES, NAMESPACE, NAME)).spec.holder_identity == "a"
