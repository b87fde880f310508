"""Taking backends out and back in, through the loop: what is published, and what outlives what."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest
from msgspec.structs import replace as struct_replace

from registrar.admin.words import backend
from registrar.app.orders import Orders
from registrar.cluster import slices
from registrar.cluster.drained import DRAINED
from registrar.cluster.election import Election
from registrar.cluster.endpoints import decode
from registrar.cluster.forms import drained
from registrar.cluster.objects import Endpoints, EndpointSlice, ObjectMeta, Service
from registrar.cluster.packing import SliceOwner, pack
from registrar.cluster.relay import Relay
from registrar.cluster.term import EPOCH, Term
from registrar.cluster.view import Held
from registrar.draining import DrainOrder, DrainOutcome, DrainState
from registrar.drains import GONE_S, Drains
from registrar.embedded import Refuse
from registrar.model import BackendId, Outcome, Publish, ServiceKey, ServiceState
from tests.fakes import KEY, answer, endpoint, mapping, pass_time
from tests.world import World, unchecked

pytestmark = pytest.mark.looptime

ONE, TWO, THREE = "10.0.0.1", "10.0.0.2", "10.0.0.3"
FORMS = list(Publish)


def made(publish: Publish = Publish.BOTH, before: World | None = None) -> World:
    """Return a process; one that comes after another finds what that has left."""
    world = World(unchecked(publish=publish), cluster=before.cluster if before else None)
    if before is None:
        world.cluster.service()
    world.says.answer = answer(ONE, TWO, THREE)
    return world


async def order(
    world: World, *backends: str, out: bool = True, force: bool = False, within: float = 60.0
) -> DrainOutcome:
    chosen = tuple(map(backend, backends))
    asked = DrainOrder("a test", KEY, chosen, out, force, within)
    return await world.app.drain(asked)


async def undrain(world: World, *backends: str) -> DrainOutcome:
    return await order(world, *backends, out=False)


def said(world: World) -> dict[str, str]:
    """Return as what each address is published, by our slices or else by the Endpoints."""
    if found := world.own_slices():
        return {str(e.id.address): e.state for e in slices.decode(found)}
    endpoints = world.cluster.find(Endpoints, KEY.name)
    return {str(e.id.address): e.state for e in decode(endpoints)} if endpoints else {}


STATE = ServiceState("uid-1", ())
OUT_ENDPOINT = replace(endpoint(ONE, ready=False), draining=True, drained=True)
OUT = {ONE: "draining", TWO: "ready", THREE: "ready"}
IN = {ONE: "ready", TWO: "ready", THREE: "ready"}


@pytest.mark.parametrize("publish", FORMS)
async def test_it_is_published_once_the_answer_comes_and_taken_back(publish: Publish) -> None:
    world = made(publish)
    async with world.running():
        before = len(world.cluster.writes)
        done = await order(world, ONE)
        assert (done.state, done.detail) == (DrainState.DONE, "")
        assert list(done.published) == [("10.0.0.1:80", "draining")]
        assert said(world) == OUT
        writes = world.cluster.writes[before:]
        assert len(writes) == (2 if publish is Publish.BOTH else 1)
        if publish is not Publish.ENDPOINTSLICES:
            assert world.published() == {ONE: False, TWO: True, THREE: True}
        await world.look()
        assert world.cluster.writes[before:] == writes
        done = await undrain(world, f"{ONE}:80")
        assert list(done.published) == [("10.0.0.1:80", "ready")]
        assert said(world) == IN
    for found in (*world.own_slices(), world.cluster.find(Endpoints, KEY.name)):
        assert found is None or DRAINED not in found.metadata.annotations
    told = [line for line in world.logs if line["event"] in {"drain", "undrain"}]
    assert [(line["by"], line["backends"], line["outcome"]) for line in told] == [
        ("a test", ["10.0.0.1"], "done"),
        ("a test", ["10.0.0.1:80"], "done"),
    ]


@pytest.mark.parametrize("publish", FORMS)
@pytest.mark.parametrize("then", FORMS)
async def test_it_outlives_a_restart_and_a_switch_of_the_form(
    publish: Publish, then: Publish
) -> None:
    first = made(publish)
    async with first.running():
        await order(first, ONE)
    second = made(then, first)
    async with second.running():
        assert said(second) == OUT
        await second.say(ONE, TWO)
        assert said(second) == {ONE: "draining", TWO: "ready"}
        await undrain(second, ONE)
        assert said(second) == {ONE: "ready", TWO: "ready"}


async def test_nobody_who_deletes_or_edits_what_is_published_takes_it_back_in() -> None:
    first = made(Publish.ENDPOINTSLICES)
    async with first.running():
        await order(first, ONE)
    world = made(Publish.ENDPOINTSLICES, first)
    async with world.running():
        [found] = world.own_slices()
        world.cluster.drop(EndpointSlice, found.metadata.name)
        await pass_time(10)
        assert said(world) == OUT
        [found] = world.own_slices()
        kept = {k: v for k, v in found.metadata.annotations.items() if k != DRAINED}
        world.cluster.set(struct_replace(found, metadata=_with(found, kept)))
        await pass_time(10)
        assert said(world) == OUT
        world.cluster.drop(Service, KEY.name)
        await pass_time(10)
        world.cluster.service()
        await pass_time(10)
        assert said(world) == OUT


def _with(found: EndpointSlice, annotations: dict[str, str]) -> ObjectMeta:
    return struct_replace(found.metadata, annotations=annotations)


async def test_its_health_is_still_told_and_it_comes_back_as_judged() -> None:
    world = World(mapping(publish=Publish.BOTH))
    world.cluster.service()
    async with world.running():
        await world.say(ONE, TWO)
        for address in (ONE, TWO):
            await world.judge(address, Outcome.PASSED)
        await order(world, ONE)
        await world.judge(ONE, *[Outcome.FAILED] * 3)
        assert said(world) == {ONE: "not-ready", TWO: "ready"}
        await world.judge(ONE, *[Outcome.PASSED] * 2)
        assert said(world) == {ONE: "draining", TWO: "ready"}
        await undrain(world, ONE)
        assert said(world) == {ONE: "ready", TWO: "ready"}


# --- what is refused -----------------------------------------------------------------------------


async def test_what_is_no_backend_changes_nothing_and_those_that_are_get_named() -> None:
    world = made()
    async with world.running():
        done = await order(world, ONE, "10.0.0.9")
        assert done.state is DrainState.REFUSED
        assert done.detail == (
            "10.0.0.9 is no backend of this Service; its backends: 10.0.0.1:80, 10.0.0.2:80, "
            "10.0.0.3:80"
        )
        assert said(world) == IN


async def test_the_last_that_is_ready_goes_only_by_force() -> None:
    world = made()
    async with world.running():
        await order(world, ONE, TWO)
        done = await order(world, THREE)
        assert done.state is DrainState.REFUSED
        assert done.detail == (
            "the Service would have no ready backend left; --force does it all the same"
        )
        assert said(world)[THREE] == "ready"
        done = await order(world, THREE, force=True)
        assert done.state is DrainState.DONE
        assert said(world) == dict.fromkeys((ONE, TWO, THREE), "draining")


async def test_a_paused_mapping_and_an_unknown_one_are_left_alone() -> None:
    world = made()
    async with world.running():
        other = replace(DrainOrder("a test", KEY, ()), service=ServiceKey("shop", "none"))
        done = await world.app.drain(other)
        assert done.detail == "no mapping of the configuration names shop/none"
        await world.reload(replace(unchecked(publish=Publish.BOTH), paused=True))
        assert (await order(world, ONE)).detail == "the mapping is paused; remove `paused` first"
        assert said(world) == IN


async def test_a_service_that_wants_every_address_is_left_alone() -> None:
    world = made()
    world.cluster.service(publishNotReadyAddresses=True)
    async with world.running():
        done = await order(world, ONE)
        assert done.state is DrainState.REFUSED
        assert "publishNotReadyAddresses" in done.detail
        assert said(world) == IN


async def test_a_held_service_says_why_nothing_comes_of_it() -> None:
    world = World(unchecked(publish=Publish.BOTH))
    async with world.running():
        done = await order(world, ONE)
        assert (done.state, done.detail) == (
            DrainState.FAILED,
            "service-missing: there is no Service shop/web",
        )


# --- what goes wrong -----------------------------------------------------------------------------


async def test_a_refused_write_is_told_and_and_goes_on() -> None:
    world = made()
    async with world.running():
        rule = world.cluster.fault(Refuse(500), "update")
        done = await order(world, ONE, within=5.0)
        assert done.state is DrainState.FAILED
        assert done.detail.startswith("not published within 5 s (cluster-unreachable: ")
        assert done.detail.endswith("; this process goes on trying")
        rule.end()
        await pass_time(60)
        assert said(world) == OUT


# --- marks that are over -------------------------------------------------------------------------


async def test_one_that_is_gone_for_a_while_keeps_its_mark_and_for_good_loses_it() -> None:
    world = made()
    async with world.running():
        await order(world, ONE)
        await world.say(TWO, THREE)
        assert said(world) == {TWO: "ready", THREE: "ready"}
        await pass_time(GONE_S / 2)
        await world.say(ONE, TWO, THREE)
        assert said(world) == OUT
        await world.say(TWO, THREE)
        await pass_time(GONE_S)
        await world.say(ONE, TWO, THREE)
        assert said(world) == IN


async def test_several_orders_at_once_are_all_carried_out() -> None:
    world = made()
    async with world.running():
        done = await asyncio.gather(order(world, ONE), order(world, TWO))
        assert [one.state for one in done] == [DrainState.DONE] * 2
        assert said(world) == {ONE: "draining", TWO: "draining", THREE: "ready"}


# --- a new leader --------------------------------------------------------------------------------


def test_a_new_leader_follows_what_the_former_left_however_late_it_hears_of_it() -> None:
    drains = Drains()
    one, two = (BackendId(ip_address(address), 80) for address in (ONE, TWO))
    drains.adopt(KEY, {one: False, two: True})
    drains.adopt(KEY, {one: True})  # the watch was late
    assert drains.marks(KEY) == {one, two}
    drains.adopt(KEY, {two: False})
    assert drains.marks(KEY) == {one}
    drains.begin()
    assert not drains.knows(KEY)


def test_of_slices_only_what_was_left_before_the_term_is_adopted() -> None:
    world_slices = pack(SliceOwner(KEY, STATE, "office"), [OUT_ENDPOINT], (), "").creates
    term, version = Term(epoch=7, version=100), 90
    [found] = world_slices
    for epoch, at, told in (
        ("6", version, True),  # of the leader before
        ("7", version, False),  # its own
        ("6", 101, False),  # of a leader that was frozen
    ):
        annotations = {**found.metadata.annotations, EPOCH: epoch}
        meta = struct_replace(found.metadata, annotations=annotations, resource_version=str(at))
        held = Held(STATE, None, (struct_replace(found, metadata=meta),))
        assert drained(held, "office", term) == ({OUT_ENDPOINT.backend: True} if told else {})
        assert drained(held, "office") == {OUT_ENDPOINT.backend: True}


class Following(Election):
    """The election of a replica that doesn't lead."""

    def __init__(self) -> None:
        pass

    @property
    def term(self) -> None:
        return None

    @property
    def leader(self) -> str:
        return "pod-a"

    @property
    def identity(self) -> str:
        return "pod-b"


