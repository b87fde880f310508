"""The demo's backends: servers on this machine's loopback that stand for hosts elsewhere.

No loopback address is ever published, so each goes by an address that RFC 5737 keeps for examples.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address

from registrar.model import Address, CheckResult, Outcome, Target
from registrar.probe.engine import check

_NET = IPv4Address("192.0.2.0")
PORT = 8080


class DemoBackend:
    """One backend. `address` and PORT are what is published, a free loopback port what serves."""

    def __init__(self, number: int) -> None:
        self.address: Address = _NET + number
        self._port = 0
        self._server: asyncio.Server | None = None

    @property
    def is_up(self) -> bool:
        """Whether it serves."""
        return self._server is not None

    @property
    def port(self) -> int:
        """The loopback port, the same for all its lives."""
        return self._port

    async def start(self) -> None:
        """Serve; a second time does nothing."""
        if self._server is None:
            self._server = await asyncio.start_server(_answer, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from now on."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    writer.close()


class Checker:
    """Checks the demo's backends where they really are."""

    def __init__(self, backends: list[DemoBackend]) -> None:
        self._backends = {backend.address: backend for backend in backends}

    async def __call__(self, target: Target) -> CheckResult:
        """Run one check; nobody but the demo's own backends is ever dialled."""
        backend = self._backends.get(target.address)
        if backend is None or target.port != PORT:
            return CheckResult(Outcome.FAILED, "no backend of the demo is there")
        here = IPv4Address("127.0.0.1")
        return await check(replace(target, address=here, port=backend.port))
