"""Talks to the API server in typed objects: our own decode of just the fields in use.

Every failure comes out as a ClusterError; nothing is retried here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from registrar.backoff import retry_after
from registrar.cluster.objects import (
    ApiObject,
    DeleteOptions,
    Endpoints,
    EndpointSlice,
    Event,
    Lease,
    ListMeta,
    Node,
    Preconditions,
    Service,
    ServiceCIDR,
    Status,
)
from registrar.cluster.rights import with_remedy
from registrar.cluster.transport import Reply, Request, Transport
from registrar.errors import (
    MALFORMED,
    ClusterBusy,
    ClusterError,
    Conflict,
    Expired,
    Forbidden,
    NamespaceTerminating,
    NotFound,
    Rejected,
    Unauthorized,
)

ObjectT = TypeVar("ObjectT", bound=ApiObject)

PAGE = 500

MOST_BYTES = 256 * 1024 * 1024
MOST_LINE_BYTES = 16 * 1024 * 1024
"""A page, and an object of a watch: many times what etcd lets them be."""

MOST_PATIENCE_S = 300.0
"""Who asks for more than this is asked again all the same."""


@dataclass(frozen=True, slots=True)
class Resource(Generic[ObjectT]):
    """A kind of object: its plural name, its type, and the API that has it."""

    name: str
    type: type[ObjectT]
    api: str = "api/v1"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which objects of a kind: all of the cluster's, those of a namespace, the one of a name.

    Or those with one of the labels, as a selector says it.
    """

    namespace: str = ""
    name: str = ""
    labels: str = ""

    @property
    def query(self) -> Mapping[str, str]:
        """What a list or a watch asks for; a right to one name covers only what asks for it."""
        asked = {"fieldSelector": f"metadata.name={self.name}"} if self.name else {}
        return asked | ({"labelSelector": self.labels} if self.labels else {})


SERVICES = Resource("services", Service)
ENDPOINTS = Resource("endpoints", Endpoints)
SLICES = Resource("endpointslices", EndpointSlice, "apis/discovery.k8s.io/v1")
NODES = Resource("nodes", Node)
SERVICE_CIDRS = Resource("servicecidrs", ServiceCIDR, "apis/networking.k8s.io/v1")
EVENTS = Resource("events", Event)
LEASES = Resource("leases", Lease, "apis/coordination.k8s.io/v1")


class ObjectList(msgspec.Struct, Generic[ObjectT], frozen=True):
    """A page of a list."""

    items: tuple[ObjectT, ...]
    metadata: ListMeta = ListMeta()


