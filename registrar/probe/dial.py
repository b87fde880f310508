"""Opens connections to the very address of a backend, without waiting for any."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Final, TypeVar

from registrar.model import Address, HealthCheck
from registrar.probe.exchange import Place
from registrar.probe.libc import connect
from registrar.probe.spare import SPARE, Resettable

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_UNDER_WAY: Final = frozenset({0, errno.EINPROGRESS})
_TCP: Final = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
_UDP: Final = int(socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
_SOCKET, _LINGER = int(socket.SOL_SOCKET), int(socket.SO_LINGER)
_TCP_LEVEL, _DEFER = int(socket.IPPROTO_TCP), int(socket.TCP_DEFER_ACCEPT)

R = TypeVar("R", bound=Resettable)
S = TypeVar("S", bound=socket.SocketType)


class Dialler:
    """How connections leave: from which address and through which interface, where given.

    A connection is closed by a reset, so that it leaves no state behind. Unless `completes`, its
    handshake is not completed before something is sent: the last ACK is delayed, and a reset
    that goes out instead of it is all that the backend's kernel, and nobody else, gets to see.
    TCP_DEFER_ACCEPT has the side that connects delay it, and outlasts a reset of the socket.
    """

    def __init__(self, check: HealthCheck, *, completes: bool) -> None:
        self._source = None if check.source_address is None else str(check.source_address)
        self._interface = None if check.interface is None else check.interface.encode()
        self._is_bound = not (self._source is None and self._interface is None)
        self._completes = completes

    def tcp(self, kind: type[R], place: Place) -> R:
        """Return a connection that is being made. Raise OSError where that can't begin."""
        family = place.family
        if self._is_bound:
            opened = self._socket(kind, family)
            opened.shelf = None
        elif shelf := SPARE.shelf(kind, family, completes=self._completes):
            opened = shelf.pop()
        else:
            opened = self._socket(kind, family)
            opened.shelf = shelf
        try:
            self._connect(opened, place)
        except OSError:
            opened.close()
            raise
        return opened

    def _socket(self, kind: type[R], family: int) -> R:
        opened = kind(family, _TCP)
        opened.setsockopt(_SOCKET, _LINGER, _RESET_ON_CLOSE)
        if not self._completes:
            opened.setsockopt(_TCP_LEVEL, _DEFER, 1)
        return opened

    def udp(self, kind: type[S], place: Place) -> S:
        """Return a socket for datagrams to and from one backend. Raise OSError."""
        opened = kind(place.family, _UDP)
        try:
            self._connect(opened, place)
        except OSError:
            opened.close()
            raise
        return opened

    def _connect(self, opened: socket.SocketType, place: Place) -> None:
        if self._is_bound:
            self._bind(opened)
        code = connect(opened.fileno(), place.sockaddr)
        if code not in _UNDER_WAY:
            raise OSError(code, "")

    def _bind(self, opened: socket.SocketType) -> None:
        if self._interface is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface)
        if self._source is not None:
            if (":" in self._source) is not (opened.family == socket.AF_INET6):
                raise OSError(errno.EADDRNOTAVAIL, "")
            # The port is chosen on connecting, when it need only be unique for this destination.
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
            opened.bind((self._source, 0))


def family_of(address: Address) -> int:
    """Return the family of sockets for an address."""
    return int(socket.AF_INET6 if address.version == 6 else socket.AF_INET)
