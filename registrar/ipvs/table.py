"""What an IPVS table holds: virtual servers, the real servers behind each, and their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from registrar.model import Address, BackendId


class VirtualServer(NamedTuple):
    """Where a Service is reached: an address of its own, a port, and TCP, UDP or SCTP."""

    address: Address
    port: int
    protocol: str

    def __str__(self) -> str:
        return f"{BackendId(self.address, self.port)}/{self.protocol}"


Table: TypeAlias = Mapping[VirtualServer, Mapping[BackendId, int]]
"""For each virtual server its real servers; a weight of 0 is one that drains."""
