"""The way to the embedded API server gives up where the one to a real server does."""

from __future__ import annotations

import asyncio

import pytest

from registrar.cluster.client import ENDPOINTS, Scope
from registrar.cluster.transport import REQUEST_TIMEOUT_S, SILENCE_S, Request
from registrar.embedded import Break, Deaf, Delay, Fault, Refuse, Silence
from registrar.errors import ClusterBusy, ClusterUnreachable
from tests.embedded_cluster import BEGIN, EmbeddedCluster, time_of_day
from tests.fakes import KEY, loop_seconds, pass_time

pytestmark = pytest.mark.looptime


async def read(cluster: EmbeddedCluster) -> None:
    async for _ in cluster.client.pages(ENDPOINTS, Scope(KEY.namespace)):
        pass


async def watch(cluster: EmbeddedCluster) -> None:
    version = str(cluster.server.version)
    async with cluster.client.watch(ENDPOINTS, Scope(KEY.namespace), version, 300) as lines:
        async for _ in lines:
            pass


@pytest.mark.parametrize("fault", [Silence(), Delay(3600)])
async def test_a_request_without_an_answer_is_given_up(fault: Fault) -> None:
    cluster = EmbeddedCluster()
    cluster.fault(fault)
    with pytest.raises(ClusterUnreachable, match=r"^https://cluster\.example: no answer in time$"):
        await read(cluster)
    assert loop_seconds() == REQUEST_TIMEOUT_S


async def test_a_request_whose_answer_is_lost_is_given_up() -> None:
    cluster = EmbeddedCluster()
    cluster.transport.late_s = 3600
    with pytest.raises(ClusterUnreachable, match="no answer in time"):
        await read(cluster)
    assert loop_seconds() == REQUEST_TIMEOUT_S


async def test_a_connection_that_breaks() -> None:
    cluster = EmbeddedCluster()
    cluster.fault(Break())
    with pytest.raises(ClusterUnreachable, match="the connection broke"):
        await read(cluster)


async def test_a_watch_goes_on_while_something_comes_and_ends_in_its_time() -> None:
    cluster = EmbeddedCluster()
    await watch(cluster)
    assert loop_seconds() == 300
    assert cluster.server.watching() == 0


async def test_a_silent_watch_is_given_up() -> None:
    cluster = EmbeddedCluster()
    cluster.fault(Deaf())
    with pytest.raises(ClusterUnreachable, match="no answer in time"):
        await watch(cluster)
    assert loop_seconds() == SILENCE_S
    assert cluster.server.watching() == 0


async def test_a_watch_that_is_cut() -> None:
    cluster = EmbeddedCluster()
    watching = asyncio.create_task(watch(cluster))
    await pass_time(1)
    assert cluster.server.cut_watches() == 1
    with pytest.raises(ClusterUnreachable, match="the watch was cut"):
        await watching


async def test_faults_are_met_by_registrar_alone() -> None:
    cluster = EmbeddedCluster()
    cluster.fault(Refuse(429, retry_after=7))
    stored = cluster.service()
    with pytest.raises(ClusterBusy) as raised:
        await read(cluster)
    assert raised.value.retry_after == 7
    assert stored.spec.cluster_ip
    assert cluster.asked("list endpoints") == len(cluster.requests) == 1


async def test_a_body_is_sent_as_json() -> None:
    cluster = EmbeddedCluster()
    body = {"metadata": {"name": "web"}}
    sent = Request("POST", f"/api/v1/namespaces/{KEY.namespace}/endpoints", body)
    async with cluster.transport.send(sent) as reply:
        assert reply.status == 201
        assert b'"uid"' in b"".join([chunk async for chunk in reply.chunks()])
    assert cluster.writes == ["create endpoints"]


async def test_the_time_of_day_is_that_of_the_test() -> None:
    cluster = EmbeddedCluster()
    await pass_time(90)
    cluster.service()
    assert (time_of_day() - BEGIN).total_seconds() == 90
    assert cluster.server.history[-1].at == time_of_day()
