from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from registrar.cluster.endpoints import INSTANCE, MANAGED_BY, MANAGER
from registrar.cluster.objects import EndpointAddress, Endpoints, ObjectMeta
from registrar.embedded import Break, Delay, Fault, Refuse
from registrar.model import (
    CheckResult,
    Confirm,
    HoldReason,
    Outcome,
    PortMapping,
    Publish,
    ServiceKey,
    ServiceMapping,
)
from registrar.reconciler import MOST_RETRY_S
from tests.fakes import KEY, QUERY, answer, mapping, pass_time, target
from tests.world import World, unchecked

pytestmark = pytest.mark.looptime

OTHER = ServiceKey("shop", "api")
ELSEWHERE = ServiceKey("office", "db")


def endpoints(world: World) -> Endpoints:
    found = world.cluster.find(Endpoints, KEY.name)
    assert found is not None
    return found


def tries(world: World) -> int:
    return world.cluster.asked("create endpoints", "update endpoints")


@pytest.fixture
def world() -> World:
    """Return a world with a mapped Service whose backends are checked."""
    made = World(mapping())
    made.cluster.service()
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
    world.cluster.service()
    async with world.running():
        world.cluster.deafen()
        await world.say("10.0.0.1")
        for _ in range(5):
            await world.look()
        await world.say("10.0.0.2")
        assert world.published() == {"10.0.0.2": True}
        assert tries(world) == len(world.cluster.writes) == 2


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
        ours = endpoints(world)
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
        world.cluster.service()
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
        (
            {"type": "ExternalName", "externalName": "web.office.example"},
            HoldReason.EXTERNAL_NAME,
        ),
        (
            {"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]},
            HoldReason.PORT_NAME_MISSING,
        ),
    ],
)
async def test_a_service_that_cannot_be_served_is_held(
    world: World, spec: dict[str, Any], reason: HoldReason
) -> None:
    async with world.running():
        await world.say("10.0.0.1")
        await world.judge("10.0.0.1", Outcome.PASSED)
        world.cluster.service(**spec)
        await pass_time(0.1)
        await world.say()
        assert world.reason() is reason
        assert world.published() == {"10.0.0.1": True}
    assert len(world.cluster.writes) == 1


async def test_an_object_without_our_marks_is_never_touched() -> None:
    world = World(unchecked(KEY))
    world.cluster.service()
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
    assert endpoints(world).metadata.labels == {MANAGED_BY: MANAGER}
    assert endpoints(world).metadata.annotations == {INSTANCE: "office"}


# --- a namespace that has not been listed --------------------------------------------------------


async def test_a_namespace_that_was_not_listed_yet_is_no_news(world: World) -> None:
    world.cluster.fault(Delay(5.0), "list")
    async with world.running(4):
        assert world.reconciler.standings == {}
        assert world.logs == []
        await pass_time(2)
        assert world.reason() is HoldReason.WAITING


async def test_a_namespace_that_cannot_be_listed_holds_its_services_alone() -> None:
    world = World(unchecked(KEY), unchecked(ELSEWHERE))
    world.cluster.service()
    world.cluster.service(ELSEWHERE)
    forbidden = world.cluster.fault(Refuse(403), namespace="office")
    world.says.answer = answer("10.0.0.1")
    async with world.running(100):
        assert world.published(KEY) == {"10.0.0.1": True}
        assert world.reason(ELSEWHERE) is HoldReason.FORBIDDEN
        forbidden.end()
        await pass_time(60)
        assert world.published(ELSEWHERE) == {"10.0.0.1": True}
    assert world.logged("hold", "hold-ended") == [
        ("hold", "forbidden"),
        ("hold-ended", "forbidden"),
    ]


# --- the API server does not do it ---------------------------------------------------------------


async def test_a_conflict_is_read_again_and_retried_at_once() -> None:
    world = World(unchecked(KEY))
    world.cluster.service()
    async with world.running():
        await world.say("10.0.0.1")
        world.cluster.deafen()  # the watch is late
        ours = endpoints(world)
        labels = {**ours.metadata.labels, "team": "shop"}
        world.cluster.set(replace(ours, metadata=replace(ours.metadata, labels=labels)))
        await world.say("10.0.0.2")
        await pass_time(0.1)
        assert world.published() == {"10.0.0.2": True}
        assert endpoints(world).metadata.labels["team"] == "shop"
        assert world.cluster.asked("get endpoints")
    assert world.logged("hold") == [("hold", "waiting")]


