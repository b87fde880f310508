"""One way to ask an API server, embedded or real, so that the same tests run against both.

It must never help one of them along: what a test sees is what the server answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

import looptime

from registrar.embedded import ApiServer, Request
from tests.lab import Lab

T = TypeVar("T")
Body = dict[str, Any] | list[Any] | bytes | None
GROUPS = {
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found

    @property
    def meta(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["metadata"]
        return found

    @property
    def message(self) -> str:
        return str(self.json["message"])


class Events:
    """The events of a watch, one after the other."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    def next(self) -> tuple[str, dict[str, Any]]:
        """Return the type and the object of the next event; ("END", {}) when there is no more."""
        line = next(self._lines, None)
        if line is None:
            return "END", {}
        event = json.loads(line)
        event["object"].get("metadata", {}).pop("managedFields", None)
        return event["type"], event["object"]

    def names(self, count: int) -> list[tuple[str, str]]:
        """Return type and name of the next events."""
        return [
            (kind, item["metadata"]["name"]) for kind, item in (self.next() for _ in range(count))
        ]


class Api(ABC):
    """An API server."""

    is_real: bool

    @abstractmethod
    def send(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer: ...

    @abstractmethod
    def stream(
        self, target: str, headers: Mapping[str, str]
    ) -> contextlib.AbstractContextManager[Iterator[bytes]]: ...

    @abstractmethod
    def compact(self) -> None:
        """Make every version until now too old for a list to go on at."""

    @abstractmethod
    def outdated(self, ns: str) -> tuple[str, str]:
        """Return a path, and a version that is too old to watch it from."""

    @abstractmethod
    def settle(self) -> None:
        """Let what controllers do go on for a moment."""

    def ask(
        self,
        method: str,
        path: str,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Answer:
        data = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        sent = {"content-type": "application/json"} if data else {}
        return self.send(method, _target(path, query or {}), data, {**sent, **(headers or {})})

    def get(self, path: str, **query: object) -> Answer:
        return self.ask("GET", path, query=query)

    def post(self, path: str, body: Body, **query: object) -> Answer:
        return self.ask("POST", path, body, query=query)

    def put(self, path: str, body: Body, **query: object) -> Answer:
        return self.ask("PUT", path, body, query=query)

    def delete(self, path: str, body: Body = None, **query: object) -> Answer:
        return self.ask("DELETE", path, body, query=query)

    def patch(self, path: str, body: Body, kind: str, **query: object) -> Answer:
        return self.ask("PATCH", path, body, {"content-type": f"application/{kind}"}, query)

    @contextlib.contextmanager
    def watch(self, path: str, **query: object) -> Iterator[Events]:
        with self.watch_with({}, path, **query) as events:
            yield events

    @contextlib.contextmanager
    def watch_with(
        self, headers: Mapping[str, str], path: str, **query: object
    ) -> Iterator[Events]:
        asked = {"watch": "true", "timeoutSeconds": 5, **query}
        with self.stream(_target(path, asked), headers) as lines:
            yield Events(lines)

    def version(self, path: str) -> str:
        """Return the resourceVersion that a list has now."""
        return str(self.get(path).meta["resourceVersion"])


def _target(path: str, query: Mapping[str, object]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def place(namespace: str, plural: str, name: str = "") -> str:
    """Return the path of a resource, or of one object."""
    root = GROUPS.get(plural, "/api/v1")
    return f"{root}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


class EmbeddedApi(Api):
    """An embedded API server in virtual time."""

    is_real = False

    def __init__(self) -> None:
        # In a thread of its own: the main thread's loops are pytest-asyncio's.
        self._thread = ThreadPoolExecutor(1)
        self._loop = self._thread.submit(looptime.new_event_loop, start=0).result()
        began = datetime(2026, 1, 1, tzinfo=UTC)
        self.server = ApiServer(
            now=lambda: began + timedelta(seconds=self._loop.time()), controllers=True
        )

    def close(self) -> None:
        self._run(self._loop.shutdown_asyncgens())
        self._thread.submit(self._loop.close).result()
        self._thread.shutdown()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(self._loop.run_until_complete, work).result(60)

    def send(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        asked = Request.to(method, target, headers=headers)
        request = Request(asked.method, asked.path, asked.query, asked.headers, body)
        response = self._run(self.server.handle(request))
        return Answer(response.status, response.data.decode(), response.headers)

    @contextlib.contextmanager
    def stream(self, target: str, headers: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        request = Request.to("GET", target, headers=headers)
        response = self._run(self.server.handle(request))
        assert response.status == 200
        body = response.body
        assert not isinstance(body, bytes)

        def lines() -> Iterator[bytes]:
            while (line := self._run(_next(body))) is not None:
                yield line

        try:
            yield lines()
        finally:
            self._run(_close(body))

    def compact(self) -> None:
        self.server.compact()

    def outdated(self, ns: str) -> tuple[str, str]:
        self.compact()
        return place(ns, "endpoints"), "1"

    def settle(self) -> None:
        self._run(asyncio.sleep(1))


async def _next(body: AsyncGenerator[bytes]) -> bytes | None:
    return await anext(body, None)


async def _close(body: AsyncGenerator[bytes]) -> None:
    await body.aclose()


class RealApi(Api):
    """The API server of a lab."""

    is_real = True

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._client = lab.api

    def send(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        response = self._client.request(method, target, content=body, headers=headers)
        return Answer(response.status_code, response.text, response.headers)

    @contextlib.contextmanager
    def stream(self, target: str, headers: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        with self._client.stream("GET", target, headers=headers) as response:
            assert response.status_code == 200
            yield (line.encode() for line in response.iter_lines())

    def compact(self) -> None:
        revision = int(self.version("/api/v1/namespaces"))
        body = json.dumps({"revision": revision, "physical": True})
        url = "http://127.0.0.1:2379/v3/kv/compaction"
        done = self._lab.run(["curl", "-sf", "-X", "POST", url, "-d", body])
        assert done.returncode == 0, done.stdout + done.stderr
        self._forget()

    def outdated(self, ns: str) -> tuple[str, str]:
        path = place(ns, "endpoints")
        version = self.version(path)
        self.post(path, {"metadata": {"name": "later"}})
        self._forget()
        return path, version

    def _forget(self) -> None:
        # It would still answer from memory.
        self._lab.api_server.stop()
        self._lab.api_server.start()

    def settle(self) -> None:
        pass