class Straight(Relay):
    """A relay without a Lease: the leader is asked at once, if there is one."""

    def __init__(self, leader: Orders | None) -> None:
        self._leader = leader

    async def ask(self, kind: str, body: str, patience: float) -> str:
        del patience
        if self._leader is None:
            raise TimeoutError
        return await self._leader.handle(kind, body)


async def test_a_replica_that_does_not_lead_passes_it_on() -> None:
    world = made()
    asked = DrainOrder("a test", KEY, (backend(ONE), backend(f"{TWO}:80")), force=True)
    async with world.running():
        app = world.app
        other = Orders(app.resyncs, app.draining, Following(), Straight(app.orders))
        done = await other.drain(asked)
        assert done.state is DrainState.DONE
        assert done.published == (("10.0.0.1:80", "draining"), ("10.0.0.2:80", "draining"))
        assert said(world) == {ONE: "draining", TWO: "draining", THREE: "ready"}
        [told] = [line for line in world.logs if line["event"] == "drain"]
        assert told["by"] == "a test, passed on by pod-b"
        nobody = Orders(app.resyncs, app.draining, Following(), Straight(None))
        late = await nobody.drain(asked)
        assert (late.state, late.detail) == (
            DrainState.FAILED,
            "no answer within 60 s; pod-a leads",
        )
        assert await app.orders.handle("drain", "what somebody has edited") == ""
