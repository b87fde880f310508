"""What the admin port bears: clients that hold on to it, and pages of other sites in a browser."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from registrar.admin import connections, handlers
from registrar.admin.browsers import is_known
from registrar.admin.server import serving
from registrar.model import Admin
from tests import fixed_program as fixed
from tests.fixed_program import FixedProgram, service, unused_port
from tests.unit.test_status_command import Fixed

LONG_S = 30


@contextlib.asynccontextmanager
async def admin(
    program: FixedProgram | Fixed | None = None, token: Path | None = None
) -> AsyncIterator[int]:
    port = unused_port()
    found = program or FixedProgram(fixed.status())
    hosts = frozenset({"registrar.office.example"})
    async with serving(found, Admin(("127.0.0.1", port), token_file=token, hosts=hosts)):
        yield port


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def opened(port: int) -> AsyncIterator[Ends]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def asked(port: int, request: str, path: str = "/healthz") -> str:
    """Send a request by hand, a head without its end perhaps,
    and return the answer's first line."""
    async with opened(port) as (reader, writer), asyncio.timeout(LONG_S):
        writer.write(request.format(path=path).encode())
        return (await reader.readline()).decode().strip()


# --- pages of other sites ------------------------------------------------------------------------

GET = "GET /status HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:9180", "[::1]:9180", "10.244.1.7", "localhost:9180", "registrar",
     "registrar.ops.svc:9180", "registrar.ops.svc.cluster.local", "registrar.office.example",
     "REGISTRAR.office.example.:80"],
)  # fmt: skip
async def test_who_comes_by_an_address_or_a_known_name_is_served(host: str) -> None:
    async with admin() as port:
        assert await asked(port, GET % host) == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "host",
    ["evil.example:9180", "10.0.0.1.evil.example", "evil.example.svc.evil.example", "svc.example",
     "127.0.0.1.:x.example", "localhost.evil.example", "registrar.office.example.evil.example"],
)  # fmt: skip
async def test_a_name_that_was_made_to_lead_here_is_refused(host: str) -> None:
    async with admin() as port:
        assert await asked(port, GET % host) == "HTTP/1.1 421 Misdirected Request"


async def test_a_probe_may_come_by_any_name_or_by_none() -> None:
    async with admin() as port:
        for head in ("Host: evil.example\r\n", ""):
            probe = f"GET /healthz HTTP/1.0\r\n{head}\r\n"
            assert (await asked(port, probe)).endswith("200 OK")
    assert is_known("", ())


async def test_no_page_of_a_browser_orders_anything(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    program = Fixed()
    headers = {"Authorization": "Bearer s3cret"}
    async with admin(program, token) as port, aiohttp.ClientSession() as session:
        for path in ("resync", "drain", "undrain"):
            for origin in ("https://evil.example", f"http://127.0.0.1:{port}", "null"):
                url = f"http://127.0.0.1:{port}/{path}"
                answer = await session.post(url, json={}, headers={**headers, "Origin": origin})
                assert answer.status == 403
                assert "no page of a browser" in await answer.text()
    assert program.orders == []


async def test_orders_are_never_taken_by_what_a_link_or_a_form_sends(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    program = Fixed()
    async with admin(program, token) as port, aiohttp.ClientSession() as session:
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
            for path in ("resync", "drain", "undrain"):
                url = f"http://127.0.0.1:{port}/{path}"
                answer = await session.request(
                    method, url, headers={"Authorization": "Bearer s3cret"}
                )
                assert answer.status == 405, (method, path)
    assert program.orders == []


async def test_a_token_that_is_no_text_is_a_wrong_one(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    async with admin(Fixed(), token) as port, opened(port) as (reader, writer):
        writer.write(b"POST /resync HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n")
        writer.write(b"Authorization: Bearer \xff\xfe\r\n\r\n")
        assert b" 403 " in await reader.readline()


# --- clients that hold on to it ------------------------------------------------------------------


async def test_whoever_is_new_gets_in_however_many_hold_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 5)
    async with admin() as port, contextlib.AsyncExitStack() as stack:
        held = [await stack.enter_async_context(opened(port)) for _ in range(20)]
        for _, writer in held:
            writer.write(b"GET /healthz HTTP/1.1\r\nX: ")  # and never the rest
        assert await asked(port, GET % "localhost") == "HTTP/1.1 200 OK"
        await told_to_go(held[:15])


async def told_to_go(held: list[Ends]) -> None:
    async with asyncio.timeout(LONG_S):
        for reader, _ in held:
            with contextlib.suppress(ConnectionError):
                await reader.read()


async def test_who_sends_no_request_is_told_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 0.05)
    async with admin() as port, contextlib.AsyncExitStack() as stack:
        held = [await stack.enter_async_context(opened(port)) for _ in range(3)]
        held[1][1].write(b"GET /healthz HTTP/1.1\r\nHost: local")
        held[2][1].write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await held[2][0].readline()).startswith(b"HTTP/1.1 200")
        await told_to_go(held)


async def test_who_never_fetches_an_answer_is_told_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_UNREAD_BYTES", 1_000_000)
    many = fixed.status(*(service(f"shop/{'w' * 1_000_000}{n}") for n in range(16)))
    async with admin(FixedProgram(many)) as port, opened(port) as (reader, writer):
        writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(LONG_S):
            while await served_bytes(reader):  # slower than it is written
                pass
        # All others are served meanwhile.
        assert await asked(port, "GET /healthz HTTP/1.0\r\n\r\n") == "HTTP/1.0 200 OK"


async def served_bytes(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(512)
    except ConnectionError:
        return b""


async def test_a_body_that_never_comes_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(handlers, "BODY_S", 0.05)
    token = tmp_path / "token"
    token.write_text("s3cret")
    program = Fixed()
    async with admin(program, token) as port:
        head = "POST /resync HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret\r\n"
        line = await asked(port, head + "Content-Length: 9\r\n\r\n" + "[")
        assert line == "HTTP/1.1 408 Request Timeout"
    assert program.orders == []


async def test_a_body_is_no_larger_than_an_order(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    program = Fixed()
    headers = {"Authorization": "Bearer s3cret"}
    async with admin(program, token) as port, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/resync"
        answer = await session.post(url, data=b" " * 1_000_000, headers=headers)
        assert answer.status == 413
    assert program.orders == []
