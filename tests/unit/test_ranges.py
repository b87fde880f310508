"""The cluster's own ranges: where they are read, what becomes of Services when they change."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from random import Random

import pytest

from registrar.cluster.ranges import Ranges
from registrar.embedded import Refuse
from registrar.errors import RangesForbidden
from registrar.model import (
    ClusterRange,
    ClusterRanges,
    HoldReason,
    NetworkRules,
    RangeKind,
    ServiceMapping,
)
from tests.embedded_cluster import EmbeddedCluster
from tests.fakes import KEY, loop_seconds, mapping, pass_time
from tests.world import CHANGE_S, World, unchecked

pytestmark = pytest.mark.looptime

NODE = "10.90.0.2 is a node of this cluster (n1)"
LOST = "no source answers"


def world(
    *mappings: ServiceMapping,
    cluster: EmbeddedCluster | None = None,
    networks: NetworkRules | None = None,
) -> World:
    made = World(
        *(mappings or (unchecked(),)), cluster=cluster, networks=networks or NetworkRules()
    )
    if cluster is None:
        made.cluster.service()
    return made


async def test_each_kind_of_range_is_refused_alone() -> None:
    site = world()
    site.cluster.node("n1", "10.90.0.2", "fd00:90::2", pods=["10.244.1.0/24", "fd00:244::/64"])
    site.cluster.api_server("10.90.0.1")
    async with site.running():
        await site.say(
            *("10.90.0.2", "fd00:90::2", "10.244.1.7", "fd00:244::7"),
            *("10.96.3.4", "fd00:10:96::7", "10.90.0.1", "10.90.0.7"),
        )
        assert site.published() == {"10.90.0.7": True}
    dropped = {line["backend"]: line["reason"] for line in site.logs if "backend" in line}
    assert dropped == {
        "10.90.0.2": NODE,
        "fd00:90::2": "fd00:90::2 is a node of this cluster (n1)",
        "10.244.1.7": "10.244.1.7 lies in the pod range 10.244.1.0/24 of node n1",
        "fd00:244::7": "fd00:244::7 lies in the pod range fd00:244::/64 of node n1",
        "10.96.3.4": "10.96.3.4 lies in the Service range 10.96.0.0/16",
        "fd00:10:96::7": "fd00:10:96::7 lies in the Service range fd00:10:96::/112",
        "10.90.0.1": "10.90.0.1 is the API server's",
    }


async def test_a_new_node_has_its_address_withdrawn_at_once() -> None:
    site = world()
    async with site.running():
        await site.say("10.90.0.2", "10.90.0.7")
        assert site.published() == {"10.90.0.2": True, "10.90.0.7": True}
        site.says.error = LOST  # not knowing does not stand above it
        site.cluster.node("n1", "10.90.0.2")
        await pass_time(0.1)
        assert site.published() == {"10.90.0.7": True}
        assert site.logged("backend-withdrawn") == [("backend-withdrawn", NODE)]
        site.cluster.drop_node("n1")
        await pass_time(CHANGE_S)
        assert site.published() == {"10.90.0.2": True, "10.90.0.7": True}
        # A withdrawal doesn't wait for its second to be over.
        site.cluster.node("n1", "10.90.0.2")
        await pass_time(0.1)
        assert site.published() == {"10.90.0.7": True}


async def test_a_service_range_that_is_added_counts_at_once() -> None:
    site = world()
    async with site.running():
        await site.say("10.97.0.7", "10.90.0.7")
        site.cluster.service_cidr("second", "10.97.0.0/24")
        await pass_time(0.1)
        assert site.published() == {"10.90.0.7": True}


async def test_the_api_servers_new_address_counts_at_once() -> None:
    site = world()
    async with site.running():
        await site.say("10.90.0.1", "10.90.0.7")
        site.cluster.api_server("10.90.0.1")
        await pass_time(0.1)
        assert site.published() == {"10.90.0.7": True}


async def test_a_nodes_heartbeat_is_no_change() -> None:
    cluster, changes = EmbeddedCluster(), list[float]()
    cluster.node("n1", "10.90.0.2")
    rng = Random(1)  # noqa: S311  the same in each run
    ranges = Ranges(cluster.client, lambda: changes.append(loop_seconds()), rng)
    ranges.need()
    task = asyncio.create_task(ranges.run())
    await ranges.heard(30)
    changes.clear()
    cluster.label_node("n1", heartbeat="1")
    await pass_time(1)
    assert changes == []
    cluster.node("n2", "10.90.0.3")
    await pass_time(1)
    assert len(changes) == 1
    task.cancel()


async def test_until_the_ranges_are_read_nothing_is_added_and_nothing_taken_away() -> None:
    cluster = EmbeddedCluster()
    first = world(cluster=cluster)
    cluster.service()
    async with first.running():
        await first.say("10.90.0.7", "10.90.0.8")
    fault = cluster.fault(Refuse(500, message="not now"), "list", "nodes")
    second = world(cluster=cluster)
    async with second.running():
        await second.say("10.90.0.8", "10.90.0.9")
        await pass_time(60)
        assert second.published() == {"10.90.0.7": True, "10.90.0.8": True}
        assert second.reason() is HoldReason.CLUSTER_UNREACHABLE
        fault.end()
        await pass_time(60)
        assert second.published() == {"10.90.0.8": True, "10.90.0.9": True}


async def test_while_they_are_being_read_the_reason_is_to_wait() -> None:
    site = world()
    site.cluster.transport.late_s = 5.0
    async with site.running(7):
        assert site.published() is None
        await site.say("10.90.0.7")
        assert site.reason() in {HoldReason.WAITING, None}


async def test_a_narrowed_allow_withdraws_though_no_source_answers() -> None:
    cluster = EmbeddedCluster()
    first = world(cluster=cluster)
    cluster.service()
    async with first.running():
        await first.say("10.90.0.7", "10.91.0.7")
    narrowed = NetworkRules(allow=(ip_network("10.90.0.0/16"),))
    second = world(cluster=cluster, networks=narrowed)
    second.says.error = LOST
    # Not even the ranges are known.
    cluster.fault(Refuse(500, message="not now"), "list", "nodes")
    async with second.running():
        assert second.published() == {"10.90.0.7": True}
        said = ("backend-withdrawn", "networks.allow doesn't cover it")
        assert second.logged("backend-withdrawn") == [said]
        await second.look()
        assert second.logged("backend-withdrawn") == [said]


@pytest.mark.parametrize("spoil", ["port-name", "too-many"])
async def test_no_hold_stands_above_a_withdrawal(spoil: str) -> None:
    site = world()
    async with site.running():
        await site.say("10.90.0.2", "10.90.0.7")
        if spoil == "port-name":
            ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
            site.cluster.service(ports=ports)
        else:
            await site.say(*(f"10.{n // 250}.{n % 250}.9" for n in range(1001)))
        await pass_time(0.1)
        held = {
            "port-name": HoldReason.PORT_NAME_MISSING,
            "too-many": HoldReason.TOO_MANY_ADDRESSES,
        }
        assert site.reason() is held[spoil]
        site.cluster.node("n1", "10.90.0.2")
        await pass_time(0.1)
        assert site.published() == {"10.90.0.7": True}
        assert site.reasons() == [held[spoil]]


async def test_what_is_not_ours_is_left_alone() -> None:
    site = world()
    async with site.running():
        await site.say("10.90.0.2", "10.90.0.7")
        site.cluster.service(selector={"app": "web"})
        await pass_time(0.1)
        site.cluster.node("n1", "10.90.0.2")
        await pass_time(0.1)
        assert site.published() == {"10.90.0.2": True, "10.90.0.7": True}


@pytest.mark.parametrize(
    ("allowed", "is_published"),
    [("10.96.0.0/16", True), ("10.0.0.0/8", False), ("10.96.3.0/24", False)],
)
async def test_allow_has_to_name_exactly_that_range(
    allowed: str,
    is_published: bool,  # noqa: FBT001  a parameter
) -> None:
    site = world(networks=NetworkRules(allow=(ip_network(allowed),)))
    async with site.running():
        await site.say("10.96.3.4")
        assert (site.published() == {"10.96.3.4": True}) is is_published


async def test_ranges_that_are_given_are_used_and_nothing_is_read() -> None:
    given = ClusterRanges((ClusterRange(ip_network("10.96.0.0/16"), RangeKind.GIVEN),))
    site = world(networks=NetworkRules(cluster=given))
    site.cluster.node("n1", "10.90.0.2")
    async with site.running():
        await site.say("10.96.3.4", "10.90.0.2")
        await site.ranges.heard(30)
        assert site.published() == {"10.90.0.2": True}
    reason = "10.96.3.4 lies in 10.96.0.0/16, which networks.cluster lists"
    assert site.logged("backend-dropped") == [("backend-dropped", reason)]
    assert {seen.resource for seen in site.cluster.requests}.isdisjoint({"nodes", "servicecidrs"})
    assert {seen.namespace for seen in site.cluster.requests} == {KEY.namespace}


async def test_what_may_not_be_read_is_named_with_both_remedies() -> None:
    site = world()
    site.cluster.fault(Refuse(403), "list", "servicecidrs")
    site.cluster.fault(Refuse(403), "list", "endpointslices", namespace="default")
    async with site.running():
        with pytest.raises(RangesForbidden) as raised:
            await site.ranges.heard(30)
        await site.say("10.90.0.7")
        assert site.published() is None
    assert str(raised.value) == (
        "the cluster's own ranges are not known, for this user may not list and watch "
        "servicecidrs, endpointslices of default/kubernetes; grant config/rbac/ranges, or list "
        "the node, pod and Service ranges as networks.cluster"
    )


async def test_without_service_cidr_that_part_alone_is_left_out() -> None:
    site = world()
    site.cluster.node("n1", "10.90.0.2")
    site.cluster.fault(Refuse(404), "list", "servicecidrs")
    async with site.running():
        await site.ranges.heard(30)
        await site.say("10.90.0.2", "10.90.0.7")
        await pass_time(300)
        assert site.published() == {"10.90.0.7": True}
        said = [line["notice"] for line in site.logs if line["event"] == "notice"]
    assert len(said) == 1
    assert "networks.deny" in said[0]


async def test_what_is_no_address_is_no_range() -> None:
    site = world(mapping(publish=unchecked().publish))
    site.cluster.node("n1", "10.90.0.2", "node-1.cloud.example", pods=["10.244.1.0/24"])
    site.cluster.node("n2")
    async with site.running():
        await site.ranges.heard(30)
        rules = site.ranges.over(NetworkRules())
    assert isinstance(rules, NetworkRules)
    ranges = [str(one.network) for one in rules.cluster.all if one.kind is not RangeKind.SERVICES]
    assert ranges == ["10.90.0.2/32", "10.244.1.0/24"]
