"""What goes into the API server and what comes out of it, as values; and what a path means.

It must never know how requests are carried.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from registrar.embedded.resources import Resource, find
from registrar.embedded.values import Json, encode

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "GET": "get", "DELETE": "delete"}


class ConnectionLost(ConnectionError):
    """The connection breaks in place of an answer, or in the middle of one."""


@dataclass(frozen=True)
class Request:
    """A request. The names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def to(
        cls,
        method: str,
        target: str,
        body: Json = None,
        headers: Mapping[str, str] | None = None,
    ) -> Request:
        """Return a request for a path with its query, and a JSON body if there is one."""
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        sent = {"content-type": "application/json"} if body is not None else {}
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        data = b"" if body is None else encode(body)
        return cls(method, unquote(url.path), query, sent, data)


@dataclass(frozen=True)
class Response:
    """An answer. The body of a watch is a stream, one line of JSON for each event.

    The stream raises ConnectionLost where the connection would break.
    """

    status: int
    body: bytes | AsyncGenerator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """The body of what is no watch. Raise TypeError for a watch."""
        if not isinstance(self.body, bytes):
            raise TypeError("this is a watch: its body is a stream")
        return self.body


@dataclass(frozen=True)
class Seen:
    """A request, as it was answered. `status` is 0 where there was no answer."""

    method: str
    verb: str
    resource: str
    namespace: str
    name: str
    user_agent: str
    status: int
    seconds: float
    """The event loop's time at which it came."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about, and the verb by which the real API server calls it."""

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def target_of(request: Request) -> Target | None:
    """Return what a request is about, None if it is not about objects."""
    parts = request.path.strip("/").split("/")
    if parts[:2] == ["api", "v1"]:
        group, rest = "", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3 and parts[2] == "v1":
        group, rest = parts[1], parts[3:]
    else:
        return None
    namespace = ""
    # /namespaces/NAME/PLURAL is within a namespace, /namespaces/NAME/status is of one.
    if len(rest) > 2 and rest[0] == "namespaces" and find(group, rest[2]):
        namespace, rest = rest[1], rest[2:]
    resource = find(group, rest[0]) if rest else None
    if resource is None or len(rest) > 3:
        return None
    if bool(namespace) > resource.namespaced:
        return None
    name, subresource = ([*rest[1:], "", ""])[:2]
    if name and resource.namespaced and not namespace:
        return None
    return Target(_verb(request, name), resource, namespace, name, subresource)


def is_true(query: Mapping[str, str], key: str) -> bool:
    """Say whether a query's flag is set."""
    return query.get(key, "false") not in {"", "false", "0"}


def _verb(request: Request, name: str) -> str:
    verb = VERBS.get(request.method, request.method.lower())
    if name:
        return verb
    if verb == "get":
        return "watch" if is_true(request.query, "watch") else "list"
    return "deletecollection" if verb == "delete" else verb
