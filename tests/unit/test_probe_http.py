from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from registrar.model import CheckResult, HttpProbe, Outcome, Target
from registrar.probe.status import MOST_STATUS_LINE
from tests.checking import check
from tests.fakes import CHECK, target

QUICK = replace(CHECK, probe=HttpProbe("/healthz"), timeout=0.2)
PATIENT = replace(QUICK, timeout=5.0)
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Backend:
    """A backend that reads the head of each request and answers as the test says."""

    def __init__(self, answering: Answering) -> None:
        self.requests: list[str] = []
        self.port = 0
        self._answering = answering
        self._tasks: set[asyncio.Task[None]] = set()

    def target(self, address: str = "127.0.0.1", *, patient: bool = True) -> Target:
        return target(address, self.port, PATIENT if patient else QUICK)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            await self._answering(writer)
        finally:
            writer.close()


@asynccontextmanager
async def serving(answering: Answering, address: str = "127.0.0.1") -> AsyncIterator[Backend]:
    backend = Backend(answering)
    server = await asyncio.start_server(backend.accept, address, 0)
    backend.port = server.sockets[0].getsockname()[1]
    try:
        yield backend
    finally:
        server.close()
        await server.wait_closed()
        await backend.close()


def saying(answer: bytes) -> Answering:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return say


async def never(writer: asyncio.StreamWriter) -> None:
    del writer
    await asyncio.Event().wait()


async def outcome(answer: bytes) -> CheckResult:
    async with serving(saying(answer)) as backend:
        return await check(backend.target())


@pytest.mark.parametrize("status", [200, 204, 302, 399])
async def test_up(status: int) -> None:
    answer = f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode()
    assert await outcome(answer) == CheckResult(Outcome.PASSED, f"HTTP status {status}")


@pytest.mark.parametrize("status", [400, 404, 500, 503, 599])
async def test_down(status: int) -> None:
    answer = f"HTTP/1.1 {status} Whatever\r\n\r\n".encode()
    assert await outcome(answer) == CheckResult(Outcome.FAILED, f"HTTP status {status}")


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 \r\n", b"HTTP/1.1 200\r\n", b"HTTP/1.1 200\n"]
)
async def test_odd_but_common_status_lines(answer: bytes) -> None:
    assert (await outcome(answer)).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        (b"HTTP/2 200\r\n", "answered in HTTP/2"),
        (b"HTTP/1.1 20\r\n", "not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n", "not HTTP"),
        (b"HTTP/1.1 999 OK\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK", "answer broke off"),
        (b" HTTP/1.1 200 OK\r\n", "not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x50\n", "answered in TLS: type https is for that"),
    ],
)
async def test_not_http(answer: bytes, reason: str) -> None:
    assert await outcome(answer) == CheckResult(Outcome.FAILED, reason)


async def test_interim_answers_are_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    found = await outcome(b"HTTP/1.1 100 Continue\r\n\r\n" + hints + b"HTTP/1.1 503 Busy\r\n")
    assert found == CheckResult(Outcome.FAILED, "HTTP status 503")


async def test_nothing_but_interim_answers_is_no_answer() -> None:
    found = await outcome(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert found == CheckResult(Outcome.FAILED, "closed without an answer")


async def test_closed_without_an_answer() -> None:
    assert await outcome(b"") == CheckResult(Outcome.FAILED, "closed without an answer")


async def test_reset_without_an_answer() -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        opened = writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    async with serving(reset) as backend:
        result = await check(backend.target())
    assert result == CheckResult(Outcome.FAILED, "connection reset by peer, without answer")


async def test_refused() -> None:
    async with serving(never) as backend:
        pass
    assert await check(backend.target()) == CheckResult(Outcome.FAILED, "connection refused")


async def test_a_backend_that_accepts_and_never_answers_is_down_after_the_timeout() -> None:
    async with serving(never) as backend:
        began = time.monotonic()
        result = await check(backend.target(patient=False))
        assert result == CheckResult(Outcome.SILENT, "no answer within 0.2 s")
        assert 0.2 <= time.monotonic() - began < 1.0


async def test_a_backend_that_begins_an_answer_and_stops_is_down_after_the_timeout() -> None:
    async def begin(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 20")
        await never(writer)

    async with serving(begin) as backend:
        result = await check(backend.target(patient=False))
    assert result == CheckResult(Outcome.SILENT, "no complete status line within 0.2 s")


async def test_a_backend_that_answers_and_does_not_hang_up_is_up() -> None:
    async def stay(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await never(writer)

    async with serving(stay) as backend:
        result = await check(backend.target(patient=False))
    assert result == CheckResult(Outcome.PASSED, "HTTP status 200")


async def test_a_redirect_is_not_followed() -> None:
    async with serving(never) as elsewhere:
        where = f"http://127.0.0.1:{elsewhere.port}/"
        answer = f"HTTP/1.1 302 Found\r\nLocation: {where}\r\n\r\n".encode()
        async with serving(saying(answer)) as backend:
            assert (await check(backend.target())).outcome is Outcome.PASSED
        assert elsewhere.requests == []


async def test_a_status_line_may_come_byte_by_byte() -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        for number in b"HTTP/1.1 503 Busy\r\n":
            writer.write(bytes([number]))
            await turns(3)  # the check has read it by then

    async with serving(trickle) as backend:
        result = await check(backend.target())
    assert result == CheckResult(Outcome.FAILED, "HTTP status 503")


async def test_an_endless_line_is_given_up() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 ")
        while sent < 100 * MOST_STATUS_LINE:
            writer.write(b"o" * 100)
            sent += 100
            await writer.drain()
            await turns(3)

    async with serving(endless) as backend:
        result = await check(backend.target())
    reason = f"no status line within {MOST_STATUS_LINE} bytes"
    assert result == CheckResult(Outcome.FAILED, reason)
    assert sent < 10 * MOST_STATUS_LINE


async def test_a_huge_body_is_not_read() -> None:
    most = 256 * 2**20
    sent = 0

    async def huge(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {most}\r\n\r\n".encode())
        while sent < most:
            writer.write(bytes(2**16))
            sent += 2**16
            await writer.drain()

    async with serving(huge) as backend:
        assert (await check(backend.target())).outcome is Outcome.PASSED
    assert sent < most / 4  # what the buffers of the kernel take


@pytest.mark.parametrize(("address", "host"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
async def test_the_request(address: str, host: str) -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\n\r\n"), address) as backend:
        assert (await check(backend.target(address))).outcome is Outcome.PASSED
        (request,) = backend.requests
    line, *headers = request.rstrip("\r\n").split("\r\n")
    assert line == "GET /healthz HTTP/1.1"
    assert f"Host: {host}:{backend.port}" in headers
    assert "Connection: close" in headers


async def turns(number: int) -> None:
    """Let whatever is ready in the event loop run."""
    for _ in range(number):
        turned = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turned.set_result, None)
        await turned
