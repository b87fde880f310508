"""A backend is up that accepts a TCP connection. Also tells our own failures from the backend's."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from registrar.model import CheckResult, Outcome, Target

_OURS = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EADDRNOTAVAIL,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EPERM,
        errno.EACCES,
    }
)
"""Our own lack of descriptors, ports, memory, route or permission says nothing of a backend."""

_SILENCE = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.EHOSTDOWN})
"""Nobody said no: a fault on the way is as likely as one of the backend."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def check_tcp(target: Target) -> CheckResult:
    """Connect and hang up."""
    try:
        async with asyncio.timeout(target.check.timeout), connection(target):
            return CheckResult(Outcome.PASSED, "connected")
    except (TimeoutError, OSError) as error:
        return failure(error, target.check.timeout)


@asynccontextmanager
async def connection(target: Target) -> AsyncGenerator[socket.socket]:
    """Connect to the very address of a target. Closing resets, so that no state lingers."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if target.address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as opened:
        opened.settimeout(0)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        await loop.sock_connect(opened, (str(target.address), target.port))
        yield opened


def failure(error: TimeoutError | OSError, timeout_s: float) -> CheckResult:
    """Return the outcome that an error of a check amounts to."""
    if error.errno is not None:
        words = os.strerror(error.errno).lower()
        if error.errno in _OURS:
            return CheckResult(Outcome.UNKNOWN, f"could not be run: {words}")
        return CheckResult(Outcome.SILENT if error.errno in _SILENCE else Outcome.FAILED, words)
    if isinstance(error, TimeoutError):
        return CheckResult(Outcome.SILENT, f"no answer within {timeout_s:g} s")
    return CheckResult(Outcome.FAILED, str(error))
