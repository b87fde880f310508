from __future__ import annotations

import pytest
from msgspec.structs import replace

from registrar.cluster.forms import CONTROLLER
from registrar.cluster.objects import Endpoints, Service
from registrar.cluster.slices import INSTANCE as INSTANCE_MARK
from registrar.cluster.slices import is_marked
from registrar.decide.orphans import too_many
from registrar.embedded import Refuse
from registrar.model import Publish, ServiceKey
from tests.embedded_cluster import EmbeddedCluster
from tests.fakes import KEY, answer, pass_time
from tests.world import INSTANCE, World, unchecked


@pytest.mark.parametrize(
    ("orphans", "mapped", "expected"),
    [
        (1, 0, False),
        (9, 0, False),
        (10, 0, True),
        (3, 7, False),  # 30 % of ten
        (4, 6, True),
        (40, 60, True),
        (30, 70, False),
        (0, 100, False),
    ],
)
def test_a_third_of_ten_or_more_is_too_many(
    orphans: int,
    mapped: int,
    expected: bool,  # noqa: FBT001  a parameter
) -> None:
    assert too_many(range(orphans), range(mapped)) is expected


# --- taken away, in virtual time ------------------------------------------------------------------

OTHER = ServiceKey("shop", "old")
UP = {"10.0.0.1": True}


async def published(*keys: ServiceKey) -> EmbeddedCluster:
    """Return a cluster in which a registrar, now gone, has published Services."""
    world = World(*(unchecked(key, Publish.BOTH) for key in keys))
    for key in keys:
        world.cluster.service(key)
    world.says.answer = answer("10.0.0.1")
    async with world.running():
        for key in keys:
            assert world.sliced(key) == world.published(key) == UP
    return world.cluster


def successor(cluster: EmbeddedCluster, *keys: ServiceKey, instance_is_given: bool = True) -> World:
    mappings = (unchecked(key, Publish.BOTH) for key in keys)
    world = World(*mappings, cluster=cluster, instance_is_given=instance_is_given)
    world.says.answer = answer("10.0.0.1")
    return world


def many(count: int) -> list[ServiceKey]:
    return [ServiceKey("shop", f"web-{number}") for number in range(count)]


@pytest.mark.looptime
async def test_what_a_removed_mapping_has_published_goes_after_half_a_minute() -> None:
    world = successor(await published(KEY, OTHER), KEY)
    async with world.running(29.9):
        assert world.sliced(OTHER) == world.published(OTHER) == UP
        before = len(world.cluster.writes)
        await pass_time(0.3)
        assert world.sliced(OTHER) is world.published(OTHER) is None
        await pass_time(600)
        assert world.cluster.find(Service, OTHER.name) is not None
        assert world.sliced(KEY) == world.published(KEY) == UP
    assert world.cluster.writes[before:] == ["delete endpointslices", "delete endpoints"]
    (line,) = [line for line in world.logs if line["event"].startswith("orphan")]
    assert (line["event"], line["service"]) == ("orphan-removed", "shop/old")


@pytest.mark.looptime
async def test_only_what_has_our_marks_and_our_name_goes() -> None:
    cluster = await published(KEY, OTHER)
    (ours,) = (one for one in cluster.slices(OTHER) if is_marked(one, INSTANCE))
    theirs = replace(ours.metadata, name="old-theirs", annotations={INSTANCE_MARK: "elsewhere"})
    kept = [
        cluster.set(replace(ours, metadata=theirs)),
        cluster.slice("old-pods", CONTROLLER, "10.244.0.9", key=OTHER),
    ]
    endpoints = cluster.find(Endpoints, OTHER.name)
    assert endpoints is not None
    marks = {**endpoints.metadata.annotations, INSTANCE_MARK: "elsewhere"}
    meta = replace(endpoints.metadata, annotations=marks)
    other_endpoints = cluster.set(replace(endpoints, metadata=meta))
    world = successor(cluster, KEY)
    async with world.running(100):
        versions = {one.metadata.name: one.metadata.resource_version for one in kept}
        found = cluster.slices(OTHER)
        assert {one.metadata.name: one.metadata.resource_version for one in found} == versions
        assert cluster.find(Endpoints, OTHER.name) == other_endpoints


@pytest.mark.looptime
@pytest.mark.parametrize(("mapped", "goes"), [(7, True), (6, False)])
async def test_many_at_once_are_a_mistake_until_a_person_says_so(
    mapped: int,
    goes: bool,  # noqa: FBT001  a parameter
) -> None:
    keys = many(10)
    world = successor(await published(*keys), *keys[:mapped])
    async with world.running(600):
        assert [world.sliced(key) is None for key in keys[mapped:]] == [goes] * (10 - mapped)
    said = [line for line in world.logs if line["event"] == "orphans-kept"]
    assert len(said) == (0 if goes else 1)
    if said:
        assert (said[0]["count"], said[0]["mappings"]) == (4, 6)
        assert said[0]["services"] == [str(key) for key in keys[6:]]
        assert "restore the mappings" in said[0]["remedy"]


@pytest.mark.looptime
async def test_without_a_name_of_its_own_a_registrar_takes_nothing_away() -> None:
    world = successor(await published(KEY, OTHER), KEY, instance_is_given=False)
    async with world.running(600):
        assert world.sliced(OTHER) == world.published(OTHER) == UP
    (line,) = [line for line in world.logs if line["event"] == "orphans-kept"]
    assert line["services"] == ["shop/old"]
    assert "`instance`" in line["remedy"]


@pytest.mark.looptime
async def test_what_could_not_be_deleted_is_said_and_goes_at_the_next_look() -> None:
    world = successor(await published(KEY, OTHER), KEY)
    world.cluster.fault(Refuse(500), "delete", times=1)
    async with world.running(31):
        assert world.sliced(OTHER) == UP
        assert world.published(OTHER) == UP
        await pass_time(60)
        assert world.sliced(OTHER) is world.published(OTHER) is None
    events = [line["event"] for line in world.logs if line["event"].startswith("orphan")]
    assert events == ["orphan-kept", "orphan-removed"]


@pytest.mark.looptime
async def test_what_another_has_changed_meanwhile_is_looked_at_again() -> None:
    world = successor(await published(KEY, OTHER), KEY)
    async with world.running(29):
        world.cluster.deafen()
        endpoints = world.cluster.find(Endpoints, OTHER.name)
        assert endpoints is not None
        world.cluster.set(replace(endpoints, metadata=replace(endpoints.metadata, annotations={})))
        await pass_time(90)
        assert world.published(OTHER) == UP  # it is no longer ours
        assert world.sliced(OTHER) is None


@pytest.mark.looptime
async def test_nothing_goes_from_a_namespace_that_was_not_listed() -> None:
    cluster = await published(KEY, OTHER)
    fault = cluster.fault(Refuse(403), "list", "endpoints")
    world = successor(cluster, KEY)
    async with world.running(120):
        assert world.sliced(OTHER) == UP
        fault.end()
        await pass_time(120)
        assert world.sliced(OTHER) is None
