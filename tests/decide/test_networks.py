from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from registrar.decide.networks import refusal
from registrar.model import ClusterRange, ClusterRanges, NetworkRules, RangeKind


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "a loopback address is never published"),
        ("127.8.8.8", "a loopback address is never published"),
        ("::1", "a loopback address is never published"),
        ("169.254.169.254", "a link-local address is never published"),
        ("fe80::1", "a link-local address is never published"),
        ("fe80::1%eth0", "an address with a zone index is never published"),
        ("224.0.0.1", "a multicast address is never published"),
        ("ff02::1", "a multicast address is never published"),
        ("0.0.0.0", "an unspecified address is never published"),
        ("::", "an unspecified address is never published"),
        ("255.255.255.255", "the broadcast address is never published"),
        ("::ffff:10.0.0.1", "an IPv4-mapped address is never published"),
        ("10.0.0.1", None),
        ("192.0.2.1", None),
        ("203.0.113.9", None),
        ("2001:db8::1", None),
        ("fd00::1", None),
        ("fd00:ec2::254", "a cloud serves its metadata there"),
        ("fd20:ce::254", "a cloud serves its metadata there"),
        ("100.100.100.200", "a cloud serves its metadata there"),
        ("168.63.129.16", "a cloud serves its metadata there"),
        ("100.100.100.201", None),
    ],
)
def test_what_is_never_published(address: str, reason: str | None) -> None:
    assert refusal(ip_address(address), NetworkRules()) == reason


def test_an_address_of_metadata_may_be_named() -> None:
    rules = NetworkRules(allow=(ip_network("100.100.100.200/32"),))
    assert refusal(ip_address("100.100.100.200"), rules) is None
    wider = NetworkRules(allow=(ip_network("100.64.0.0/10"),))
    assert refusal(ip_address("100.100.100.200"), wider) == "a cloud serves its metadata there"


@pytest.mark.parametrize(
    ("address", "inner", "reason"),
    [
        ("64:ff9b::a9fe:a9fe", "169.254.169.254", "a link-local address is never published"),
        ("64:ff9b::7f00:1", "127.0.0.1", "a loopback address is never published"),
        ("64:ff9b::a5a:2", "10.90.0.2", "10.90.0.2 is a node of this cluster (n1)"),
        ("64:ff9b::6464:64c8", "100.100.100.200", "a cloud serves its metadata there"),
        ("2002:a9fe:a9fe::1", "169.254.169.254", "a link-local address is never published"),
        ("::a60:901", "10.96.9.1", "10.96.9.1 lies in the Service range 10.96.0.0/16"),
        ("2001:0:1:2:0:0:f5ff:feff", "10.0.1.0", "networks.deny covers it (10.0.1.0/24)"),
        ("64:ff9b::a14:101", None, None),
        ("2002:a14:101::1", None, None),
    ],
)
def test_what_is_carried_to_such_an_address(
    address: str, inner: str | None, reason: str | None
) -> None:
    rules = NetworkRules(deny=(ip_network("10.0.1.0/24"),), cluster=OWN)
    wanted = None if reason is None else f"it leads to {inner}: {reason}"
    assert refusal(ip_address(address), rules) == wanted


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.20.1.1", None),
        ("10.20.9.1", "networks.deny covers it (10.20.9.0/24)"),
        ("10.21.0.1", "networks.allow doesn't cover it"),
        ("2001:db8::1", "networks.allow doesn't cover it"),
    ],
)
def test_deny_wins_over_allow(address: str, reason: str | None) -> None:
    allow, deny = ip_network("10.20.0.0/16"), ip_network("10.20.9.0/24")
    rules = NetworkRules((allow,), (deny,))
    assert refusal(ip_address(address), rules) == reason


OWN = ClusterRanges(
    (
        ClusterRange(ip_network("10.90.0.2/32"), RangeKind.NODE, "n1"),
        ClusterRange(ip_network("10.90.0.2/32"), RangeKind.API_SERVER),
        ClusterRange(ip_network("fd00:90::2/128"), RangeKind.NODE, "n1"),
        ClusterRange(ip_network("10.244.1.0/24"), RangeKind.PODS, "n1"),
        ClusterRange(ip_network("10.96.0.0/16"), RangeKind.SERVICES),
        ClusterRange(ip_network("10.96.8.0/24"), RangeKind.SERVICES),
        ClusterRange(ip_network("172.16.0.0/12"), RangeKind.GIVEN),
    )
)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.90.0.2", "10.90.0.2 is a node of this cluster (n1)"),
        ("10.90.0.3", None),
        ("fd00:90::2", "fd00:90::2 is a node of this cluster (n1)"),
        ("10.244.1.255", "10.244.1.255 lies in the pod range 10.244.1.0/24 of node n1"),
        ("10.244.2.0", None),
        ("10.96.9.1", "10.96.9.1 lies in the Service range 10.96.0.0/16"),
        ("172.31.0.1", "172.31.0.1 lies in 172.16.0.0/12, which networks.cluster lists"),
    ],
)
def test_the_clusters_own_ranges(address: str, reason: str | None) -> None:
    assert refusal(ip_address(address), NetworkRules(cluster=OWN)) == reason


def test_the_api_servers_address() -> None:
    own = ClusterRanges((ClusterRange(ip_network("10.90.0.1/32"), RangeKind.API_SERVER),))
    assert refusal(ip_address("10.90.0.1"), NetworkRules(cluster=own)) == (
        "10.90.0.1 is the API server's"
    )


@pytest.mark.parametrize(
    ("allow", "address", "is_allowed"),
    [
        (["10.90.0.2/32"], "10.90.0.2", True),  # named once, whatever it is besides
        (["10.90.0.0/24"], "10.90.0.2", False),
        (["10.244.1.0/24"], "10.244.1.7", True),
        (["10.244.1.7/32"], "10.244.1.7", False),
        (["0.0.0.0/0"], "10.244.1.7", False),
        (["10.96.0.0/16"], "10.96.9.1", True),
        (["10.96.0.0/16"], "10.96.8.1", False),  # in a second range, which is not named
        (["10.96.0.0/16", "10.96.8.0/24"], "10.96.8.1", True),
        (["172.16.0.0/12"], "172.31.0.1", True),
    ],
)
def test_allow_has_to_name_the_very_range(
    allow: list[str],
    address: str,
    is_allowed: bool,  # noqa: FBT001  a parameter
) -> None:
    rules = NetworkRules(allow=tuple(map(ip_network, allow)), cluster=OWN)
    assert (refusal(ip_address(address), rules) is None) is is_allowed


def test_deny_wins_over_an_allowed_range() -> None:
    network = ip_network("10.96.0.0/16")
    rules = NetworkRules((network,), (network,), OWN)
    assert refusal(ip_address("10.96.9.1"), rules) == "networks.deny covers it (10.96.0.0/16)"
