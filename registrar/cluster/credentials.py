"""Who we are to the API server and whom we trust, read again when their files change.

What can't be read leaves in force what was read before. No error and no log line holds more of a
file than its name.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeAlias

import structlog

from registrar.cluster.connections import Connections
from registrar.cluster.login import Login
from registrar.errors import ClusterError
from registrar.file_reader import Signature, file_signature
from registrar.threads import in_thread

LOOK_S = 10.0
"""So long after a change of a file it is heeded."""

RENEW_S = 1.0
"""So often a refusal has everything read again."""

READ_S = 15.0
"""A plugin that is asked for credentials has so long."""

BEFORE_EXPIRY = timedelta(minutes=1)

log = structlog.get_logger()


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
        self.is_verified = self.server.startswith("https:") and session.login.tls.verify
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
        connections = await in_thread(partial(Connections, login.tls))
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
                connections = await in_thread(partial(Connections, login.tls))
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


def _of_tls(login: Login, seen: _Signatures) -> dict[Path, Signature | None]:
    return {f: s for f, s in zip(login.files, seen, strict=True) if f in login.tls.files}
