"""Carries requests to an API server, as who we are now.

A failure on the way comes out as ClusterUnreachable. It decodes nothing and repeats nothing.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from registrar.cluster.credentials import Credentials, Session
from registrar.errors import ClusterUnreachable

REQUEST_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
SILENCE_S = 90.0
"""A watch that says nothing for so long is made anew; bookmarks come about once a minute.

Only one that stands still takes that long: where packets are lost, keepalive tells earlier.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `target` is path and query; `body` what is sent as JSON, of a type `media`.

    The answer to a `stream` goes on for as long as it likes, but never silent.
    """

    method: str
    target: str
    body: object | None = None
    stream: bool = False
    media: str = "application/json"


class Reply(Protocol):
    """The answer: its head, and what comes after that as it comes."""

    status: int
    reason: str
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body, piece by piece."""
        ...


class Transport(Protocol):
    """A way to one API server, as one user. `server` is what people know it by."""

    server: str

    def send(self, request: Request) -> AbstractAsyncContextManager[Reply]:
        """Send a request; the reply can be read within the block."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class HttpTransport:
    """A Transport over HTTP."""

    def __init__(self, credentials: Credentials, user_agent: str) -> None:
        self._credentials = credentials
        self._user_agent = user_agent
        self.server = credentials.server

    async def aclose(self) -> None:
        """Close all connections."""
        await self._credentials.aclose()

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncGenerator[Reply]:
        """Send a request. Raise ClusterUnreachable where no answer comes."""
        with _translated(self.server):
            async with self._answer(request) as (response, session):
                # A token may have changed a moment ago; of what was refused nothing was done.
                is_out = response.status == 401 and await self._credentials.renew(session)
                if not is_out:
                    yield _HttpReply(response)
                    return
            async with self._answer(request) as (response, _):
                yield _HttpReply(response)

    @asynccontextmanager
    async def _answer(
        self, request: Request
    ) -> AsyncGenerator[tuple[aiohttp.ClientResponse, Session]]:
        async with self._credentials.session() as session:
            response = await self._ask(request, session)
            try:
                yield response, session
            finally:
                if request.stream:
                    response.close()
                else:
                    response.release()

    async def _ask(self, request: Request, session: Session) -> aiohttp.ClientResponse:
        limits = (
            aiohttp.ClientTimeout(None, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_S)
            if request.stream
            else aiohttp.ClientTimeout(REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        )
        headers = {
            "Accept": "application/json",
            "Content-Type": request.media,
            "User-Agent": self._user_agent,
        }
        if session.login.authorization is not None:
            headers["Authorization"] = session.login.authorization
        async with asyncio.timeout(REQUEST_TIMEOUT_S):  # a stream begins as soon as others end
            return await session.connections.request(
                request.method, f"{self.server}{request.target}", headers, request.body, limits
            )


class _HttpReply:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.reason = str(response.reason)
        self.headers: Mapping[str, str] = response.headers
        self._response = response

    def chunks(self) -> AsyncIterator[bytes]:
        return self._response.content.iter_any()


@contextmanager
def _translated(server: str) -> Generator[None]:
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        reason = f"its certificate is not trusted ({error.certificate_error})"
        raise ClusterUnreachable(f"{server}: {reason}") from None
    except aiohttp.ClientConnectorError as error:
        raise ClusterUnreachable(f"{server}: {_words(error.os_error)}") from None
    except aiohttp.ClientPayloadError:
        raise ClusterUnreachable(f"{server}: the connection broke in the middle of it") from None
    except TimeoutError:
        raise ClusterUnreachable(f"{server}: no answer in time") from None
    except (aiohttp.ClientError, OSError) as error:
        raise ClusterUnreachable(f"{server}: {str(error) or type(error).__name__}") from None


def _words(error: OSError) -> str:
    if error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno).lower()  # asyncio's own text repeats the address
    return error.strerror or str(error) or type(error).__name__
