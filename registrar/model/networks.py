"""Addresses, and which of them may be published."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


class RangeKind(enum.Enum):
    """What a range of the cluster's own is; GIVEN: somebody has listed it as such."""

    NODE = "node"
    PODS = "pods"
    SERVICES = "services"
    API_SERVER = "api-server"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class ClusterRange:
    """A range of the cluster's own, which no Service must lead to from outside.

    `node` is the name of the node that it belongs to, if there is one.
    """

    network: Network
    kind: RangeKind
    node: str = ""


@dataclass(frozen=True)
class ClusterRanges:
    """All ranges of the cluster's own. Without slots, for what it keeps to look them up by."""

    all: tuple[ClusterRange, ...] = ()

    def over(self, address: Address) -> tuple[ClusterRange, ...]:
        """Return the ranges that an address lies in."""
        number, bits = int(address), address.max_prefixlen
        return tuple(
            found
            for length in self._lengths.get(address.version, ())
            for found in self._by_prefix.get(
                (address.version, length, number >> (bits - length)), ()
            )
        )

    # A large cluster has thousands of ranges, and few lengths of them.

    @cached_property
    def _lengths(self) -> dict[int, tuple[int, ...]]:
        found: dict[int, set[int]] = {}
        for one in self.all:
            found.setdefault(one.network.version, set()).add(one.network.prefixlen)
        return {version: tuple(sorted(lengths)) for version, lengths in found.items()}

    @cached_property
    def _by_prefix(self) -> dict[tuple[int, int, int], list[ClusterRange]]:
        found: dict[tuple[int, int, int], list[ClusterRange]] = {}
        for one in self.all:
            network = one.network
            number = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            found.setdefault((network.version, network.prefixlen, number), []).append(one)
        return found


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """Which addresses may be published: `deny` wins over `allow`; an empty `allow` allows all.

    What lies in a range of the `cluster` may be published only where `allow` names that very
    range. A configuration that gives none leaves them to be read from the API server.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    cluster: ClusterRanges = ClusterRanges()
