"""Events as they are written: on an API server, in virtual time."""

from __future__ import annotations

import pytest

from registrar.cluster.objects import (
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    ObjectMeta,
)
from registrar.embedded import Refuse, Silence
from registrar.model import NetworkRules, Publish, ServiceKey, ServiceMapping
from tests.fakes import KEY, pass_time
from tests.world import World, unchecked

pytestmark = pytest.mark.looptime


def world(*mappings: ServiceMapping) -> World:
    made = World(*(mappings or (unchecked(),)), events=True, networks=NetworkRules())
    for key in made.keys:
        made.cluster.service(key)
    return made


def theirs() -> Endpoints:
    where = EndpointSubset(
        addresses=(EndpointAddress(ip="10.0.0.9"),), ports=(EndpointPort(port=80),)
    )
    return Endpoints(metadata=ObjectMeta(name=KEY.name, namespace=KEY.namespace), subsets=(where,))


def seen(site: World) -> list[tuple[str, str, int]]:
    return [(one.type, one.reason, one.count) for one in site.cluster.events()]


async def test_an_event_is_on_the_service() -> None:
    site = world()
    async with site.running():
        await site.say("10.0.0.1", "10.0.0.2")
        await pass_time(1)
    (event,) = site.cluster.events()
    about = event.involved_object
    stored = site.view.held(KEY).service
    assert stored is not None
    assert (about.kind, about.name, about.namespace) == ("Service", KEY.name, KEY.namespace)
    assert about.uid == stored.uid
    assert (event.type, event.reason, event.count) == ("Normal", "Published", 1)
    assert event.message == "2 of 2 ready; 2 added, 0 removed, 0 changed"
    assert event.source.component == "registrar"
    assert event.first_timestamp == event.last_timestamp


async def test_a_hold_that_begins_and_ends_again_and_again_is_counted() -> None:
    site = world()
    async with site.running():
        await site.say("10.0.0.1")
        for _ in range(3):
            site.cluster.service(selector={"app": "web"})
            await pass_time(5)
            site.cluster.service(selector={})
            await pass_time(5)
    assert ("Warning", "ServiceHasSelector", 3) in seen(site)
    assert ("Normal", "HoldEnded", 3) in seen(site)
    again = next(one for one in site.cluster.events() if one.reason == "HoldEnded")
    assert again.first_timestamp != again.last_timestamp


async def test_an_event_that_has_expired_is_written_anew() -> None:
    site = world()
    async with site.running():
        await site.say("10.0.0.1")
        for _ in range(2):
            site.cluster.service(selector={"app": "web"})
            await pass_time(5)
            site.cluster.drop_events()
            site.cluster.service(selector={})
            await pass_time(5)
    assert ("Normal", "HoldEnded", 2) not in seen(site)
    assert ("Normal", "HoldEnded", 1) in seen(site)


async def test_a_withdrawal_has_its_event() -> None:
    site = world()
    async with site.running():
        await site.say("10.0.0.1", "10.0.0.2")
        site.cluster.node("n1", "10.0.0.2")
        await pass_time(1)
    found = [one.message for one in site.cluster.events() if one.reason == "BackendWithdrawn"]
    (message,) = found
    assert message == (
        "no longer published, for it must not be: 10.0.0.2 port 80: 10.0.0.2 is a node of this "
        "cluster (n1)"
    )


async def test_what_else_happens_to_a_service() -> None:
    site = world(unchecked(adopt=True, publish=Publish.BOTH))
    site.cluster.set(theirs())
    async with site.running():
        await site.say("10.0.0.1")
        await pass_time(5)
        site.cluster.service(selector={"app": "web"})
        await pass_time(40)
    assert {reason for _, reason, _ in seen(site)} == {
        "Adopted",
        "Published",
        "ServiceHasSelector",
        "LetGo",
    }


async def test_an_outage_of_many_services_is_few_events() -> None:
    keys = [ServiceKey("shop", f"web-{n}") for n in range(200)]
    site = world(*(unchecked(key) for key in keys))
    async with site.running():
        await site.say("10.0.0.1")
        await pass_time(120)
        before = len(site.cluster.events())
        site.says.error = "no such file"
        await site.look()
        await pass_time(5)
        new = [one for one in site.cluster.events() if one.reason == "SourceUnknown"]
        assert len(new) == 1
        assert new[0].message == "source racks: no such file; 200 Services are concerned"
        site.says.error = None
        await site.look()
        await pass_time(5)
    assert len(site.cluster.events()) == before + 2
    dropped = [line["count"] for line in site.logs if line["event"] == "events-dropped"]
    assert dropped == [185]


@pytest.mark.parametrize("code", [403, 500])
async def test_a_refusal_is_said_once_and_costs_nothing(code: int) -> None:
    site = world()
    fault = site.cluster.fault(Refuse(code, message="no events"), resource="events")
    async with site.running():
        for n in range(1, 6):
            await site.say(f"10.0.0.{n}")
            assert site.published() == {f"10.0.0.{n}": True}
            await pass_time(61)
        assert site.logged("events-not-written") == [("events-not-written", None)]
        fault.end()
        await site.say("10.0.0.9")
        await pass_time(61)
        assert site.logged("events-written-again") == [("events-written-again", None)]


async def test_silence_of_events_holds_nothing_up() -> None:
    site = world()
    site.cluster.fault(Silence(), resource="events")
    async with site.running():
        for n in range(1, 6):
            await site.say(f"10.0.0.{n}")
            assert site.published() == {f"10.0.0.{n}": True}
