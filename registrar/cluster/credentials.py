"""Who we are to the API server and whom we trust, read again when their files change.

What can't be read leaves in force what was read before. No error and no log line holds more of a
file than its name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeAlias

import aiohttp
import structlog
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from registrar.errors import ClusterError
from registrar.files import Signature, file_signature, in_thread

LOOK_S = 2.0
"""So long after a change of a file it is heeded."""

RENEW_S = 1.0
"""So often a refusal has everything read again."""

READ_S = 15.0
"""A plugin that is asked for credentials has so long."""

BEFORE_EXPIRY = timedelta(minutes=1)

KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
"""A connection whose packets are lost breaks after 30 s, also while nothing is said on it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Login:
    """What was read: the settings, the header that says who we are, the files of both.

    `expires` is when a plugin says that it has to be asked again.
    """

    configuration: Configuration = field(repr=False)
    authorization: str | None = field(repr=False)
    files: tuple[Path, ...]
    expires: datetime | None = None

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self.configuration.host)

    @property
    def tls(self) -> tuple[object, ...]:
        """What connections are made by."""
        said = self.configuration
        files = (said.ssl_ca_cert, said.cert_file, said.key_file)
        return (*files, said.verify_ssl, said.tls_server_name, said.proxy)


class Connections(RESTClientObject):  # type: ignore[misc]  # it carries no types
    """Connections that trust the same and say the same of us. They close once nobody uses them."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(configuration)
        self._users = 0
        self._is_retired = False

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

    def _create_connector(self) -> aiohttp.TCPConnector:
        # Each watch keeps a connection to itself: a limit would starve what is written.
        return aiohttp.TCPConnector(limit=0, ssl=self.ssl_context, socket_factory=_socket)


Load: TypeAlias = Callable[[], Awaitable[Login]]
_Signatures: TypeAlias = tuple[Signature | None, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """What one request goes out by."""

    login: Login
    connections: Connections


class Credentials:
    """Keeps what `load` returns up to date. Get one from `read`."""

    def __init__(self, load: Load, session: Session, seen: _Signatures) -> None:
        self.server = session.login.server
        said = session.login.configuration
        self.is_verified = self.server.startswith("https:") and bool(said.verify_ssl)
        self._load = load
        self._session = session
        self._seen = seen
        self._reading = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._renewed = float("-inf")
        self._trouble: str | None = None

    @classmethod
    async def read(cls, load: Load) -> Credentials:
        """Read everything for the first time. Raise what `load` raises, or OSError."""
        login = await load()
        seen = await in_thread(partial(_signatures, login.files))
        connections = await in_thread(partial(Connections, login.configuration))
        return cls(load, Session(login, connections), seen)

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        """Lend what a request is sent by."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        session = self._session
        async with session.connections.used():
            yield session

    async def renew(self, refused: Session) -> bool:
        """Read everything again after a refusal; return whether there is another session now."""
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if self._session is refused and now - self._renewed >= RENEW_S:
                self._renewed = now
                await self._read()
            found = self._session
            return (found.connections, found.login.authorization) != (
                refused.connections,
                refused.login.authorization,
            )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._session.connections.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._look()

    async def _look(self) -> None:
        login = self._session.login
        seen = await in_thread(partial(_signatures, login.files))
        expires = login.expires
        is_over = expires is not None and datetime.now(UTC) >= expires - BEFORE_EXPIRY
        if seen != self._seen or is_over:
            async with self._reading:
                await self._read()

    async def _read(self) -> None:
        try:
            # Before it is read: what changes meanwhile is read again.
            seen = await in_thread(partial(_signatures, self._session.login.files))
            async with asyncio.timeout(READ_S):
                login = await self._load()
            if login.files != self._session.login.files:
                seen = await in_thread(partial(_signatures, login.files))
            await self._take(login, seen)
        except TimeoutError:
            self._fail("no answer in time")
        except (ClusterError, OSError) as error:
            self._fail(str(error))

    async def _take(self, login: Login, seen: _Signatures) -> None:
        old = self._session
        if login.server != self.server:
            self._fail(f"another server is named now, {login.server}; restart to go there")
            return
        if old.login.authorization and not login.authorization:  # a plugin has failed, say
            self._fail("there is no token any more")
            return
        is_same = login.tls == old.login.tls and _of_tls(login, seen) == _of_tls(
            old.login, self._seen
        )
        connections = old.connections
        if not is_same:
            try:
                connections = await in_thread(partial(Connections, login.configuration))
            except ssl.SSLError:
                names = ", ".join(map(str, login.files))
                self._fail(f"no certificates in PEM form, or a key that is another's: {names}")
                return
        self._seen, self._trouble = seen, None
        self._session = Session(login, connections)
        if is_same and login.authorization == old.login.authorization:
            return
        log.info(
            "credentials-renewed",
            token=login.authorization != old.login.authorization,
            certificates=not is_same,
        )
        if not is_same:
            await old.connections.retire()

    def _fail(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("credentials-not-renewed", error=trouble)


def _signatures(files: tuple[Path, ...]) -> _Signatures:
    return tuple(map(_signature, files))


def _signature(file: Path) -> Signature | None:
    try:
        return file_signature(file)
    except OSError:
        return None


def _of_tls(login: Login, seen: _Signatures) -> dict[str, Signature | None]:
    names = {str(name) for name in login.tls[:3] if name}
    return {str(f): s for f, s in zip(login.files, seen, strict=True) if str(f) in names}


def _socket(info: tuple[int, int, int, str, object]) -> socket.socket:
    family, kind, proto, *_ = info
    made = socket.socket(family, kind, proto)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
