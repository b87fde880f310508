"""What the configuration asks for: which Service, from where, checked how, published as what."""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass

from registrar.model.probed import HealthCheck


@dataclass(frozen=True, slots=True, order=True)
class ServiceKey:
    """Namespace and name of a Service, and of the Endpoints that belong to it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class QueryRef:
    """A query of a configured source. `query` is the plugin's own settings value, opaque here."""

    source: str
    query: Hashable


@dataclass(frozen=True, slots=True)
class Confirm:
    """What it takes to believe that much has gone: so many answers without it, over so long.

    `seconds` and `answers` are counted from the first answer that lacked it, itself one.
    """

    answers: int = 3
    seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class PortMapping:
    """Where the backends of one Service port come from.

    `name` is the Service's port name, None for the only port of a Service. `port` stands in where
    a backend brings no port of its own. `check` None means that every backend counts as up, or,
    with `by_source`, as what its source says. `confirm` None means that every removal is believed
    at once.
    """

    name: str | None
    queries: tuple[QueryRef, ...]
    port: int | None
    check: HealthCheck | None
    confirm: Confirm | None = None
    by_source: bool = False


class Publish(enum.Enum):
    """The form in which a mapping is published. Both: slices for kube-proxy, Endpoints beside."""

    BOTH = "both"
    ENDPOINTS = "endpoints"
    ENDPOINTSLICES = "endpointslices"


@dataclass(frozen=True, slots=True)
class NewPort:
    """One port of a Service that is to be made; `port` is where the cluster listens."""

    name: str
    port: int
    protocol: str = "TCP"
    target_port: int | None = None
    app_protocol: str | None = None


@dataclass(frozen=True, slots=True)
class NewService:
    """The Service that is to be made where there is none."""

    ports: tuple[NewPort, ...]
    headless: bool = False


@dataclass(frozen=True, slots=True)
class ServiceMapping:
    """The YAML entry of one Service.

    `adopt`: take over what others have written for it. `create`: make it where it is missing.
    `max_backends`: more than that are taken for a mistake. `paused`: nothing of it is to change.
    `panic_threshold`: below that share of ready ones all are published as ready; 0 never.
    """

    key: ServiceKey
    ports: tuple[PortMapping, ...]
    publish: Publish = Publish.BOTH
    adopt: bool = False
    create: NewService | None = None
    max_backends: int = 5000
    paused: bool = False
    panic_threshold: float = 0.0

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources that are asked for it."""
        return tuple(dict.fromkeys(query.source for port in self.ports for query in port.queries))
