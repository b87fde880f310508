"""Connections to an API server: whom they trust, and how they notice that nobody is there."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from registrar.cluster.login import Tls

KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
"""A connection whose packets are lost breaks after 30 s, also while nothing is said on it."""

READ_BUFFER = 2**21
"""An event of a watch is one line, and may be that long."""


class Connections:
    """Connections that trust the same and say the same of us. They close once nobody uses them."""

    def __init__(self, tls: Tls) -> None:
        """Read the files. Raise OSError or ssl.SSLError."""
        self._tls = tls
        self._context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file:
            self._context.load_cert_chain(tls.cert_file, tls.key_file)
        if not tls.verify:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        self._session: aiohttp.ClientSession | None = None
        self._users = 0
        self._is_retired = False

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: object | None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's, which is more than one figure
    ) -> aiohttp.ClientResponse:
        """Send a request with a body as JSON; return the answer's head. Raise what aiohttp does."""
        if self._session is None:
            # Each watch keeps a connection to itself: a limit would starve what is written.
            connector = aiohttp.TCPConnector(limit=0, ssl=self._context, socket_factory=_socket)
            # It would look for proxies and a netrc in threads, twice for each request.
            self._session = aiohttp.ClientSession(
                connector=connector, trust_env=False, read_bufsize=READ_BUFFER
            )
        return await self._session.request(
            method,
            url,
            headers=headers,
            data=None if body is None else json.dumps(body),
            timeout=timeout,
            server_hostname=self._tls.server_name,
            proxy=self._tls.proxy,
        )

    @asynccontextmanager
    async def used(self) -> AsyncGenerator[None]:
        """Keep them open for the block."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._is_retired and not self._users:
                await self.close()

    async def retire(self) -> None:
        """Close them once nobody uses them any more."""
        self._is_retired = True
        if not self._users:
            await self.close()

    async def close(self) -> None:
        """Close them."""
        if self._session is not None:
            await self._session.close()


def _socket(info: tuple[int, int, int, str, object]) -> socket.socket:
    family, kind, proto, *_ = info
    made = socket.socket(family, kind, proto)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