async def test_a_conflict_with_an_object_that_is_gone_makes_it_anew() -> None:
    world = World(unchecked(KEY))
    world.cluster.service()
    async with world.running():
        await world.say("10.0.0.1")
        world.cluster.deafen()
        world.cluster.drop(Endpoints, KEY.name)
        await world.say("10.0.0.2")
        await pass_time(0.1)
        assert world.published() == {"10.0.0.2": True}
    assert world.logged("hold") == [("hold", "waiting")]


async def test_a_conflict_with_a_foreign_object_leaves_it_alone() -> None:
    world = World(unchecked(KEY))
    world.cluster.service()
    async with world.running():
        world.cluster.deafen()
        theirs = Endpoints(metadata=ObjectMeta(name=KEY.name, namespace=KEY.namespace))
        world.cluster.set(theirs)
        await world.say("10.0.0.1")
        await pass_time(0.1)
        assert world.reason() is HoldReason.NOT_OURS
    assert world.cluster.writes == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Refuse(403), HoldReason.FORBIDDEN),
        (Refuse(422), HoldReason.REJECTED),
        (Refuse(429), HoldReason.CLUSTER_UNREACHABLE),
        (Refuse(500), HoldReason.CLUSTER_UNREACHABLE),
        (Break(), HoldReason.CLUSTER_UNREACHABLE),
        (Refuse(409), HoldReason.REJECTED),
        (Refuse(404), HoldReason.REJECTED),
    ],
)
async def test_a_write_that_fails_is_held_and_tried_again_with_patience(
    fault: Fault, reason: HoldReason
) -> None:
    world = World(unchecked(KEY))
    world.cluster.service()
    world.says.answer = answer("10.0.0.1")
    world.cluster.fault(fault, "create", times=12)
    async with world.running(100):
        assert world.reason() is reason
        assert 6 <= tries(world) <= 10
        await pass_time(6 * MOST_RETRY_S)
        assert world.published() == {"10.0.0.1": True}
        assert world.reason() is None
    assert world.logged("hold", "hold-ended") == [
        ("hold", reason.value),
        ("hold-ended", reason.value),
    ]


async def test_after_a_success_patience_begins_anew() -> None:
    world = World(unchecked(KEY))
    world.cluster.service()
    world.says.answer = answer("10.0.0.1")
    world.cluster.fault(Refuse(500), "create", times=12)
    async with world.running(10 * MOST_RETRY_S):
        assert world.published() == {"10.0.0.1": True}
        world.cluster.fault(Refuse(500), "update", times=1)
        await world.say("10.0.0.2")
        await pass_time(1)
        assert world.published() == {"10.0.0.2": True}


async def test_a_read_that_fails_after_a_conflict_is_held() -> None:
    world = World(unchecked(KEY))
    world.cluster.service()
    world.says.answer = answer("10.0.0.1")
    world.cluster.fault(Refuse(409), "create", times=1)
    world.cluster.fault(Refuse(403), "get", times=1)
    async with world.running(0.2):
        assert world.reason() is HoldReason.FORBIDDEN
        await pass_time(10)
        assert world.published() == {"10.0.0.1": True}


async def test_the_api_server_is_not_asked_before_the_time_it_named() -> None:
    world = World(unchecked(KEY))
    world.cluster.service()
    world.says.answer = answer("10.0.0.1")
    world.cluster.fault(Refuse(429, retry_after=30), "create", times=1)
    async with world.running():
        for _ in range(25):
            await world.look()
        assert tries(world) == 1
        await pass_time(5)
        assert world.published() == {"10.0.0.1": True}
    assert tries(world) == 2


async def test_one_service_that_fails_holds_up_no_other() -> None:
    world = World(unchecked(KEY), unchecked(OTHER))
    world.cluster.service(OTHER)
    world.says.answer = answer("10.0.0.1")
    async with world.running():
        assert world.reason(KEY) is HoldReason.SERVICE_MISSING
        assert world.published(OTHER) == {"10.0.0.1": True}


# --- a defect of our own -------------------------------------------------------------------------


