"""Tells of each request to the API server: what it asked, how it was answered, how long it took.

It changes nothing of a request, and nothing of what it raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from registrar.cluster.transport import Reply, Request, Transport
from registrar.errors import ClusterError

_VERBS = {"POST": "create", "PUT": "replace", "PATCH": "merge", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `code` is the status of its answer, `none` if there was none.

    `seconds` is how long it took to its end, or, where it is a watch, to its beginning.
    """

    verb: str
    resource: str
    code: str
    seconds: float


class Listener(Protocol):
    """Is told of requests."""

    def asked(self, one: Asked) -> None:
        """Take note of a request."""
        ...

    def watch_broken(self, resource: str) -> None:
        """Take note of a watch that had begun, and has ended with an error."""
        ...


class Metered:
    """A Transport that tells of what it sends."""

    def __init__(self, transport: Transport, listener: Listener) -> None:
        self._transport = transport
        self._listener = listener
        self.server = transport.server

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncGenerator[Reply]:
        """Send a request."""
        began = _monotonic()
        resource, is_one = _asks_for(request.target)
        verb = _VERBS.get(request.method) or (
            "watch" if request.stream else "get" if is_one else "list"
        )
        code = "none"
        try:
            async with self._transport.send(request) as reply:
                code = str(reply.status)
                if request.stream:
                    self._listener.asked(Asked(verb, resource, code, _monotonic() - began))
                yield reply
        except ClusterError:
            if request.stream and code == "200":
                self._listener.watch_broken(resource)
            raise
        finally:
            if not request.stream or code == "none":
                self._listener.asked(Asked(verb, resource, code, _monotonic() - began))


def _asks_for(target: str) -> tuple[str, bool]:
    """Return the resource that a request is for, and whether it names one object of it."""
    steps = target.partition("?")[0].strip("/").split("/")
    steps = steps[2:] if steps[0] == "api" else steps[3:]
    if steps[0] == "namespaces":
        steps = steps[2:]
    return steps[0], len(steps) > 1


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
