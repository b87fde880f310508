"""Connects, and dissolves connections, by libc's own connect(2).

Python's lets go of the interpreter's lock each time, which a busy main loop then keeps for
milliseconds; of a non-blocking socket the call never waits. And Python has no words for AF_UNSPEC.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Final

from registrar.model import Address

_UNSPECIFIED: Final = bytes(16)

_connect = ctypes.PyDLL(None, use_errno=True).connect
_connect.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int)


def sockaddr_of(address: Address, port: int) -> bytes:
    """Return an address and a port as connect(2) takes them (ip(7), ipv6(7))."""
    if address.version == 6:
        scope = 0 if address.scope_id is None else socket.if_nametoindex(address.scope_id)
        head = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0)
        return head + address.packed + struct.pack("=I", scope)
    head = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port)
    return head + address.packed + bytes(8)


def connect(descriptor: int, sockaddr: bytes) -> int:
    """Connect a socket; return 0, or the number of the error."""
    if _connect(descriptor, sockaddr, len(sockaddr)) == 0:
        return 0
    return ctypes.get_errno()


def dissolve(descriptor: int) -> bool:
    """Dissolve the connection of a TCP socket, which is as new then. Return whether that went.

    Linux sends a reset where there was a connection (connect(2), AF_UNSPEC).
    """
    code: int = _connect(descriptor, _UNSPECIFIED, 16)
    return code == 0
