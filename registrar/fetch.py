"""Asks over HTTP as a source needs it: capped, without redirects, every failure a SourceError.

A message names scheme, host and path: never what else a URL holds, a header, or a body.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from registrar.backoff import retry_after
from registrar.context import Context
from registrar.errors import SourceError
from registrar.tls import Tls, TlsReader

MOST_BYTES = 32 * 1024 * 1024
"""Room for 100,000 backends with some 300 bytes each."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer, decompressed."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)


class HttpClient:
    """Lends an httpx client that trusts what the TLS files say now.

    `socket` is the path of a unix socket to connect to, whatever host a URL names. Clients may
    share a reader of their TLS files.
    """

    def __init__(
        self, context: Context, tls: Tls | TlsReader | None = None, *, socket: str | None = None
    ) -> None:
        self._tls = tls if isinstance(tls, TlsReader) else TlsReader(tls or Tls(), context)
        self._socket = socket

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a client for the block. Raise SourceError if the TLS files can't be used."""
        verify = await self._tls.read()
        transport = httpx.AsyncHTTPTransport(
            verify=verify, uds=self._socket, trust_env=False, limits=_LIMITS
        )
        # One for each block: a client that lives on never closes the connections of questions that
        # were cancelled at the wrong moment. Costly is only the ssl context, which is kept.
        # Deadlines are registrar's own, and it follows no environment.
        client = httpx.AsyncClient(transport=transport, timeout=_NO_TIMEOUT, trust_env=False)
        try:
            yield client
        finally:
            await asyncio.shield(client.aclose())


_NO_TIMEOUT = httpx.Timeout(None)
_LIMITS = httpx.Limits(max_connections=None)


async def fetch(
    client: httpx.AsyncClient,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    accept: Collection[int] = (200,),
    most_bytes: int = MOST_BYTES,
) -> Fetched:
    """Return the whole answer to a GET. Raise SourceError for any other ending.

    `accept`: the statuses that are an answer. `most_bytes` are counted once decompressed.
    """
    async with opened(client, url, headers=headers, params=params, accept=accept) as response:
        body = await _read(response, most_bytes)
        return Fetched(response.status_code, response.headers, body)


@contextlib.asynccontextmanager
async def opened(
    client: httpx.AsyncClient,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    accept: Collection[int] = (200,),
) -> AsyncIterator[httpx.Response]:
    """Send a GET and lend the answer, whose body is still to be read: for streams without end.

    Raise SourceError, also from within the block, for a failure or another status.
    """
    with _translated(url):
        asked = {"Accept-Encoding": "gzip", **(headers or {})}
        async with client.stream(
            "GET", url, headers=asked, params=params, follow_redirects=False
        ) as response:
            if response.status_code not in accept:
                raise _refused(response)
            yield response


async def _read(response: httpx.Response, most_bytes: int) -> bytes:
    # Not httpx's own decoding: it would unpack a bomb before anybody counts.
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip"}:
        raise SourceError(f"{_place(response.url)}: the answer is compressed unasked for")
    inflate = None if encoding == "identity" else zlib.decompressobj(wbits=31)
    body = bytearray()
    async for chunk in response.aiter_raw():
        room = most_bytes + 1 - len(body)
        body += chunk[:room] if inflate is None else inflate.decompress(chunk, room)
        if len(body) > most_bytes:
            raise SourceError(
                f"{_place(response.url)}: the answer is larger than {most_bytes:,} bytes"
            )
    if inflate is not None and not inflate.eof:
        raise SourceError(f"{_place(response.url)}: the answer is cut short")
    return bytes(body)


def _refused(response: httpx.Response) -> SourceError:
    status = response.status_code
    words = f"{_place(response.url)}: status {status}"
    if phrase := httpx.codes.get_reason_phrase(status):
        words += f" {phrase}"
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        words += "; check the token, or the certificate, and its rights"
    elif status == httpx.codes.NOT_FOUND:
        words += "; check the path"
    elif httpx.codes.is_redirect(status):
        words += "; redirects are not followed, write the URL that it leads to"
    return SourceError(words, retry_after=retry_after(response.headers))


def _place(url: httpx.URL) -> str:
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise SourceError("not a URL; write one such as https://host.example:8443/path") from None
    place = _place(parsed)
    try:
        yield
    except httpx.HTTPError as error:
        raise SourceError(f"{place}: {_words(error)}") from None
    except httpx.InvalidURL:
        raise SourceError(f"{place}: not a URL; correct it") from None
    except zlib.error:
        raise SourceError(f"{place}: the answer can't be decompressed") from None
    except ssl.SSLError as error:
        raise SourceError(f"{place}: {_tls_words(error)}") from None
    except ConnectionError:
        raise SourceError(f"{place}: the connection broke") from None


def _words(error: httpx.HTTPError) -> str:
    for cause in _causes(error) if isinstance(error, httpx.ConnectError) else ():
        if isinstance(cause, ssl.SSLError):
            return _tls_words(cause)
        if isinstance(cause, socket.gaierror):
            return f"the host's name can't be resolved: {cause.strerror}"
        if isinstance(cause, OSError) and cause.errno:
            return f"can't be reached: {os.strerror(cause.errno)}"
    return next(words for kind, words in _WORDS if isinstance(error, kind))


_WORDS: tuple[tuple[type[httpx.HTTPError], str], ...] = (
    (httpx.TimeoutException, "no answer in time"),
    (httpx.ConnectError, "can't be reached"),
    (httpx.UnsupportedProtocol, "neither an http nor an https URL"),
    (
        httpx.LocalProtocolError,
        "the request can't be sent as it is; check the URL and the token's file",
    ),
    (httpx.RemoteProtocolError, "the answer breaks off, or is not HTTP"),
    (httpx.HTTPError, "the connection broke"),
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        if isinstance(found, BaseExceptionGroup):  # one for each address that a name has
            yield from _causes(found.exceptions[0])
        found = found.__cause__ or found.__context__


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; check caFile, serverName"
    reason = (error.reason or "it broke").replace("_", " ").lower()
    return f"TLS failed: {reason}; check the port, certFile and keyFile"
