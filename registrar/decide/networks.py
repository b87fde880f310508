"""Which addresses may be published.

The defence against a source that points a Service at what it must not reach (CVE-2021-25740).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from registrar.model import Address, ClusterRange, NetworkRules, RangeKind

_BROADCAST = IPv4Address("255.255.255.255")

_METADATA = frozenset(
    map(ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"))
)
"""Where clouds serve metadata, and with it credentials, beside the link-local 169.254.169.254."""

_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")


def refusal(address: Address, rules: NetworkRules) -> str | None:
    """Return why the address must never be published, or None if it may be.

    The API server itself refuses loopback, link-local and unspecified addresses, and with one of
    them the whole object (Kubernetes API reference, EndpointAddress.ip).
    """
    found = _special(address) or _by_rules(address, rules) or _of_cluster(address, rules)
    found = found or _metadata(address, rules)
    if found is None and (inner := _carried(address)) is not None:
        why = _special(inner) or _denied(inner, rules) or _of_cluster(inner, rules)
        why = why or _metadata(inner, rules)
        found = f"it leads to {inner}: {why}" if why else None
    return found


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


def _metadata(address: Address, rules: NetworkRules) -> str | None:
    if address in _METADATA and ip_network(address) not in rules.allow:
        return "a cloud serves its metadata there"
    return None


def _carried(address: Address) -> IPv4Address | None:
    """Return the IPv4 address to which translators and tunnels carry what is sent there."""
    if not isinstance(address, IPv6Address):
        return None
    if address in _NAT64 or address in _COMPATIBLE:
        return IPv4Address(address.packed[-4:])
    return address.sixtofour or (address.teredo[1] if address.teredo else None)


def _denied(address: Address, rules: NetworkRules) -> str | None:
    for network in rules.deny:
        if address in network:
            return f"networks.deny covers it ({network})"
    return None


def _by_rules(address: Address, rules: NetworkRules) -> str | None:
    if denied := _denied(address, rules):
        return denied
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
