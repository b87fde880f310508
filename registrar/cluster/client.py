"""Talks to the API server: the kubernetes package's transport, and our own typed decode.

Every failure comes out as a ClusterError; nothing is retried here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient

from registrar.cluster.objects import ApiObject, Endpoints, ListMeta, Service, Status
from registrar.errors import (
    ClusterBusy,
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Expired,
    Forbidden,
    NotFound,
    Rejected,
    Unauthorized,
)

REQUEST_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
SILENCE_S = 90.0
"""A watch that says nothing for so long is made anew; bookmarks come about once a minute."""

ObjectT = TypeVar("ObjectT", bound=ApiObject)


@dataclass(frozen=True, slots=True)
class Resource(Generic[ObjectT]):
    """A kind of object: its plural name in the core group, and its type."""

    name: str
    type: type[ObjectT]


SERVICES = Resource("services", Service)
ENDPOINTS = Resource("endpoints", Endpoints)


class ObjectList(msgspec.Struct, Generic[ObjectT], frozen=True):
    """A page of a list."""

    items: tuple[ObjectT, ...]
    metadata: ListMeta = ListMeta()


class Client:
    """One API server, as one user."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self.server: str = api.configuration.host

    async def aclose(self) -> None:
        """Close all connections."""
        await self._api.close()

    async def list_page(
        self, resource: Resource[ObjectT], namespace: str, limit: int, token: str
    ) -> ObjectList[ObjectT]:
        """Return a page of at most `limit` objects, the first one where `token` is empty."""
        query = {"limit": str(limit)} | ({"continue": token} if token else {})
        body = await self._request("GET", _path(resource, namespace), query)
        return _decode(body, ObjectList[resource.type])  # type: ignore[name-defined]

    async def get(self, resource: Resource[ObjectT], namespace: str, name: str) -> ObjectT:
        """Return an object as the API server has it now."""
        body = await self._request("GET", _path(resource, namespace, name))
        return _decode(body, resource.type)

    async def create(self, resource: Resource[ObjectT], new: ObjectT) -> ObjectT:
        """Create an object and return it as stored."""
        path = _path(resource, new.metadata.namespace)
        return _decode(await self._request("POST", path, body=new), resource.type)

    async def replace(self, resource: Resource[ObjectT], new: ObjectT) -> ObjectT:
        """Replace an object, on condition of its uid and resourceVersion; return it as stored."""
        path = _path(resource, new.metadata.namespace, new.metadata.name)
        return _decode(await self._request("PUT", path, body=new), resource.type)

    @asynccontextmanager
    async def watch(
        self, resource: Resource[ObjectT], namespace: str, version: str, seconds: int
    ) -> AsyncGenerator[AsyncGenerator[bytes]]:
        """Open a watch from a resourceVersion on; what it gives is lines, an event each."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        limits = aiohttp.ClientTimeout(None, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_S)
        with _translated(self.server):
            response = await self._send("GET", _path(resource, namespace), query, None, limits)
            try:
                if response.status != 200:  # noqa: PLR2004
                    raise _error(response, await response.read())
                yield _lines(response)
            finally:
                response.close()

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: ApiObject | None = None,
    ) -> bytes:
        limits = aiohttp.ClientTimeout(REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        with _translated(self.server):
            response = await self._send(method, path, query or {}, body, limits)
            async with response:
                data = await response.read()
        if response.status >= 300:  # noqa: PLR2004
            raise _error(response, data)
        return data

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: ApiObject | None,
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
        url = f"{self.server}{path}" + (f"?{urlencode(query)}" if query else "")
        answer = await self._api.rest_client.request(
            method,
            url,
            headers=headers | dict(self._api.default_headers),
            body=None if body is None else msgspec.to_builtins(body),
            _request_timeout=limits,
        )
        response: aiohttp.ClientResponse = answer.response
        return response


def _path(resource: Resource[ObjectT], namespace: str, name: str = "") -> str:
    path = f"/api/v1/namespaces/{namespace}/{resource.name}"
    return f"{path}/{name}" if name else path


_T = TypeVar("_T")


def _decode(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise ClusterBusy(f"the API server's answer can't be read: {error}") from None


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    # Not readline(): it gives up on objects that are larger than its buffer.
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


@contextmanager
def _translated(server: str) -> Generator[None]:
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        reason = f"its certificate is not trusted ({error.certificate_error})"
        raise ClusterUnreachable(f"{server}: {reason}") from None
    except aiohttp.ClientConnectorError as error:
        raise ClusterUnreachable(f"{server}: {_words(error.os_error)}") from None
    except TimeoutError:
        raise ClusterUnreachable(f"{server}: no answer in time") from None
    except (aiohttp.ClientError, OSError) as error:
        raise ClusterUnreachable(f"{server}: {str(error) or type(error).__name__}") from None


def _words(error: OSError) -> str:
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno).lower()  # asyncio's own text repeats the address
    return error.strerror or str(error) or type(error).__name__


_KINDS: dict[int, type[ClusterError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
}


def error_of(status: Status, retry_after: float | None = None) -> ClusterError:
    """Return the exception that a Status of the API server stands for."""
    if status.code in _KINDS:
        return _KINDS[status.code](status.message)
    if status.code == 429 or status.code >= 500:  # noqa: PLR2004
        return ClusterBusy(status.message, retry_after=retry_after)
    return Rejected(status.message)


def _error(response: aiohttp.ClientResponse, body: bytes) -> ClusterError:
    try:
        message = msgspec.json.decode(body, type=Status).message
    except msgspec.MsgspecError:
        message = ""
    after = response.headers.get("Retry-After", "")
    status = Status(message=message or str(response.reason), code=response.status)
    return error_of(status, float(after) if after.isdigit() else None)