async def test_a_defect_is_held_said_once_with_its_traceback_and_got_over() -> None:
    world = World(unchecked(KEY))
    world.cluster.service()
    world.says.answer = answer("10.0.0.1")
    world.says.defects = [KeyError("no such thing")] * 1000
    async with world.running(100):
        assert world.reason() is HoldReason.INTERNAL_ERROR
        world.says.defects = []
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
    world.cluster.service(KEY)
    world.cluster.service(OTHER)
    world.says.answer = answer("10.0.0.1")
    world.says.defects = [RuntimeError("a defect")]
    async with world.running(0.1):
        reasons = {world.reason(KEY), world.reason(OTHER)}
        assert reasons == {None, HoldReason.INTERNAL_ERROR}
        await pass_time(10)
        assert world.published(KEY) == world.published(OTHER) == {"10.0.0.1": True}


# --- what is left out ----------------------------------------------------------------------------


async def test_a_backend_that_must_not_be_published_is_left_out_and_said_once() -> None:
    world = World(unchecked(KEY))
    world.cluster.service()
    world.says.answer = answer("10.0.0.1", "127.0.0.1")
    async with world.running():
        for _ in range(5):
            await world.look()
        assert world.published() == {"10.0.0.1": True}
    (line,) = [line for line in world.logs if line["event"] == "backend-dropped"]
    assert line["backend"] == "127.0.0.1"


# --- what must be confirmed -----------------------------------------------------------------------


def careful() -> World:
    """Return a world with a Service whose large removals are to be confirmed."""
    ports = (PortMapping(None, (QUERY,), None, None, Confirm(answers=3, seconds=30.0)),)
    world = World(ServiceMapping(KEY, ports, Publish.ENDPOINTS))
    world.cluster.service()
    return world


async def test_an_empty_answer_is_believed_once_it_is_confirmed() -> None:
    world = careful()
    async with world.running():
        await world.say("10.0.0.1", "10.0.0.2")
        await world.say()
        both = {"10.0.0.1": True, "10.0.0.2": True}
        assert world.published() == both
        assert [hold.reason for hold in world.standing().holds] == [HoldReason.REMOVALS_UNCONFIRMED]
        assert world.says.hurried == [10]
        await pass_time(60)  # the source says nothing more
        assert world.published() == both
        await world.say()
        await world.say()
        assert world.published() == {}
        assert not world.standing().holds
    assert world.logged("hold", "hold-ended")[-2:] == [
        ("hold", "removals-unconfirmed"),
        ("hold-ended", "removals-unconfirmed"),
    ]


async def test_what_is_new_goes_ahead_of_what_is_not_confirmed() -> None:
    world = careful()
    async with world.running():
        await world.say("10.0.0.1", "10.0.0.2")
        await world.say("10.0.0.3")
        assert world.published() == {f"10.0.0.{n}": True for n in (1, 2, 3)}


async def test_what_comes_back_was_never_gone() -> None:
    world = careful()
    async with world.running():
        await world.say("10.0.0.1", "10.0.0.2")
        before = len(world.cluster.writes)
        await world.say()
        await world.say("10.0.0.1", "10.0.0.2")
        assert not world.standing().holds
        assert len(world.cluster.writes) == before


async def test_what_others_put_in_the_place_of_ours_is_not_kept_for_confirmation() -> None:
    world = careful()
    async with world.running():
        await world.say("10.0.0.1")
        ours = endpoints(world)
        addresses = (EndpointAddress(ip="10.66.6.6"),)
        robbed = replace(ours, subsets=(replace(ours.subsets[0], addresses=addresses),))
        world.cluster.set(robbed)
        await pass_time(0.1)
        assert world.published() == {"10.0.0.1": True}
        assert not world.standing().holds


# --- how often ------------------------------------------------------------------------------------


async def test_one_that_flaps_is_written_once_a_second_and_ends_as_it_is(world: World) -> None:
    async with world.running():
        await world.say("10.0.0.1")
        await world.judge("10.0.0.1", Outcome.PASSED)
        before = len(world.cluster.writes)
        for number in range(40):  # within four seconds
            outcome = Outcome.PASSED if number % 2 else Outcome.FAILED
            for _ in range(3):
                world.checks.report(target("10.0.0.1"), CheckResult(outcome))
            await pass_time(0.1)
        assert len(world.cluster.writes) - before <= 5
        await pass_time(2)
        assert world.published() == {"10.0.0.1": True}
