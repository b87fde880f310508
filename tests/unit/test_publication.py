"""From what the cluster holds to what ought to be published, step by step, in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as struct_replace

from registrar.cluster.forms import CONTROLLER, MIRRORING
from registrar.cluster.objects import Endpoints, EndpointSlice, Service
from registrar.model import HoldReason, NewPort, NewService, Publish
from tests.fakes import KEY, answer, pass_time
from tests.world import CHANGE_S, World, unchecked

pytestmark = pytest.mark.looptime

UP = {"10.0.0.1": True}
BOTH_UP = {"10.0.0.1": True, "10.0.0.2": True}
SELECTED = {"selector": {"app": "web"}}


def made(publish: Publish = Publish.BOTH, *, adopt: bool = False) -> World:
    """Return a world with a Service, mapped, and one backend that counts as up."""
    world = World(unchecked(publish=publish, adopt=adopt))
    world.cluster.service()
    world.says.answer = answer("10.0.0.1")
    return world


# --- a Service that gains a selector --------------------------------------------------------------


async def test_a_service_that_gains_a_selector_is_written_no_more() -> None:
    world = made()
    async with world.running():
        world.cluster.service(**SELECTED)
        before = world.cluster.writes
        await world.say("10.0.0.1", "10.0.0.2")
        await pass_time(20)
        assert world.reason() is HoldReason.SERVICE_HAS_SELECTOR
        assert world.sliced() == world.published() == UP
        assert world.cluster.writes == before


@pytest.mark.parametrize("publish", [Publish.BOTH, Publish.ENDPOINTSLICES])
async def test_our_slices_go_as_soon_as_its_pods_serve(publish: Publish) -> None:
    world = made(publish)
    async with world.running():
        world.cluster.service(**SELECTED)
        world.cluster.slice("web-pods", CONTROLLER, "10.244.0.9", ready=False)
        await pass_time(10)
        assert world.sliced() == UP
        before = len(world.cluster.writes)
        world.cluster.slice("web-pods", CONTROLLER, "10.244.0.9")
        await pass_time(0.1)
        assert world.sliced() is None
        # The Endpoints are the endpoints controller's now: it writes over ours.
        assert world.cluster.writes[before:] == ["delete endpointslices"]
        assert [one.metadata.name for one in world.cluster.slices()] == ["web-pods"]
    assert len(world.logged("let-go")) == 1


async def test_slices_that_others_made_are_no_sign_that_its_pods_serve() -> None:
    world = made()
    async with world.running():
        world.cluster.service(**SELECTED)
        world.cluster.slice("web-hand", "somebody", "10.244.0.9")
        world.cluster.slice("web-mirrored", MIRRORING, "10.244.0.9")
        await pass_time(20)
        assert world.sliced() == UP


async def test_without_pods_our_slices_go_after_half_a_minute() -> None:
    world = made()
    async with world.running():
        world.cluster.service(**SELECTED)
        await pass_time(29.9)
        assert world.sliced() == UP
        await pass_time(0.3)
        assert world.sliced() is None


async def test_a_selector_that_was_taken_back_in_time_changes_nothing() -> None:
    world = made()
    async with world.running():
        world.cluster.service(**SELECTED)
        await pass_time(20)
        world.cluster.service()
        await pass_time(20)
        assert world.reason() is None
        world.cluster.service(**SELECTED)
        await pass_time(29)  # the half minute begins anew
        assert world.sliced() == UP
        await pass_time(2)
        assert world.sliced() is None


async def test_a_service_that_becomes_a_name_keeps_our_slices() -> None:
    world = made()
    async with world.running():
        world.cluster.service(type="ExternalName", externalName="web.office.example")
        await pass_time(100)
        assert world.reason() is HoldReason.EXTERNAL_NAME
        assert world.sliced() == UP


# --- from one form to another ---------------------------------------------------------------------


async def switched_to_endpoints() -> World:
    """Return a world that was published as both and is mapped as `endpoints` now."""
    before = made()
    async with before.running():
        assert before.sliced() == before.published() == UP
    after = World(unchecked(publish=Publish.ENDPOINTS), cluster=before.cluster)
    after.says.answer = answer("10.0.0.1")
    return after


async def test_where_nothing_mirrors_that_is_said_after_a_while_and_both_are_kept_up() -> None:
    world = await switched_to_endpoints()
    async with world.running(9.5):
        assert world.reasons() == []
        await pass_time(1)
        assert world.reasons() == [HoldReason.MIRRORING_ABSENT]
        assert world.reason() is None
        await world.say("10.0.0.1", "10.0.0.2")
        assert world.sliced() == world.published() == BOTH_UP
        await pass_time(600)
        assert world.sliced() == BOTH_UP
        assert world.reasons() == [HoldReason.MIRRORING_ABSENT]
    assert world.logged("hold", "hold-ended") == [("hold", "mirroring-absent")]


async def test_our_slices_go_when_mirrored_ones_carry_the_same() -> None:
    world = await switched_to_endpoints()
    async with world.running(11):
        world.cluster.slice("web-mirrored", MIRRORING, "10.0.0.1", "10.0.0.2")
        await pass_time(0.1)
        assert world.sliced() == UP
        world.cluster.slice("web-mirrored", MIRRORING, "10.0.0.1", ready=False)
        await pass_time(0.1)
        assert world.sliced() == UP
        world.cluster.slice("web-mirrored", MIRRORING, "10.0.0.1")
        await pass_time(0.1)
        assert world.sliced() is None
        assert world.published() == UP
        assert world.reasons() == []
    assert world.cluster.writes[-1] == "delete endpointslices"


async def test_what_of_the_controller_is_left_goes_on_request_once_ours_serve() -> None:
    world = made(adopt=True)
    world.cluster.slice("web-pods", CONTROLLER, "10.244.0.9")
    world.says.answer = None
    async with world.running():
        assert len(world.cluster.slices()) == 1
        await world.say("10.0.0.1")
        assert world.sliced() == UP
        assert world.own_slices() == list(world.cluster.slices())
        assert world.reasons() == []


async def test_what_of_the_controller_is_left_is_reported_and_stays() -> None:
    world = made()
    world.cluster.slice("web-pods", CONTROLLER, "10.244.0.9")
    async with world.running():
        assert world.reasons() == [HoldReason.LEFTOVER_SLICES]
        assert "(web-pods)" in world.standing().holds[0].detail
        world.cluster.drop(EndpointSlice, "web-pods")
        await pass_time(0.1)
        assert world.reasons() == []


async def test_endpoints_of_others_stand_beside_our_slices() -> None:
    world = made()
    async with world.running():
        ours = world.cluster.find(Endpoints, KEY.name)
        assert ours is not None
        bare = struct_replace(ours.metadata, labels={}, annotations={})
        theirs = world.cluster.set(struct_replace(ours, metadata=bare))
        await world.say("10.0.0.1", "10.0.0.2")
        assert world.sliced() == BOTH_UP
        assert world.reasons() == [HoldReason.NOT_OURS]
        assert world.cluster.find(Endpoints, KEY.name) == theirs


# --- the Service itself ---------------------------------------------------------------------------


def creating() -> World:
    new = NewService((NewPort("http", 80, target_port=8080),))
    world = World(replace(unchecked(publish=Publish.BOTH), create=new))
    world.says.answer = answer("10.0.0.1", port=None)
    return world


async def test_on_request_a_missing_service_is_made_and_published() -> None:
    world = creating()
    async with world.running():
        service = world.cluster.find(Service, KEY.name)
        assert service is not None
        (port,) = service.spec.ports
        assert (port.name, port.port, port.target_port) == ("http", 80, 8080)
        assert service.spec.selector is None
        assert world.sliced() == world.published() == UP
        assert world.own_slices()[0].metadata.owner_references[0].uid == service.metadata.uid
        await pass_time(60)
    assert world.cluster.writes == ["create services", "create endpointslices", "create endpoints"]
    assert len(world.logged("service-created")) == 1


async def test_a_service_that_is_there_is_left_as_it_is() -> None:
    world = creating()
    before = world.cluster.service(ports=[{"name": "web", "port": 8000, "targetPort": 80}])
    async with world.running(10):
        assert world.cluster.find(Service, KEY.name) == before
    assert "create services" not in world.cluster.writes


@pytest.mark.parametrize("publish", [Publish.BOTH, Publish.ENDPOINTSLICES])
async def test_a_service_made_again_is_published_at_once_and_its_old_slices_go_after(
    publish: Publish,
) -> None:
    world = made(publish)
    async with world.running():
        (old,) = world.own_slices()
        world.cluster.drop(Service, KEY.name)
        await pass_time(0.1)
        assert world.reason() is HoldReason.SERVICE_MISSING
        assert world.own_slices() == [old]
        before = len(world.cluster.writes)
        again = world.cluster.service()
        await pass_time(0.1)
        (new,) = world.own_slices()
        assert new.metadata.owner_references[0].uid == again.metadata.uid
        assert world.sliced() == UP
        assert world.cluster.writes[before:] == ["create endpointslices", "delete endpointslices"]


async def test_a_service_made_again_is_no_contest() -> None:
    world = made()
    async with world.running():
        for _ in range(8):
            world.cluster.drop(Service, KEY.name)
            again = world.cluster.service()
            await pass_time(0.2)
            (found,) = world.own_slices()
            assert found.metadata.owner_references[0].uid == again.metadata.uid
    assert not world.logged("hold")


async def test_a_service_that_changes_between_two_writes_is_decided_again() -> None:
    world = made()
    async with world.running():
        before = len(world.cluster.writes)
        world.cluster.transport.late_s = 2 * CHANGE_S
        await world.say("10.0.0.1", "10.0.0.2")
        assert world.cluster.writes[before:] == ["update endpointslices"]  # its answer is late
        world.cluster.service(**SELECTED)
        await pass_time(5)
        assert world.reason() is HoldReason.SERVICE_HAS_SELECTOR
        assert world.cluster.writes[before:] == ["update endpointslices"]
        assert world.published() == UP


async def test_a_port_that_changes_between_two_writes_is_in_both_forms() -> None:
    world = made()
    world.says.answer = answer("10.0.0.1", port=None)
    async with world.running():
        world.cluster.transport.late_s = 2 * CHANGE_S
        world.says.answer = answer("10.0.0.1", "10.0.0.2", port=None)
        await world.look()
        world.cluster.service(ports=[{"name": "http", "port": 80, "targetPort": 8080}])
        await pass_time(10)
        said = world.cluster.find(Endpoints, KEY.name)
        assert said is not None
        numbers = {port.port for one in world.own_slices() for port in one.ports or ()}
        assert numbers == {port.port for one in said.subsets for port in one.ports} == {8080}