class Client:
    """One API server, as one user."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def server(self) -> str:
        """What people know the API server by."""
        return self._transport.server

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def through(self, wrap: Callable[[Transport], Transport]) -> Client:
        """Return a client over the same connections, whose requests pass through a wrapper."""
        return Client(wrap(self._transport))

    async def pages(
        self, resource: Resource[ObjectT], scope: Scope
    ) -> AsyncGenerator[ObjectList[ObjectT]]:
        """Yield a list in pages."""
        query = {**scope.query, "limit": str(PAGE)}
        while True:
            body = await self._request("GET", _target(resource, scope.namespace, query=query))
            page = _decode(body, ObjectList[resource.type])  # type: ignore[name-defined]  # a value
            yield page
            if not page.metadata.continue_:
                return
            query["continue"] = page.metadata.continue_

    async def get(self, resource: Resource[ObjectT], namespace: str, name: str) -> ObjectT:
        """Return an object as the API server has it now."""
        body = await self._request("GET", _target(resource, namespace, name))
        return _decode(body, resource.type)

    async def create(self, resource: Resource[ObjectT], new: ObjectT) -> ObjectT:
        """Create an object and return it as stored."""
        target = _target(resource, new.metadata.namespace)
        return _decode(await self._request("POST", target, new), resource.type)

    async def replace(self, resource: Resource[ObjectT], new: ObjectT) -> ObjectT:
        """Replace an object, on condition of its uid and resourceVersion; return it as stored."""
        target = _target(resource, new.metadata.namespace, new.metadata.name)
        return _decode(await self._request("PUT", target, new), resource.type)

    async def delete(self, resource: Resource[ObjectT], known: ObjectT) -> None:
        """Delete an object, on condition that it still is as it is known."""
        meta = known.metadata
        conditions = Preconditions(uid=meta.uid, resource_version=meta.resource_version)
        target = _target(resource, meta.namespace, meta.name)
        await self._request("DELETE", target, DeleteOptions(preconditions=conditions))

    async def merge(
        self, resource: Resource[ObjectT], namespace: str, name: str, change: msgspec.Struct
    ) -> ObjectT:
        """Change the fields of an object that `change` has; return it as stored."""
        target = _target(resource, namespace, name)
        return _decode(await self._request("PATCH", target, change), resource.type)

    @asynccontextmanager
    async def watch(
        self, resource: Resource[ObjectT], scope: Scope, version: str, seconds: int
    ) -> AsyncGenerator[AsyncGenerator[bytes]]:
        """Open a watch from a resourceVersion on; what it gives is lines, an event each."""
        query = {
            **scope.query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        request = Request("GET", _target(resource, scope.namespace, query=query), stream=True)
        async with self._transport.send(request) as reply:
            if reply.status != 200:
                raise _error(reply, await _body(reply))
            yield _lines(reply.chunks())

    async def _request(self, method: str, target: str, body: msgspec.Struct | None = None) -> bytes:
        sent = None if body is None else msgspec.to_builtins(body)
        media = "application/merge-patch+json" if method == "PATCH" else "application/json"
        async with self._transport.send(Request(method, target, sent, media=media)) as reply:
            data = await _body(reply)
        if reply.status >= 300:
            raise _error(reply, data)
        return data


def _target(
    resource: Resource[ObjectT],
    namespace: str,
    name: str = "",
    query: Mapping[str, str] | None = None,
) -> str:
    within = f"/namespaces/{namespace}" if namespace else ""
    path = f"/{resource.api}{within}/{resource.name}"
    path += f"/{name}" if name else ""
    return path + (f"?{urlencode(query)}" if query else "")


_T = TypeVar("_T")


def _decode(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except MALFORMED as error:
        raise ClusterBusy(f"the API server's answer can't be read: {error}") from None


async def _body(reply: Reply) -> bytes:
    body = bytearray()
    async for chunk in reply.chunks():
        body += chunk
        if len(body) > MOST_BYTES:
            raise ClusterBusy(f"the API server's answer is larger than {MOST_BYTES:,} bytes")
    return bytes(body)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    # An object may be longer than any buffer that is split by lines.
    begun = bytearray()
    async for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            if line := bytes(begun) + end:
                yield line
            begun.clear()
        begun += rest
        if len(begun) > MOST_LINE_BYTES:
            raise ClusterBusy(f"a line of a watch is longer than {MOST_LINE_BYTES:,} bytes")


_KINDS: dict[int, type[ClusterError]] = {
    401: Unauthorized,
    404: NotFound,
    409: Conflict,
    410: Expired,
}


def error_of(status: Status, retry_after: float | None = None) -> ClusterError:
    """Return the exception that a Status of the API server stands for."""
    causes = status.details.causes if status.details else ()
    if any(cause.reason == "NamespaceTerminating" for cause in causes):
        return NamespaceTerminating(status.message)
    if status.code == 403:
        return Forbidden(with_remedy(status.message))
    if status.code in _KINDS:
        return _KINDS[status.code](status.message)
    if status.code == 429 or status.code >= 500:
        return ClusterBusy(status.message, retry_after=retry_after)
    return Rejected(status.message)


def _error(reply: Reply, body: bytes) -> ClusterError:
    try:
        status = msgspec.json.decode(body, type=Status)
    except MALFORMED:
        status = Status()
    status = msgspec.structs.replace(
        status, message=status.message or reply.reason, code=reply.status
    )
    after = retry_after(reply.headers)
    return error_of(status, None if after is None else min(after, MOST_PATIENCE_S))
