from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from registrar.checks import Checks
from registrar.cluster.endpoints import INSTANCE, MANAGED_BY, MANAGER, decode
from registrar.cluster.objects import Endpoints, ObjectMeta, Service, ServicePort, ServiceSpec
from registrar.cluster.publisher import ClusterPublisher
from registrar.cluster.view import ClusterView
from registrar.config import Config
from registrar.due import Due
from registrar.errors import (
    ClusterBusy,
    ClusterUnreachable,
    Conflict,
    Forbidden,
    NotFound,
    Rejected,
)
from registrar.model import (
    Answer,
    CheckResult,
    HoldReason,
    NetworkRules,
    Observation,
    Outcome,
    PartState,
    PortMapping,
    Publish,
    QueryRef,
    ServiceKey,
    ServiceMapping,
)
from registrar.publication import Cluster
from registrar.reconciler import MOST_RETRY_S, Reconciler
from registrar.standing import Standing
from tests.fake_cluster import FakeCluster
from tests.fakes import KEY, QUERY, RecordingEngine, answer, mapping, pass_time, target

pytestmark = pytest.mark.looptime

OTHER = ServiceKey("shop", "api")
ELSEWHERE = ServiceKey("office", "db")


class Says:
    """The sources: what the test had them say, an answer or an error."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.error: str | None = None
        self.defect: Exception | None = None

    def observe(self, queries: Iterable[QueryRef]) -> Mapping[QueryRef, Observation]:
        if self.defect is not None:
            raise self.defect
        part = PartState("racks.yaml", self.answer, 1.0 if self.answer else None, self.error)
        return dict.fromkeys(queries, Observation((part,), None))

    def hurry(self, queries: Iterable[QueryRef], within: float) -> None:
        """Nothing: the test says when an answer comes."""


class World:
    """A reconciler with all that is around it, the ends played by the test."""

    def __init__(self, *mappings: ServiceMapping, cluster: FakeCluster | None = None) -> None:
        rng = Random(1)  # noqa: S311  the same in each run
        self.cluster = cluster or FakeCluster()
        self.says = Says()
        self.due = Due()
        self.checks = Checks(self.due.mark)
        self.checks.start(RecordingEngine())
        self.keys = [one.key for one in mappings]
        config = Config(Path(), "office", NetworkRules(), (), mappings)
        self.view = ClusterView(self.cluster, "office", self.keys, self.due.mark, rng)
        publisher = ClusterPublisher(self.cluster, self.view)
        end = Cluster(self.view, publisher, lambda: datetime(2026, 1, 1, tzinfo=UTC))
        self.reconciler = Reconciler(config, self.due, end, self.says, self.checks, rng)
        self.logs: list[MutableMapping[str, Any]] = []

    @asynccontextmanager
    async def running(self, seconds: float = 1.0) -> AsyncIterator[None]:
        with capture_logs() as self.logs:
            tasks = [asyncio.create_task(w.run()) for w in (self.view, self.reconciler)]
            for key in self.keys:
                self.due.mark(key)
            await pass_time(seconds)
            yield
            for task in tasks:
                assert not task.done()
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def say(self, *addresses: str) -> None:
        """Have the sources answer with these, and wait until that has been looked at."""
        self.says.answer = answer(*addresses)
        await self.look()

    async def judge(self, address: str, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            self.checks.report(target(address), CheckResult(outcome, "as told"))
        await pass_time(1.1)  # a Service changes once a second

    async def look(self) -> None:
        for key in self.keys:
            self.due.mark(key)
        await pass_time(1.1)  # a Service changes once a second

    def standing(self, key: ServiceKey = KEY) -> Standing:
        return self.reconciler.standings[key]

    def reason(self, key: ServiceKey = KEY) -> HoldReason | None:
        hold = self.standing(key).hold
        return hold.reason if hold else None

    def published(self, key: ServiceKey = KEY) -> dict[str, bool] | None:
        """Return the addresses that the cluster holds, with their readiness."""
        found = self.cluster.find(Endpoints, key.name, key.namespace)
        if found is None:
            return None
        return {str(e.id.address): e.ready for e in decode(found)}

    def logged(self, *events: str) -> list[tuple[str, str | None]]:
        return [
            (line["event"], line.get("reason")) for line in self.logs if line["event"] in events
        ]

    def tries(self) -> int:
        return sum(r in {"create endpoints", "replace endpoints"} for r in self.cluster.requests)


def a_service(key: ServiceKey = KEY, **spec: Any) -> Service:  # noqa: ANN401  any of its fields
    ports = (ServicePort(port=80, target_port=80),)
    meta = ObjectMeta(name=key.name, namespace=key.namespace)
    return Service(metadata=meta, spec=ServiceSpec(**{"ports": ports, **spec}))


def unchecked(key: ServiceKey) -> ServiceMapping:
    ports = (PortMapping(None, (QUERY,), None, None),)
    return ServiceMapping(key, ports, Publish.ENDPOINTS)


@pytest.fixture
def world() -> World:
    """Return a world with a mapped Service whose backends are checked."""
    made = World(mapping())
    made.cluster.set(a_service())
    return made


# --- what is published ---------------------------------------------------------------------------


async def test_each_change_is_one_write(world: World) -> None:
    async with world.running():
        await world.say("10.0.0.1", "10.0.0.2")
        assert world.published() is None
        await world.judge("10.0.0.1", Outcome.PASSED)
        assert world.published() == {"10.0.0.1": True}
        await world.judge("10.0.0.2", Outcome.PASSED)
        assert world.published() == {"10.0.0.1": True, "10.0.0.2": True}
        await world.judge("10.0.0.2", *[Outcome.FAILED] * 3)
        assert world.published() == {"10.0.0.1": True, "10.0.0.2": False}
        await world.say("10.0.0.1")
        assert world.published() == {"10.0.0.1": True}
        assert len(world.cluster.writes) == 4
        assert world.standing().written == 4
    assert world.logged("published") == [("published", None)] * 4
    last = [line for line in world.logs if line["event"] == "published"][-1]
    assert (last["service"], last["added"], last["removed"], last["endpoints"]) == (
        "shop/web",
        0,
        1,
        1,
    )


async def test_changes_that_come_together_are_one_write(world: World) -> None:
    async with world.running():
        await world.say("10.0.0.1", "10.0.0.2", "10.0.0.3")
        for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
            world.checks.report(target(address), CheckResult(Outcome.PASSED))
        await pass_time(1)
        assert world.published() == dict.fromkeys(("10.0.0.1", "10.0.0.2", "10.0.0.3"), True)
    assert len(world.cluster.writes) == 1


async def test_what_was_written_counts_before_the_watch_tells_of_it() -> None:
    world = World(unchecked(KEY))
    world.cluster.set(a_service())
    async with world.running():
        world.cluster.deaf = True
        await world.say("10.0.0.1")
        for _ in range(5):
            await world.look()
        await world.say("10.0.0.2")
        assert world.published() == {"10.0.0.2": True}
        assert world.tries() == len(world.cluster.writes) == 2


async def test_nothing_is_written_or_said_where_nothing_differs(world: World) -> None:
    async with world.running():
        await world.say("10.0.0.1")
        await world.judge("10.0.0.1", Outcome.PASSED)
        said = len(world.logs)
        for _ in range(20):
            await world.look()
        assert len(world.cluster.writes) == 1
        assert len(world.logs) == said


async def test_a_new_process_writes_nothing_where_nothing_differs(world: World) -> None:
    async with world.running():
        await world.say("10.0.0.1")
        await world.judge("10.0.0.1", Outcome.PASSED)
    successor = World(mapping(), cluster=world.cluster)
    async with successor.running():
        assert successor.reason() is None
        await successor.say("10.0.0.1")
        await successor.judge("10.0.0.1", Outcome.PASSED)
    assert len(world.cluster.writes) == 1


async def test_what_others_do_to_our_object_is_put_right(world: World) -> None:
    async with world.running():
        await world.say("10.0.0.1")
        await world.judge("10.0.0.1", Outcome.PASSED)
        ours = world.cluster.writes[-1]
        assert isinstance(ours, Endpoints)
        world.cluster.set(replace(ours, subsets=()))
        await pass_time(0.1)
        assert world.published() == {"10.0.0.1": True}
        world.cluster.drop(Endpoints, KEY.name)
        await pass_time(0.1)
        assert world.published() == {"10.0.0.1": True}
    assert len(world.cluster.writes) == 3


async def test_a_source_that_fails_changes_nothing(world: World) -> None:
    async with world.running():
        await world.say("10.0.0.1")
        await world.judge("10.0.0.1", Outcome.PASSED)
        world.says.error = "connection refused"
        await world.look()
        assert world.published() == {"10.0.0.1": True}
    assert len(world.cluster.writes) == 1


# --- held ----------------------------------------------------------------------------------------


async def test_a_service_that_comes_later_is_waited_for() -> None:
    world = World(unchecked(KEY))
    async with world.running():
        await world.say("10.0.0.1")
        for _ in range(5):
            await world.look()
        assert world.reason() is HoldReason.SERVICE_MISSING
        world.cluster.set(a_service())
        await pass_time(0.1)
        assert world.reason() is None
        assert world.published() == {"10.0.0.1": True}
    assert world.logged("hold", "hold-ended") == [
        ("hold", "service-missing"),
        ("hold-ended", "service-missing"),
    ]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"selector": {"app": "web"}}, HoldReason.SERVICE_HAS_SELECTOR),
        ({"type": "ExternalName"}, HoldReason.EXTERNAL_NAME),
        ({"ports": ()}, HoldReason.PORT_NAME_MISSING),
    ],
)
async def test_a_service_that_cannot_be_served_is_held(
    world: World, spec: dict[str, Any], reason: HoldReason
) -> None:
    async with world.running():
        await world.say("10.0.0.1")
        await world.judge("10.0.0.1", Outcome.PASSED)
        world.cluster.set(a_service(**spec))
        await pass_time(0.1)
        await world.say()
        assert world.reason() is reason
        assert world.published() == {"10.0.0.1": True}
    assert len(world.cluster.writes) == 1


async def test_an_object_without_our_marks_is_never_touched() -> None:
    world = World(unchecked(KEY))
    world.cluster.set(a_service())
    theirs = Endpoints(metadata=ObjectMeta(name=KEY.name, namespace=KEY.namespace))
    world.cluster.set(theirs)
    async with world.running():
        await world.say("10.0.0.1")
        assert world.reason() is HoldReason.NOT_OURS
        world.cluster.drop(Endpoints, KEY.name)
        await pass_time(0.1)
        assert world.published() == {"10.0.0.1": True}


async def test_not_knowing_yet_is_said_as_such(world: World) -> None:
    async with world.running():
        assert world.reason() is HoldReason.WAITING
        world.says.error = "connection refused"
        await world.look()
        assert world.reason() is HoldReason.SOURCE_UNKNOWN
        world.says.error = None
        await world.say("10.0.0.1")
        assert world.reason() is HoldReason.WAITING
        await world.judge("10.0.0.1", Outcome.PASSED)
        assert world.reason() is None
    assert world.cluster.writes[0].metadata.labels == {MANAGED_BY: MANAGER}
    assert world.cluster.writes[0].metadata.annotations == {INSTANCE: "office"}


# --- a namespace that has not been listed --------------------------------------------------------


async def test_a_namespace_that_was_not_listed_yet_is_no_news(world: World) -> None:
    world.cluster.list_seconds = 5.0
    async with world.running(4):
        assert world.reconciler.standings == {}
        assert world.logs == []
        await pass_time(2)
        assert world.reason() is HoldReason.WAITING


async def test_a_namespace_that_cannot_be_listed_holds_its_services_alone() -> None:
    world = World(unchecked(KEY), unchecked(ELSEWHERE))
    world.cluster.set(a_service())
    world.cluster.set(a_service(ELSEWHERE))
    world.cluster.refuse["office"] = Forbidden("services is forbidden in office")
    world.says.answer = answer("10.0.0.1")
    async with world.running(100):
        assert world.published(KEY) == {"10.0.0.1": True}
        assert world.reason(ELSEWHERE) is HoldReason.FORBIDDEN
        del world.cluster.refuse["office"]
        await pass_time(60)
        assert world.published(ELSEWHERE) == {"10.0.0.1": True}
    assert world.logged("hold", "hold-ended") == [
        ("hold", "forbidden"),
        ("hold-ended", "forbidden"),
    ]


# --- the API server does not do it ---------------------------------------------------------------


async def test_a_conflict_is_read_again_and_retried_at_once() -> None:
    world = World(unchecked(KEY))
    world.cluster.set(a_service())
    async with world.running():
        await world.say("10.0.0.1")
        world.cluster.deaf = True  # the watch is late
        ours = world.cluster.writes[-1]
        assert isinstance(ours, Endpoints)
        labels = {**ours.metadata.labels, "team": "shop"}
        world.cluster.set(replace(ours, metadata=replace(ours.metadata, labels=labels)))
        await world.say("10.0.0.2")
        await pass_time(0.1)
        assert world.published() == {"10.0.0.2": True}
        assert world.cluster.writes[-1].metadata.labels["team"] == "shop"
        assert "get endpoints" in world.cluster.requests
    assert world.logged("hold") == [("hold", "waiting")]


async def test_a_conflict_with_an_object_that_is_gone_makes_it_anew() -> None:
    world = World(unchecked(KEY))
    world.cluster.set(a_service())
    async with world.running():
        await world.say("10.0.0.1")
        world.cluster.deaf = True
        world.cluster.drop(Endpoints, KEY.name)
        await world.say("10.0.0.2")
        await pass_time(0.1)
        assert world.published() == {"10.0.0.2": True}
    assert world.logged("hold") == [("hold", "waiting")]


async def test_a_conflict_with_a_foreign_object_leaves_it_alone() -> None:
    world = World(unchecked(KEY))
    world.cluster.set(a_service())
    async with world.running():
        world.cluster.deaf = True
        theirs = Endpoints(metadata=ObjectMeta(name=KEY.name, namespace=KEY.namespace))
        world.cluster.set(theirs)
        await world.say("10.0.0.1")
        await pass_time(0.1)
        assert world.reason() is HoldReason.NOT_OURS
    assert world.cluster.writes == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Forbidden("endpoints is forbidden"), HoldReason.FORBIDDEN),
        (Rejected("Endpoints is invalid"), HoldReason.REJECTED),
        (ClusterBusy("etcd is away"), HoldReason.CLUSTER_UNREACHABLE),
        (ClusterUnreachable("no answer in time"), HoldReason.CLUSTER_UNREACHABLE),
        (Conflict("again and again"), HoldReason.REJECTED),
        (NotFound("the namespace is gone"), HoldReason.REJECTED),
    ],
)
async def test_a_write_that_fails_is_held_and_tried_again_with_patience(
    error: Exception, reason: HoldReason
) -> None:
    world = World(unchecked(KEY))
    world.cluster.set(a_service())
    world.says.answer = answer("10.0.0.1")
    world.cluster.errors["create"] = [error] * 12
    async with world.running(100):
        assert world.reason() is reason
        assert 6 <= world.tries() <= 10
        await pass_time(6 * MOST_RETRY_S)
        assert world.published() == {"10.0.0.1": True}
        assert world.reason() is None
    assert world.logged("hold", "hold-ended") == [
        ("hold", reason.value),
        ("hold-ended", reason.value),
    ]


async def test_after_a_success_patience_begins_anew() -> None:
    world = World(unchecked(KEY))
    world.cluster.set(a_service())
    world.says.answer = answer("10.0.0.1")
    world.cluster.errors["create"] = [ClusterBusy("etcd is away")] * 12
    async with world.running(10 * MOST_RETRY_S):
        assert world.published() == {"10.0.0.1": True}
        world.cluster.errors["replace"] = [ClusterBusy("etcd is away")]
        await world.say("10.0.0.2")
        await pass_time(1)
        assert world.published() == {"10.0.0.2": True}


async def test_a_read_that_fails_after_a_conflict_is_held() -> None:
    world = World(unchecked(KEY))
    world.cluster.set(a_service())
    world.says.answer = answer("10.0.0.1")
    world.cluster.errors["create"] = [Conflict("already exists")]
    world.cluster.errors["get"] = [Forbidden("get is forbidden")]
    async with world.running(0.2):
        assert world.reason() is HoldReason.FORBIDDEN
        await pass_time(10)
        assert world.published() == {"10.0.0.1": True}


async def test_the_api_server_is_not_asked_before_the_time_it_named() -> None:
    world = World(unchecked(KEY))
    world.cluster.set(a_service())
    world.says.answer = answer("10.0.0.1")
    world.cluster.errors["create"] = [ClusterBusy("too many requests", retry_after=30.0)]
    async with world.running():
        for _ in range(25):
            await world.look()
        assert world.tries() == 1
        await pass_time(5)
        assert world.published() == {"10.0.0.1": True}
    assert world.tries() == 2


async def test_one_service_that_fails_holds_up_no_other() -> None:
    world = World(unchecked(KEY), unchecked(OTHER))
    world.cluster.set(a_service(OTHER))
    world.says.answer = answer("10.0.0.1")
    async with world.running():
        assert world.reason(KEY) is HoldReason.SERVICE_MISSING
        assert world.published(OTHER) == {"10.0.0.1": True}


# --- a defect of our own -------------------------------------------------------------------------


async def test_a_defect_is_held_said_once_with_its_traceback_and_got_over() -> None:
    world = World(unchecked(KEY))
    world.cluster.set(a_service())
    world.says.answer = answer("10.0.0.1")
    world.says.defect = KeyError("no such thing")
    async with world.running(100):
        assert world.reason() is HoldReason.INTERNAL_ERROR
        world.says.defect = None
        await pass_time(MOST_RETRY_S)
        assert world.reason() is None
        assert world.published() == {"10.0.0.1": True}
    (line,) = [line for line in world.logs if line["event"] == "hold"]
    assert line["log_level"] == "error"
    assert line["reason"] == "internal-error"
    assert isinstance(line["exc_info"], KeyError)
    assert line["exc_info"].__traceback__ is not None


async def test_a_defect_met_in_one_service_stops_no_other() -> None:
    world = World(unchecked(KEY), unchecked(OTHER))
    world.cluster.set(a_service(KEY))
    world.cluster.set(a_service(OTHER))
    world.says.answer = answer("10.0.0.1")
    world.cluster.errors["create"] = [RuntimeError("a defect")]
    async with world.running(0.1):
        reasons = {world.reason(KEY), world.reason(OTHER)}
        assert reasons == {None, HoldReason.INTERNAL_ERROR}
        await pass_time(10)
        assert world.published(KEY) == world.published(OTHER) == {"10.0.0.1": True}


# --- what is left out ----------------------------------------------------------------------------


async def test_a_backend_that_must_not_be_published_is_left_out_and_said_once() -> None:
    world = World(unchecked(KEY))
    world.cluster.set(a_service())
    world.says.answer = answer("10.0.0.1", "127.0.0.1")
    async with world.running():
        for _ in range(5):
            await world.look()
        assert world.published() == {"10.0.0.1": True}
    (line,) = [line for line in world.logs if line["event"] == "backend-dropped"]
    assert line["backend"] == "127.0.0.1"
