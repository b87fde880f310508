from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from registrar.decide.networks import refusal
from registrar.model import NetworkRules


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
    ],
)
def test_what_is_never_published(address: str, reason: str | None) -> None:
    assert refusal(ip_address(address), NetworkRules()) == reason


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
