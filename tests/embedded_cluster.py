"""A cluster for quick tests: the embedded API server, a client of it, and the hands of others.

What others do goes through the API server too, so that no test rests on an object that a real
cluster would refuse.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from registrar.cluster.client import ENDPOINTS, SERVICES, SLICES, Client, ObjectT, Resource
from registrar.cluster.objects import (
    ApiObject,
    Endpoints,
    EndpointSlice,
    Event,
    ObjectMeta,
    Service,
    SliceConditions,
    SliceEndpoint,
    SlicePort,
)
from registrar.cluster.slices import MANAGED_BY, SERVICE_NAME
from registrar.embedded import ApiServer, Deaf, Fault, Request, Response, Rule, Seen
from registrar.model import ServiceKey
from tests.fakes import KEY, loop_seconds
from tests.in_process import InProcessTransport

REGISTRAR = "registrar/test"
OTHERS = "somebody"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
WRITES = frozenset({"create", "update", "patch", "delete"})

_Known: TypeAlias = Resource[Service] | Resource[Endpoints] | Resource[EndpointSlice]
_KINDS: Mapping[type[ApiObject], _Known] = {
    Service: SERVICES,
    Endpoints: ENDPOINTS,
    EndpointSlice: SLICES,
}


def time_of_day() -> datetime:
    """Return the time of day of a world that began with its event loop's clock."""
    return BEGIN + timedelta(seconds=loop_seconds())


