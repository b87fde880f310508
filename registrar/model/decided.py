"""What ought to be published, or why nothing may change, and the difference."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from registrar.model.found import Dropped
from registrar.model.held import Endpoint, EndpointId


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
