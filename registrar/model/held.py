"""What the cluster holds: Services, and what is published for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from registrar.model.networks import Address


class BackendId(NamedTuple):
    """What makes a backend the same one."""

    address: Address
    port: int

    def __str__(self) -> str:
        if self.address.version == 6:
            return f"[{self.address}]:{self.port}"
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service. `target_port` only where it is a number; `name` may be empty."""

    name: str
    protocol: str = "TCP"
    target_port: int | None = None
    app_protocol: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What the decisions need to know of a Service. Empty `families` means either.

    `publish_not_ready`: whoever looks wants every address, ready or not. `zone_affinity`: traffic
    is to stay in its zone. `local_traffic`: a node serves only backends on itself, so none of ours.
    """

    uid: str
    ports: tuple[ServicePort, ...]
    has_selector: bool = False
    is_external_name: bool = False
    families: frozenset[int] = frozenset()
    is_headless: bool = False
    publish_not_ready: bool = False
    zone_affinity: bool = False
    local_traffic: bool = False


@dataclass(frozen=True, slots=True)
class EndpointId:
    """What makes an endpoint the same one: the Service's port that it serves, and its address."""

    port_name: str
    protocol: str
    address: Address
    port: int

    def __hash__(self) -> int:  # an address' own is slow, and each look asks for many
        return hash((int(self.address), self.port))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One backend as it is published for one port of a Service.

    `draining`: not ready for new connections, and still serving those it has. `drained`: a person
    has taken it out, so it drains for as long as it is up.
    """

    id: EndpointId
    ready: bool
    hostname: str | None = None
    app_protocol: str | None = None
    draining: bool = False
    zone: str | None = None
    drained: bool = False

    def __hash__(self) -> int:  # the rest hardly ever tells two of them apart
        return hash((self.id, self.ready))

    @property
    def backend(self) -> BackendId:
        """The backend that it publishes."""
        return BackendId(self.id.address, self.id.port)

    @property
    def state(self) -> str:
        """As what it is published, in one word."""
        if self.draining:
            return "draining"
        return "ready" if self.ready else "not-ready"


@dataclass(frozen=True, slots=True)
class Published:
    """What the cluster holds for a Service now; `ours` is False where others have written it.

    `strange` is what others have put into what is ours: it was never decided, so nothing keeps it.
    """

    endpoints: frozenset[Endpoint]
    ours: bool = True
    strange: frozenset[EndpointId] = frozenset()
