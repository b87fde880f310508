from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from msgspec.structs import replace

from registrar.cluster.objects import Endpoints, ObjectMeta
from registrar.cluster.view import ClusterView
from registrar.embedded import Break, Delay, Refuse, Silence
from registrar.errors import ClusterUnreachable, Forbidden, Unauthorized
from registrar.model import HoldReason, ServiceKey, ServiceState
from registrar.model import ServicePort as ModelPort
from tests.embedded_cluster import EmbeddedCluster
from tests.fakes import KEY, pass_time

pytestmark = pytest.mark.looptime

ELSEWHERE = ServiceKey("office", "db")
FORBIDDEN = Refuse(403, message="services is forbidden")
META = ObjectMeta(name=KEY.name, namespace=KEY.namespace)
LABELLED = replace(META, labels={"team": "shop"})
ENDPOINTS = Endpoints(metadata=META)


class World:
    def __init__(self, *keys: ServiceKey) -> None:
        self.cluster = EmbeddedCluster()
        self.changed: list[ServiceKey] = []
        rng = Random(1)  # noqa: S311  the same in each run
        self.view = ClusterView(self.cluster.client, "office", keys, self.changed.append, rng)

    @asynccontextmanager
    async def running(self, seconds: float = 1.0) -> AsyncIterator[ClusterView]:
        task = asyncio.create_task(self.view.run())
        await pass_time(seconds)
        yield self.view
        assert not task.done()
        task.cancel()


