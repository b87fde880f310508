"""A backend is up that answers `GET path` with a status of 200 to 399. Follows no redirect."""

from __future__ import annotations

import asyncio
import re
import socket

from registrar.model import CheckResult, HttpProbe, Outcome, Target
from registrar.probe.tcp import connection, failure

MAX_STATUS_LINE = 4096
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")
_UP = range(200, 400)


async def check_http(target: Target, probe: HttpProbe) -> CheckResult:
    """Send one request and read the status line of its answer, no more."""
    try:
        async with asyncio.timeout(target.check.timeout), connection(target) as opened:
            await asyncio.get_running_loop().sock_sendall(opened, _request(target, probe))
            line = await _first_line(opened)
    except (TimeoutError, OSError) as error:
        return failure(error, target.check.timeout)
    return judged(line)


def judged(line: bytes) -> CheckResult:
    """Return what the first line of an answer says."""
    match = _STATUS.match(line)
    if match is None:
        return CheckResult(Outcome.FAILED, "closed without an answer" if not line else "not HTTP")
    status = int(match[1])
    outcome = Outcome.PASSED if status in _UP else Outcome.FAILED
    return CheckResult(outcome, f"HTTP status {status}")


def _request(target: Target, probe: HttpProbe) -> bytes:
    host = f"[{target.address}]" if target.address.version == 6 else str(target.address)
    return (
        f"GET {probe.path} HTTP/1.1\r\nHost: {host}:{target.port}\r\n"
        "User-Agent: registrar\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


async def _first_line(opened: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    line = b""
    while b"\n" not in line and len(line) < MAX_STATUS_LINE:
        chunk = await loop.sock_recv(opened, MAX_STATUS_LINE)
        if not chunk:
            break
        line += chunk
    return line
