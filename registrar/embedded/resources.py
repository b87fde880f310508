"""The resources that are served, and what sets them apart.

It must never hold behaviour: only facts of the real API server that the contract suite pins.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from registrar.embedded.schema import TYPES, Type
from registrar.embedded.status import StatusError, not_found

ALL_VERBS = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)


@dataclass(frozen=True)
class Resource:
    """A kind of object, and where it is served."""

    group: str
    plural: str
    kind: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    create_on_update: bool = False
    """A PUT of what isn't there creates it."""
    needs_version: bool = False
    """A PUT without resourceVersion is refused."""
    returns_deleted: bool = False
    """A DELETE answers with the object, not with a Status."""
    warning: str = ""
    """What every answer warns of."""
    collective: bool = True
    """All of them can be deleted at once."""
    has_generation: bool = False
    renamed: dict[str, str] = field(default_factory=dict, hash=False, compare=False)
    """For a second view of what is stored under another group: its names of fields."""

    @property
    def version(self) -> str:
        """The group and version, as in apiVersion."""
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def type(self) -> Type:
        """Its fields, as they are stored."""
        return TYPES[self.kind]

    @property
    def full_name(self) -> str:
        """Its name with its group, as messages say it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def not_found(self, name: str) -> StatusError:
        """Return the 404 of one of its objects."""
        return not_found(self.plural, self.group, name)

    @property
    def root(self) -> str:
        """The path of its group and version."""
        return f"/apis/{self.version}" if self.group else "/api/v1"

    @property
    def verbs(self) -> tuple[str, ...]:
        """What can be asked of it."""
        if self.collective:
            return ALL_VERBS
        return tuple(verb for verb in ALL_VERBS if verb != "deletecollection")


NAMESPACES = Resource(
    "",
    "namespaces",
    "Namespace",
    ("ns",),
    namespaced=False,
    returns_deleted=True,
    collective=False,
)
NODES = Resource("", "nodes", "Node", ("no",), namespaced=False)
SERVICE_CIDRS = Resource("networking.k8s.io", "servicecidrs", "ServiceCIDR", namespaced=False)
SERVICES = Resource(
    "", "services", "Service", ("svc",), create_on_update=True, returns_deleted=True
)
ENDPOINTS = Resource(
    "",
    "endpoints",
    "Endpoints",
    ("ep",),
    create_on_update=True,
    warning="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)
EVENTS = Resource("", "events", "Event", ("ev",), create_on_update=True)
SLICES = Resource("discovery.k8s.io", "endpointslices", "EndpointSlice", has_generation=True)
LEASES = Resource(
    "coordination.k8s.io", "leases", "Lease", create_on_update=True, needs_version=True
)
NEW_EVENTS = Resource(
    "events.k8s.io",
    "events",
    "Event",
    ("ev",),
    create_on_update=True,
    renamed={
        "regarding": "involvedObject",
        "note": "message",
        "reportingController": "reportingComponent",
        "deprecatedSource": "source",
        "deprecatedFirstTimestamp": "firstTimestamp",
        "deprecatedLastTimestamp": "lastTimestamp",
        "deprecatedCount": "count",
    },
)

RESOURCES = (
    NAMESPACES,
    NODES,
    SERVICES,
    ENDPOINTS,
    EVENTS,
    SLICES,
    SERVICE_CIDRS,
    LEASES,
    NEW_EVENTS,
)
GROUPS = ("discovery.k8s.io", "coordination.k8s.io", "events.k8s.io", "networking.k8s.io")


def find(group: str, plural: str) -> Resource | None:
    """Return the resource of a group, None if there is none."""
    return next((r for r in RESOURCES if (r.group, r.plural) == (group, plural)), None)
