"""The vocabulary: the frozen values that every stage shares.

No I/O, no clock, no settings library: whatever is here can be compared, hashed and printed.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, order=True)
class ServiceKey:
    """Namespace and name of a Service, and of the Endpoints that belong to it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


# --- what sources say --------------------------------------------------------------------------


class Verdict(enum.Enum):
    """What is known of a backend's health. Unknown changes nothing that is published."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Backend:
    """One place outside the cluster that serves.

    `port` is None where the source doesn't know it. `weight` (0 or more), `zone` and `health` are
    what the source says; `hostname` is the name it has within a headless Service (a DNS label,
    RFC 1123). `draining`: it still serves, and is to get no new connections. `tier`: the lowest
    number (0 or more) that has a backend up is what is published.
    """

    address: Address
    port: int | None = None
    weight: int = 1
    zone: str | None = None
    hostname: str | None = None
    draining: bool = False
    tier: int = 0
    health: Verdict = Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class Dropped:
    """A record of an otherwise good answer that could not be used, and why."""

    record: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source returned for one part: complete, never partial. Empty is an answer too.

    `window` (seconds) where complete answers name a part of the backends in turn, as DNS servers
    may: what was named within it counts as named. `fresh_for` (seconds) where the source says how
    long it holds, as a TTL does: it is asked again then, however long the interval.
    """

    backends: tuple[Backend, ...]
    dropped: tuple[Dropped, ...] = ()
    window: float = 0.0
    fresh_for: float | None = None


@dataclass(frozen=True, slots=True)
class PartState:
    """What is known of one part: its last complete answer, and the error since then if any.

    `answered_at` is monotonic time in seconds; None, as `answer`, if it has never answered.
    `answers` counts its complete answers.
    """

    name: str
    answer: Answer | None = None
    answered_at: float | None = None
    error: str | None = None
    answers: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """The last complete answers of all parts of a query.

    `error` says why the parts themselves are not known (the query could not be split).
    """

    parts: tuple[PartState, ...] = ()
    error: str | None = None

    @property
    def heard_all(self) -> bool:
        """Whether every part has answered at least once, so that absence means something."""
        return bool(self.parts) and all(part.answer is not None for part in self.parts)

    @property
    def backends(self) -> tuple[Backend, ...]:
        """The union of the last complete answers, in the order of the parts."""
        return tuple(b for part in self.parts if part.answer for b in part.answer.backends)

    @property
    def errors(self) -> tuple[str, ...]:
        """What is not known at present, in words."""
        own = (self.error,) if self.error else ()
        return own + tuple(part.error for part in self.parts if part.error)


# --- what a mapping asks for -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueryRef:
    """A query of a configured source. `query` is the plugin's own settings value, opaque here."""

    source: str
    query: Hashable


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """A backend is up that accepts a TCP connection."""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """A backend is up that answers `GET path` with a status of 200 to 399."""

    path: str = "/"


Probe: TypeAlias = TcpProbe | HttpProbe


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a backend is judged. Times in seconds.

    `rise` successes in a row bring a backend up that was down, `fall` failures in a row take one
    down that was up.
    """

    probe: Probe
    interval: float = 5.0
    timeout: float = 1.0
    rise: int = 2
    fall: int = 3


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


# --- health ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """What a health check is run against. Services that ask the same question share it."""

    address: Address
    port: int
    check: HealthCheck


class Outcome(enum.Enum):
    """How one check ended. Unknown: it could not be run, and says nothing of the backend.

    Silent: no answer in time, or no way there; it failed, unless the fault is our own.
    """

    PASSED = "passed"
    FAILED = "failed"
    SILENT = "silent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check, and the reason in words."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Preservation:
    """When to take silence for our own fault: `max_hold` in seconds, at most, without a canary."""

    enabled: bool = True
    canaries: tuple[Target, ...] = ()
    max_hold: float = 120.0


# --- what the cluster says ---------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One backend as it is published for one port of a Service.

    `draining`: not ready for new connections, and still serving those it has.
    """

    id: EndpointId
    ready: bool
    hostname: str | None = None
    app_protocol: str | None = None
    draining: bool = False
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """What the cluster holds for a Service now; `ours` is False where others have written it.

    `strange` is what others have put into what is ours: it was never decided, so nothing keeps it.
    """

    endpoints: frozenset[Endpoint]
    ours: bool = True
    strange: frozenset[EndpointId] = frozenset()


# --- what is decided ---------------------------------------------------------------------------


class HoldReason(enum.Enum):
    """Why something may not change now. Logs, status and docs/operations.md share these words."""

    SERVICE_MISSING = "service-missing"
    SERVICE_HAS_SELECTOR = "service-has-selector"
    EXTERNAL_NAME = "external-name"
    PORT_NAME_MISSING = "port-name-missing"
    PORT_NAME_UNKNOWN = "port-name-unknown"
    NO_PORT = "no-port"
    WAITING = "waiting"
    PAUSED = "paused"
    REMOVALS_UNCONFIRMED = "removals-unconfirmed"
    SELF_PRESERVATION = "self-preservation"
    SOURCE_UNKNOWN = "source-unknown"
    NOT_OURS = "not-ours"
    TOO_MANY_ADDRESSES = "too-many-addresses"
    TOO_MANY_BACKENDS = "too-many-backends"
    MIRRORING_ABSENT = "mirroring-absent"
    LEFTOVER_SLICES = "leftover-slices"
    CONTESTED = "contested"
    NAMESPACE_TERMINATING = "namespace-terminating"
    FORBIDDEN = "forbidden"
    REJECTED = "rejected"
    CLUSTER_UNREACHABLE = "cluster-unreachable"
    INTERNAL_ERROR = "internal-error"


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason why something may not change now, with what to look at in words.

    `source` names the source that does not know, where that is the reason.
    """

    reason: HoldReason
    detail: str
    source: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A published endpoint that must not be published, and why: no Hold and no guard keeps it."""

    id: EndpointId
    reason: str


@dataclass(frozen=True, slots=True)
class Desired:
    """What ought to be published.

    `holds` says what within it is kept because it isn't known, `notices` what a person should know
    of all the same, `withdrawn` what goes at once.
    """

    endpoints: frozenset[Endpoint]
    holds: tuple[Hold, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    notices: tuple[str, ...] = ()
    withdrawn: tuple[Withdrawn, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference between the endpoints that are published and those that ought to be."""

    adds: frozenset[Endpoint] = frozenset()
    removals: frozenset[Endpoint] = frozenset()
    changes: frozenset[Endpoint] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.adds or self.removals or self.changes)
