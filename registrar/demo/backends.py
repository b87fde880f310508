"""The demo's backends: servers on this machine's loopback that stand for hosts elsewhere.

No loopback address is ever published, so each goes by an address that RFC 5737 keeps for examples.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address

from registrar.model import Address, Target

_NET = IPv4Address("192.0.2.0")
_HERE = IPv4Address("127.0.0.1")
PORT = 8080
NOBODY = 1
"""A port on which nobody listens."""


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


def whereabouts(backends: Iterable[DemoBackend]) -> Callable[[Target], tuple[Address, int]]:
    """Return where the demo's backends really are; nobody but them is ever dialled."""
    ports = {backend.address: backend.port for backend in backends}

    def where(target: Target) -> tuple[Address, int]:
        is_one = target.port == PORT and target.address in ports
        return _HERE, ports[target.address] if is_one else NOBODY

    return where
