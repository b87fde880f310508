"""A datagram socket for dnspython, connected to one server.

dnspython's own is made of a transport and a queue, which costs more than the question does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from dns.asyncbackend import DatagramSocket  # type: ignore[attr-defined]  # it says so without types


@contextlib.contextmanager
def connected(address: IPv4Address | IPv6Address, port: int) -> Iterator[Datagrams]:
    """Lend a socket of its own port, to which the kernel lets nobody else answer."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.setblocking(False)  # noqa: FBT003  the signature is socket's
        made.connect((str(address), port))
        yield Datagrams(made)


class Datagrams(DatagramSocket):
    """What dnspython sends and receives by; deadlines are of whoever asks."""

    def __init__(self, connected_socket: socket.socket) -> None:
        super().__init__(connected_socket.family, socket.SOCK_DGRAM)
        self._socket = connected_socket
        self._loop = asyncio.get_running_loop()

    async def sendto(self, what: bytes, destination: Any, timeout: float | None) -> int:  # noqa: ANN401, ASYNC109  as dnspython has it
        """Send to where it is connected to."""
        del destination, timeout
        await self._loop.sock_sendall(self._socket, what)
        return len(what)

    async def recvfrom(self, size: int, timeout: float | None) -> tuple[bytes, Any]:  # noqa: ASYNC109  as before
        """Return what has come, and from where."""
        del timeout
        return await self._loop.sock_recv(self._socket, size), self._socket.getpeername()
