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
from http import HTTPStatus

import aiohttp
from yarl import URL

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
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class HttpClient:
    """Lends a client that trusts what the TLS files say now.

    `socket` is the path of a unix socket to connect to, whatever host a URL names. Clients may
    share a reader of their TLS files.
    """

    def __init__(
        self, context: Context, tls: Tls | TlsReader | None = None, *, socket: str | None = None
    ) -> None:
        self._tls = tls if isinstance(tls, TlsReader) else TlsReader(tls or Tls(), context)
        self._socket = socket

    @contextlib.asynccontextmanager
    async def lent(self) -> AsyncIterator[aiohttp.ClientSession]:
        """Lend a client for the block. Raise SourceError if the TLS files can't be used."""
        verify = await self._tls.read()
        connector: aiohttp.BaseConnector
        if self._socket is not None:
            connector = aiohttp.UnixConnector(self._socket)
        else:
            connector = aiohttp.TCPConnector(
                ssl=verify, resolver=aiohttp.ThreadedResolver(), use_dns_cache=False
            )
        # One for each block: whatever becomes of its questions, their connections end with it.
        # Costly is only the ssl context, which is kept. Deadlines are registrar's own, it follows
        # no environment, keeps no cookies, and counts what it decompresses.
        client = aiohttp.ClientSession(
            connector=connector,
            timeout=_NO_TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        try:
            yield client
        finally:
            await asyncio.shield(client.close())


_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None)


async def fetch(
    client: aiohttp.ClientSession,
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
        return Fetched(response.status, response.headers, body)


@contextlib.asynccontextmanager
async def opened(
    client: aiohttp.ClientSession,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    accept: Collection[int] = (200,),
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send a GET and lend the answer, whose body is still to be read: for streams without end.

    Raise SourceError, also from within the block, for a failure or another status.
    """
    parsed = _parsed(url)
    if parsed.scheme not in {"http", "https"}:
        raise SourceError(f"{_place(parsed)}: neither an http nor an https URL")
    with _translated(_place(parsed)):
        asked = {"Accept-Encoding": "gzip", **(headers or {})}
        if params is not None:
            parsed = parsed.update_query(params)
        try:
            response = await client.get(parsed, headers=asked, allow_redirects=False)
        except aiohttp.ClientError:
            raise  # some are ValueErrors too
        except ValueError:
            words = "the request can't be sent as it is; check the URL and the token's file"
            raise SourceError(f"{_place(parsed)}: {words}") from None
        async with response:
            if response.status not in accept:
                raise _refused(response)
            yield response


async def _read(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    # Not httpx's own decoding: it would unpack a bomb before anybody counts.
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip"}:
        raise SourceError(f"{_place(response.url)}: the answer is compressed unasked for")
    inflate = None if encoding == "identity" else zlib.decompressobj(wbits=31)
    body = bytearray()
    async for chunk in response.content.iter_any():
        room = most_bytes + 1 - len(body)
        body += chunk[:room] if inflate is None else inflate.decompress(chunk, room)
        if len(body) > most_bytes:
            raise SourceError(
                f"{_place(response.url)}: the answer is larger than {most_bytes:,} bytes"
            )
    if inflate is not None and not inflate.eof:
        raise SourceError(f"{_place(response.url)}: the answer is cut short")
    return bytes(body)


def _refused(response: aiohttp.ClientResponse) -> SourceError:
    status = response.status
    words = f"{_place(response.url)}: status {status}"
    with contextlib.suppress(ValueError):
        words += f" {HTTPStatus(status).phrase}"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        words += "; check the token, or the certificate, and its rights"
    elif status == HTTPStatus.NOT_FOUND:
        words += "; check the path"
    elif 300 <= status < 400:
        words += "; redirects are not followed, write the URL that it leads to"
    return SourceError(words, retry_after=retry_after(response.headers))


def _parsed(url: str) -> URL:
    # What it is made of is sent as it stands.
    with contextlib.suppress(ValueError):
        if url.isprintable():
            return URL(url, encoded=True)
    raise SourceError("not a URL; write one such as https://host.example:8443/path")


def _place(url: URL) -> str:
    bare = url.with_query(None).with_fragment(None)
    return str(bare.with_user(None) if bare.absolute else bare)


@contextlib.contextmanager
def _translated(place: str) -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, ConnectionError) as error:
        raise SourceError(f"{place}: {_words(error)}") from None
    except zlib.error:
        raise SourceError(f"{place}: the answer can't be decompressed") from None
    except ssl.SSLError as error:
        raise SourceError(f"{place}: {_tls_words(error)}") from None


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause: Exception = error.certificate_error
    else:
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ssl.SSLError):
        return _tls_words(cause)
    if isinstance(cause, socket.gaierror):
        return f"the host's name can't be resolved: {cause.strerror}"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return f"can't be reached: {os.strerror(number)}" if number else "can't be reached"
    if isinstance(error, aiohttp.InvalidURL):
        return "not a URL; correct it"
    if isinstance(error, _BROKEN_OFF):
        return "the answer breaks off, or is not HTTP"
    return "the connection broke"


_BROKEN_OFF = (
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
)


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; check caFile, serverName"
    reason = (error.reason or "it broke").replace("_", " ").lower()
    return f"TLS failed: {reason}; check the port, certFile and keyFile"
