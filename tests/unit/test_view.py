from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from msgspec.structs import replace

from registrar.cluster.objects import Endpoints, ObjectMeta, Service, ServicePort, ServiceSpec
from registrar.cluster.view import ClusterView
from registrar.errors import ClusterUnreachable, Forbidden, Unauthorized
from registrar.model import HoldReason, ServiceKey, ServiceState
from registrar.model import ServicePort as ModelPort
from tests.fake_cluster import FakeCluster
from tests.fakes import KEY, pass_time

pytestmark = pytest.mark.looptime

ELSEWHERE = ServiceKey("office", "db")
FORBIDDEN = Forbidden("services is forbidden")
META = ObjectMeta(name=KEY.name, namespace=KEY.namespace)
ENDPOINTS = Endpoints(metadata=META)


class World:
    def __init__(self, *keys: ServiceKey) -> None:
        self.cluster = FakeCluster()
        self.changed: list[ServiceKey] = []
        rng = Random(1)  # noqa: S311  the same in each run
        self.view = ClusterView(self.cluster, "office", keys, self.changed.append, rng)

    @asynccontextmanager
    async def running(self, seconds: float = 1.0) -> AsyncIterator[ClusterView]:
        task = asyncio.create_task(self.view.run())
        await pass_time(seconds)
        yield self.view
        assert not task.done()
        task.cancel()


async def test_a_service_as_the_decisions_want_it() -> None:
    world = World(KEY)
    ports = (
        ServicePort(name="http", port=80, target_port=8080, app_protocol="http"),
        ServicePort(name="dns", protocol="UDP", port=53, target_port="dns"),
    )
    spec = ServiceSpec(ports=ports, ip_families=("IPv4", "IPv6"))
    stored = world.cluster.set(Service(metadata=META, spec=spec))
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
        (ServiceSpec(), False, False),
        (ServiceSpec(selector={}), False, False),
        (ServiceSpec(selector={"app": "web"}), True, False),
        (ServiceSpec(type="ExternalName"), False, True),
    ],
)
async def test_what_kind_of_service_it_is(
    spec: ServiceSpec,
    has_selector: bool,  # noqa: FBT001  a parameter
    is_external_name: bool,  # noqa: FBT001  a parameter
) -> None:
    world = World(KEY)
    world.cluster.set(Service(metadata=META, spec=spec))
    async with world.running() as view:
        found = view.held(KEY).service
    assert found is not None
    assert (found.has_selector, found.is_external_name) == (has_selector, is_external_name)


async def test_a_change_of_either_object_concerns_the_service() -> None:
    world = World(KEY, ELSEWHERE)
    async with world.running():
        world.changed.clear()
        world.cluster.set(Service(metadata=META))
        await pass_time(0.1)
        assert world.changed == [KEY]
        world.cluster.set(ENDPOINTS)
        await pass_time(0.1)
        assert world.changed == [KEY, KEY]


# --- whether anything can be decided -------------------------------------------------------------


async def test_a_namespace_is_listed_when_both_kinds_are() -> None:
    world = World(KEY)
    world.cluster.errors["list endpoints"] = [FORBIDDEN] * 3
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
    world.cluster.list_seconds = 5.0
    async with world.running(4.0) as view:
        assert not view.is_listed(KEY.namespace)
        assert view.hold(KEY.namespace) is None


async def test_a_listed_namespace_stays_so_while_the_cluster_is_away() -> None:
    world = World(KEY)
    async with world.running() as view:
        away = ClusterUnreachable("no answer")
        world.cluster.refuse[KEY.namespace] = away
        world.cluster.tell(Endpoints, away)
        world.cluster.tell(Service, away)
        await pass_time(600)
        assert view.is_listed(KEY.namespace)
        assert view.hold(KEY.namespace) is None


# --- whether the cluster is heard ----------------------------------------------------------------


async def test_the_cluster_is_heard_when_one_namespace_is() -> None:
    world = World(KEY, ELSEWHERE)
    world.cluster.refuse["office"] = FORBIDDEN
    async with world.running(0) as view:
        await view.heard(30)
        assert asyncio.get_running_loop().time() < 1


@pytest.mark.parametrize("error", [FORBIDDEN, Unauthorized("who are you?")])
async def test_what_only_a_person_can_change_is_said_at_once(error: Exception) -> None:
    world = World(KEY, ELSEWHERE)
    world.cluster.refuse = {"office": error, "shop": error}
    async with world.running(0) as view:
        with pytest.raises(type(error), match=str(error).rstrip("?")):
            await view.heard(30)
        assert asyncio.get_running_loop().time() < 1


async def test_what_may_pass_is_waited_for_and_then_said() -> None:
    world = World(KEY)
    world.cluster.refuse = {"shop": ClusterUnreachable("no answer in time")}
    async with world.running(0) as view:
        with pytest.raises(ClusterUnreachable, match="no answer in time"):
            await view.heard(30)
        assert asyncio.get_running_loop().time() == 30
        world.cluster.refuse = {}
        await view.heard(30)


async def test_a_cluster_that_says_nothing_at_all_is_named() -> None:
    world = World(KEY)
    world.cluster.list_seconds = 1000.0
    async with world.running(0) as view:
        with pytest.raises(ClusterUnreachable, match=r"cluster\.example"):
            await view.heard(30)


async def test_without_a_mapping_there_is_nothing_to_hear() -> None:
    await World().view.heard(30)


# --- what was written or read beside the watch ---------------------------------------------------


async def test_what_was_written_is_known_at_once() -> None:
    world = World(KEY)
    async with world.running() as view:
        world.cluster.deaf = True
        written = world.cluster.set(ENDPOINTS)
        view.note(written)
        assert view.held(KEY).endpoints == written


async def test_what_is_read_again_is_known() -> None:
    world = World(KEY)
    world.cluster.set(ENDPOINTS)
    async with world.running() as view:
        world.cluster.deaf = True
        changed = world.cluster.set(replace(ENDPOINTS, kind="Endpoints"))
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
        world.cluster.deaf = True
        world.cluster.drop(Endpoints, KEY.name)
        world.cluster.get_seconds = 5.0  # the answer, "not found", takes its time
        reading = asyncio.create_task(view.reread(ENDPOINTS))
        await pass_time(1)
        world.cluster.deaf = False
        made_again = world.cluster.set(ENDPOINTS)
        await reading
        assert view.held(KEY).endpoints == made_again
