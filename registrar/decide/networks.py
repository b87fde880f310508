"""Which addresses may be published.

The defence against a source that points a Service at what it must not reach (CVE-2021-25740).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from registrar.model import Address, ClusterRange, NetworkRules, RangeKind

_BROADCAST = IPv4Address("255.255.255.255")


def refusal(address: Address, rules: NetworkRules) -> str | None:
    """Return why the address must never be published, or None if it may be.

    The API server itself refuses loopback, link-local and unspecified addresses, and with one of
    them the whole object (Kubernetes API reference, EndpointAddress.ip).
    """
    return _special(address) or _by_rules(address, rules) or _of_cluster(address, rules)


def _special(address: Address) -> str | None:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return "an IPv4-mapped address is never published"
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "an address with a zone index is never published"
    for kind, applies in (
        ("an unspecified", address.is_unspecified),
        ("a loopback", address.is_loopback),
        ("a link-local", address.is_link_local),
        ("a multicast", address.is_multicast),
        ("the broadcast", address == _BROADCAST),
    ):
        if applies:
            return f"{kind} address is never published"
    return None


def _by_rules(address: Address, rules: NetworkRules) -> str | None:
    for network in rules.deny:
        if address in network:
            return f"networks.deny covers it ({network})"
    if rules.allow and not any(address in network for network in rules.allow):
        return "networks.allow doesn't cover it"
    return None


def _of_cluster(address: Address, rules: NetworkRules) -> str | None:
    for one in rules.cluster.over(address):
        # A wider or a narrower network is no word that the cluster's own range is meant.
        if one.network not in rules.allow:
            return f"{address} {_whose(one)}"
    return None


def _whose(one: ClusterRange) -> str:
    return {
        RangeKind.NODE: f"is a node of this cluster ({one.node})",
        RangeKind.PODS: f"lies in the pod range {one.network} of node {one.node}",
        RangeKind.SERVICES: f"lies in the Service range {one.network}",
        RangeKind.API_SERVER: "is the API server's",
        RangeKind.GIVEN: f"lies in {one.network}, which networks.cluster lists",
    }[one.kind]