async def test_a_service_as_the_decisions_want_it() -> None:
    world = World(KEY)
    stored = world.cluster.service(
        ports=[
            {"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "http"},
            {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": "dns"},
        ],
        ipFamilies=["IPv4", "IPv6"],
        ipFamilyPolicy="RequireDualStack",
    )
    async with world.running() as view:
        assert view.held(KEY).service == ServiceState(
            uid=stored.metadata.uid,
            ports=(ModelPort("http", "TCP", 8080, "http"), ModelPort("dns", "UDP", None)),
            families=frozenset({4, 6}),
        )
        assert view.held(KEY).endpoints is None


@pytest.mark.parametrize(
    ("spec", "has_selector", "is_external_name"),
    [
        ({}, False, False),
        ({"selector": {}}, False, False),
        ({"selector": {"app": "web"}}, True, False),
        ({"type": "ExternalName", "externalName": "web.office.example"}, False, True),
    ],
)
async def test_what_kind_of_service_it_is(
    spec: dict[str, object],
    has_selector: bool,  # noqa: FBT001  a parameter
    is_external_name: bool,  # noqa: FBT001  a parameter
) -> None:
    world = World(KEY)
    world.cluster.service(**spec)
    async with world.running() as view:
        found = view.held(KEY).service
    assert found is not None
    assert (found.has_selector, found.is_external_name) == (has_selector, is_external_name)


async def test_a_change_of_either_object_concerns_the_service() -> None:
    world = World(KEY, ELSEWHERE)
    async with world.running():
        world.changed.clear()
        world.cluster.service()
        await pass_time(0.1)
        assert world.changed == [KEY]
        world.cluster.set(ENDPOINTS)
        await pass_time(0.1)
        assert world.changed == [KEY, KEY]


# --- whether anything can be decided -------------------------------------------------------------


async def test_a_namespace_is_listed_when_both_kinds_are() -> None:
    world = World(KEY)
    world.cluster.fault(FORBIDDEN, "list", "endpoints", times=3)
    async with world.running(0.15) as view:
        assert not view.is_listed(KEY.namespace)
        hold = view.hold(KEY.namespace)
        assert hold is not None
        assert hold.reason is HoldReason.FORBIDDEN
        assert "services is forbidden" in hold.detail
        await pass_time(60)
        assert view.is_listed(KEY.namespace)
        assert view.hold(KEY.namespace) is None


async def test_nothing_is_wrong_while_the_first_list_is_under_way() -> None:
    world = World(KEY)
    world.cluster.fault(Delay(5.0), "list")
    async with world.running(4.0) as view:
        assert not view.is_listed(KEY.namespace)
        assert view.hold(KEY.namespace) is None


async def test_a_listed_namespace_stays_so_while_the_cluster_is_away() -> None:
    world = World(KEY)
    async with world.running() as view:
        world.cluster.fault(Break(), namespace=KEY.namespace)
        assert world.cluster.server.cut_watches() == 3
        await pass_time(600)
        assert world.cluster.server.watching() == 0
        assert view.is_listed(KEY.namespace)
        assert view.hold(KEY.namespace) is None


# --- whether the cluster is heard ----------------------------------------------------------------


async def test_the_cluster_is_heard_when_one_namespace_is() -> None:
    world = World(KEY, ELSEWHERE)
    world.cluster.fault(FORBIDDEN, namespace="office")
    async with world.running(0) as view:
        await view.heard(30)
        assert asyncio.get_running_loop().time() < 1


@pytest.mark.parametrize(("code", "error"), [(403, Forbidden), (401, Unauthorized)])
async def test_what_only_a_person_can_change_is_said_at_once(
    code: int, error: type[Exception]
) -> None:
    world = World(KEY, ELSEWHERE)
    world.cluster.fault(Refuse(code, message="who are you"))
    async with world.running(0) as view:
        with pytest.raises(error, match="who are you"):
            await view.heard(30)
        assert asyncio.get_running_loop().time() < 1


async def test_what_may_pass_is_waited_for_and_then_said() -> None:
    world = World(KEY)
    silence = world.cluster.fault(Silence())
    async with world.running(0) as view:
        with pytest.raises(ClusterUnreachable, match="no answer in time"):
            await view.heard(30)
        assert asyncio.get_running_loop().time() == 30
        silence.end()
        await view.heard(30)


async def test_a_cluster_that_says_nothing_at_all_is_named() -> None:
    world = World(KEY)
    world.cluster.fault(Silence())
    async with world.running(0) as view:
        for patience in (5, 30):  # before and after the first request is given up
            with pytest.raises(ClusterUnreachable, match=r"cluster\.example"):
                await view.heard(patience)


async def test_without_a_mapping_there_is_nothing_to_hear() -> None:
    await World().view.heard(30)


# --- what was written or read beside the watch ---------------------------------------------------


async def test_what_was_written_is_known_at_once() -> None:
    world = World(KEY)
    async with world.running() as view:
        world.cluster.deafen()
        written = world.cluster.set(ENDPOINTS)
        view.note(written)
        assert view.held(KEY).endpoints == written


async def test_what_is_read_again_is_known() -> None:
    world = World(KEY)
    world.cluster.set(ENDPOINTS)
    async with world.running() as view:
        world.cluster.deafen()
        changed = world.cluster.set(replace(ENDPOINTS, metadata=LABELLED))
        await view.reread(ENDPOINTS)
        assert view.held(KEY).endpoints == changed
        world.cluster.drop(Endpoints, KEY.name)
        await view.reread(ENDPOINTS)
        assert view.held(KEY).endpoints is None
        await view.reread(ENDPOINTS)
        assert view.held(KEY).endpoints is None


async def test_what_is_made_again_while_it_is_read_is_not_taken_for_gone() -> None:
    world = World(KEY)
    world.cluster.set(ENDPOINTS)
    async with world.running() as view:
        deaf = world.cluster.deafen()
        world.cluster.drop(Endpoints, KEY.name)
        world.cluster.transport.late_s = 5.0  # the answer, "not found", takes its time
        reading = asyncio.create_task(view.reread(ENDPOINTS))
        await pass_time(1)
        deaf.end()
        made_again = world.cluster.set(ENDPOINTS)
        await reading
        assert world.cluster.requests[-1].status == 404
        assert view.held(KEY).endpoints == made_again
