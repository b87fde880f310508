"""A node's IPVS table against what is published: pure, and as it is read from an API server."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from typing import NoReturn

import pytest

from registrar.admin.words import backend
from registrar.draining import DrainOrder
from registrar.errors import NoTable
from registrar.ipvs import kernel
from registrar.ipvs.cluster import read_expected
from registrar.ipvs.drift import Drift, Expected, Wanted, drift
from registrar.ipvs.table import VirtualServer
from registrar.model import BackendId, Outcome, Publish, ServiceKey
from tests.fakes import KEY, mapping
from tests.world import World


def at(text: str) -> BackendId:
    chosen = backend(text)
    assert chosen.port is not None
    return BackendId(chosen.address, chosen.port)


def server(text: str, protocol: str = "TCP") -> VirtualServer:
    return VirtualServer(*at(text), protocol)


def expected(text: str, *backends: str, zoned: bool = False) -> Expected:
    wanted = Wanted(server(text), frozenset(map(at, backends)), is_zoned=zoned)
    return Expected(KEY, (wanted,))


def table(**servers: int) -> Mapping[BackendId, int]:
    """Return real servers with their weights, written as `_N=weight` for 10.20.0.N:80."""
    return {at(f"10.20.0.{name[1:]}:80"): weight for name, weight in servers.items()}


VIP, ONE, TWO = "10.96.0.9:80", "10.20.0.1:80", "10.20.0.2:80"
SAID = ("shop/web", f"{VIP}/TCP")


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (table(_1=1, _2=1), ()),
        (table(_1=1, _2=1, _3=0), ()),  # the third drains
        (table(_1=1), (Drift(*SAID, "missing", TWO),)),
        (table(_1=1, _2=0), (Drift(*SAID, "missing", TWO, 0),)),
        (table(_1=1, _2=1, _3=5), (Drift(*SAID, "extra", "10.20.0.3:80", 5),)),
        (
            table(_3=1, _2=1),
            (Drift(*SAID, "missing", ONE), Drift(*SAID, "extra", "10.20.0.3:80", 1)),
        ),
    ],
)
def test_what_a_node_lacks_or_has_too_much(
    there: Mapping[BackendId, int], found: tuple[Drift, ...]
) -> None:
    others = {server("10.96.0.77:80"): table(_9=1)}
    assert drift([expected(VIP, ONE, TWO)], {server(VIP): there, **others}) == found


def test_a_virtual_server_may_be_missing_as_a_whole() -> None:
    udp = {server(VIP, "UDP"): table(_1=1)}
    assert drift([expected(VIP, ONE)], udp) == (Drift(*SAID, "missing"),)


def test_of_a_service_that_keeps_traffic_in_its_zone_some_are_enough() -> None:
    zoned = [expected(VIP, ONE, TWO, zoned=True)]
    assert drift(zoned, {server(VIP): table(_1=1)}) == ()
    missing = {one.backend for one in drift(zoned, {server(VIP): {}})}
    assert missing == {ONE, TWO}
    assert [one.what for one in drift(zoned, {server(VIP): table(_1=1, _3=1)})] == ["extra"]


def test_a_node_port_is_looked_at_on_whatever_addresses_the_node_has() -> None:
    wanted = [expected("0.0.0.0:30080", ONE)]
    there = {server("192.0.2.7:30080"): table(_1=1), server("10.0.0.7:30080"): table(_2=1)}
    assert [(one.server, one.what) for one in drift(wanted, there)] == [
        ("10.0.0.7:30080/TCP", "missing"),
        ("10.0.0.7:30080/TCP", "extra"),
    ]
    [none] = drift(wanted, {server("[2001:db8::7]:30080"): table(_1=1)})
    assert none.server == "node port 30080/TCP (IPv4)"
    # A node without IPv6 has none of that, and needs none while no backend has it.
    assert drift([expected("[::]:30080")], {}) == ()


# --- what ought to be there ----------------------------------------------------------------------


@pytest.mark.looptime
@pytest.mark.parametrize("publish", [Publish.BOTH, Publish.ENDPOINTSLICES])
async def test_it_is_read_as_kube_proxy_reads_it(publish: Publish) -> None:
    world = World(mapping(publish=publish))
    ports = [{"name": "", "port": 6666, "nodePort": 30080}]
    world.cluster.service(type="NodePort", ports=ports, externalIPs=["192.0.2.9"])
    world.cluster.service(ServiceKey("shop", "another"))
    async with world.running():
        await world.say("10.20.0.1", "10.20.0.2")
        await world.judge("10.20.0.1", Outcome.PASSED)
        await world.judge("10.20.0.2", *[Outcome.FAILED] * 3)
        [found] = await read_expected(world.cluster.client)
        assert found.key == KEY
        by_server = {str(one.server): one.backends for one in found.servers}
        cluster_ip = next(text for text in by_server if text.startswith("10.96."))
        assert by_server == {
            cluster_ip: {at(ONE)},
            "192.0.2.9:6666/TCP": {at(ONE)},
            "0.0.0.0:30080/TCP": {at(ONE)},
            "[::]:30080/TCP": frozenset(),
        }
        assert cluster_ip.endswith(":6666/TCP")
        assert await read_expected(world.cluster.client, [ServiceKey("shop", "another")]) == ()


@pytest.mark.looptime
async def test_those_that_drain_serve_where_nobody_is_ready() -> None:
    world = World(mapping(publish=Publish.BOTH))
    world.cluster.service()
    async with world.running():
        await world.say("10.20.0.1")
        await world.judge("10.20.0.1", Outcome.PASSED)
        await world.app.drain(DrainOrder("a test", KEY, (backend(ONE),), force=True))
        [found] = await read_expected(world.cluster.client)
        assert {one for wanted in found.servers for one in wanted.backends} == {at(ONE)}


@pytest.mark.looptime
@pytest.mark.parametrize("policy", ["internalTrafficPolicy", "externalTrafficPolicy"])
async def test_traffic_that_stays_on_its_node_reaches_no_backend_outside(policy: str) -> None:
    world = World(mapping(publish=Publish.BOTH))
    world.cluster.service(type="NodePort", **{policy: "Local"}, externalIPs=["192.0.2.9"])
    async with world.running():
        await world.say("10.20.0.1")
        await world.judge("10.20.0.1", Outcome.PASSED)
        [found] = await read_expected(world.cluster.client)
        outside = {one.server.address == ip_address("192.0.2.9"): one for one in found.servers}
        assert bool(outside[True].backends) is (policy == "internalTrafficPolicy")


# --- where there is no table ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EPERM, "run it as root"),
        (errno.ENOENT, "this kernel has no IPVS; run it on a node whose kube-proxy is in the mode"),
        (errno.EMFILE, "the kernel's IPVS table can't be read: EMFILE"),
    ],
)
def test_a_table_that_cannot_be_read_comes_with_the_remedy(
    code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        NetlinkError = ValueError

        def IPVS(self) -> NoReturn:  # noqa: N802  as the library has it
            raise OSError(code, "as it is")

    monkeypatch.setattr(kernel, "_library", Refusing)
    with pytest.raises(NoTable, match=words):
        kernel.read_table()


def test_without_its_library_the_remedy_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyroute2", None)
    with pytest.raises(NoTable, match=r"pip install 'registrar\[node\]'"):
        kernel.read_table()