class EmbeddedCluster:
    """An API server with the namespaces shop and office, and registrar's `client` of it."""

    def __init__(self, *, controllers: bool = False) -> None:
        rng = Random(1)  # noqa: S311  the same uids in each run
        self.server = ApiServer(now=time_of_day, rng=rng, controllers=controllers)
        self.transport = InProcessTransport(self.server, REGISTRAR)
        self.client = Client(self.transport)
        for name in ("shop", "office"):
            self._ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    # --- what others do ------------------------------------------------------------------------

    def set(self, item: ObjectT) -> ObjectT:
        """Make an object so, whatever is there; return it as stored."""
        kind, meta = type(item), item.metadata
        body = msgspec.to_builtins(
            replace(item, metadata=replace(meta, uid="", resource_version=""))
        )
        return self._put(kind, ServiceKey(meta.namespace, meta.name), body)

    def service(self, key: ServiceKey = KEY, /, **spec: object) -> Service:
        """Make a Service so: with one port, 80, and what else its `spec` is to say."""
        spec = {"ports": [{"port": 80, "targetPort": 80}], **spec}
        body = {"metadata": {"name": key.name, "namespace": key.namespace}, "spec": spec}
        return self._put(Service, key, body)

    def annotate_service(self, name: str, value: str, key: ServiceKey = KEY) -> None:
        """Put an annotation on a Service."""
        found = self.find(Service, key.name, key.namespace)
        assert found is not None
        annotations = {**found.metadata.annotations, name: value}
        self.set(replace(found, metadata=replace(found.metadata, annotations=annotations)))

    def slice(
        self, name: str, manager: str, *addresses: str, ready: bool = True, key: ServiceKey = KEY
    ) -> EndpointSlice:
        """Make a slice of somebody's for a Service so."""
        labels = {SERVICE_NAME: key.name, MANAGED_BY: manager}
        said = SliceConditions(ready=ready)
        return self.set(
            EndpointSlice(
                metadata=ObjectMeta(name=name, namespace=key.namespace, labels=labels),
                address_type="IPv4",
                endpoints=tuple(SliceEndpoint(addresses=(a,), conditions=said) for a in addresses),
                ports=(SlicePort(name="", port=80, protocol="TCP"),),
            )
        )

    def drop(self, kind: type[ApiObject], name: str, namespace: str = KEY.namespace) -> None:
        """Delete an object."""
        self._ask("DELETE", _path(kind, namespace, name))

    def find(
        self, kind: type[ObjectT], name: str, namespace: str = KEY.namespace
    ) -> ObjectT | None:
        """Return an object as it is now."""
        if self.server.get(_KINDS[kind].name, namespace, name) is None:
            return None
        return msgspec.json.decode(self._ask("GET", _path(kind, namespace, name)), type=kind)

    def slices(self, key: ServiceKey = KEY) -> tuple[EndpointSlice, ...]:
        """Return all slices of a Service, whoever made them."""
        body = self._ask("GET", _path(EndpointSlice, key.namespace))
        found = msgspec.json.decode(body, type=_Slices).items
        return tuple(one for one in found if one.metadata.labels.get(SERVICE_NAME) == key.name)

    def node(self, name: str, *addresses: str, pods: Sequence[str] = ()) -> None:
        """Add a node to the cluster."""
        where = [{"type": "InternalIP", "address": address} for address in addresses]
        where.append({"type": "Hostname", "address": name})
        meta, status = {"name": name}, {"addresses": where}
        body = {"metadata": meta, "spec": {"podCIDRs": list(pods)}, "status": status}
        self._ask("POST", "/api/v1/nodes", body)

    def label_node(self, name: str, **labels: str) -> None:
        """Change a node, though nothing of its addresses."""
        body = {"metadata": {"name": name, "labels": labels}}
        self._ask("PUT", f"/api/v1/nodes/{name}", body)

    def drop_node(self, name: str) -> None:
        """Take a node away."""
        self._ask("DELETE", f"/api/v1/nodes/{name}")

    def service_cidr(self, name: str, *cidrs: str) -> None:
        """Add a Service range."""
        body = {"metadata": {"name": name}, "spec": {"cidrs": list(cidrs)}}
        self._ask("POST", "/apis/networking.k8s.io/v1/servicecidrs", body)

    def api_server(self, *addresses: str) -> None:
        """Have these be where the API server is, as it says of itself."""
        own = ServiceKey("default", "kubernetes")
        self.slice("kubernetes", "", *addresses, key=own)

    def events(self, namespace: str = KEY.namespace) -> tuple[Event, ...]:
        """Return the Events of a namespace, the oldest first."""
        body = self._ask("GET", f"/api/v1/namespaces/{namespace}/events")
        found = msgspec.json.decode(body, type=_Events).items
        return tuple(sorted(found, key=lambda one: int(one.metadata.resource_version)))

    def drop_events(self, namespace: str = KEY.namespace) -> None:
        """Have the Events of a namespace expire."""
        self._ask("DELETE", f"/api/v1/namespaces/{namespace}/events")

    def end_namespace(self, name: str) -> None:
        """Begin to delete a namespace that something keeps from going."""
        body = {"metadata": {"name": name, "finalizers": ["registrar.internal/test"]}}
        self._ask("PUT", f"/api/v1/namespaces/{name}", body)
        self._ask("DELETE", f"/api/v1/namespaces/{name}")

    # --- what registrar asks -------------------------------------------------------------------

    def fault(
        self,
        fault: Fault,
        verb: str = "",
        resource: str = "",
        *,
        namespace: str = "",
        times: int | None = None,
    ) -> Rule:
        """Have requests of registrar, and nobody else's, meet a fault."""
        return self.server.faults.add(
            fault,
            verb=verb,
            resource=resource,
            namespace=namespace,
            user_agent=REGISTRAR,
            times=times,
        )

    def deafen(self) -> Rule:
        """Have registrar's watches say nothing, until the rule is ended."""
        return self.fault(Deaf())

    @property
    def requests(self) -> list[Seen]:
        """All that registrar has asked."""
        return [seen for seen in self.server.requests if seen.user_agent == REGISTRAR]

    @property
    def writes(self) -> list[str]:
        """What registrar has been granted to write, as `create endpoints`."""
        granted = [r for r in self.requests if r.verb in WRITES and 200 <= r.status < 300]
        return [f"{seen.verb} {seen.resource}" for seen in granted]

    def asked(self, *what: str) -> int:
        """Return how often registrar has asked for things like `list endpoints`."""
        return sum(f"{seen.verb} {seen.resource}" in what for seen in self.requests)

    # --- the way there -------------------------------------------------------------------------

    def _put(self, kind: type[ObjectT], key: ServiceKey, body: object) -> ObjectT:
        is_new = self.server.get(_KINDS[kind].name, key.namespace, key.name) is None
        method, name = ("POST", "") if is_new else ("PUT", key.name)
        return msgspec.json.decode(
            self._ask(method, _path(kind, key.namespace, name), body), type=kind
        )

    def _ask(self, method: str, path: str, body: object = None) -> bytes:
        sent = b"" if body is None else msgspec.json.encode(body)
        headers = {"user-agent": OTHERS, "content-type": "application/json"}
        response: Response = _at_once(self.server.handle(Request(method, path, {}, headers, sent)))
        assert response.status < 300, response.data.decode()
        return response.data


class _Events(msgspec.Struct):
    items: tuple[Event, ...]


class _Slices(msgspec.Struct):
    items: tuple[EndpointSlice, ...]


def _path(kind: type[ApiObject], namespace: str, name: str = "") -> str:
    resource = _KINDS[kind]
    return f"/{resource.api}/namespaces/{namespace}/{resource.name}/{name}".rstrip("/")


_T = TypeVar("_T")


def _at_once(work: Coroutine[object, object, _T]) -> _T:
    # Without a fault the server answers in one step, so a test can act between two of registrar's.
    try:
        work.send(None)
    except StopIteration as done:
        answer: _T = done.value
        return answer
    raise AssertionError("a request of the test's own met a fault")
