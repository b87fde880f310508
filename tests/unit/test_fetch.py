"""A capped GET: what is an answer, and that nothing else gets through, nor a secret out."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registrar.errors import SourceError
from registrar.source import Context, Fetched, HttpClient, fetch, opened
from registrar.threads import in_thread
from tests.fakes import NoFiles
from tests.loopback import Loopback, Play, endless, hang, loopback, reply, reset, send, trickle

MOST = 100_000


class Fetching:
    """A client and the server that it asks."""

    def __init__(self, server: Loopback, client: HttpClient) -> None:
        self.server = server
        self.client = client

    async def get(self, play: Play, **more: object) -> Fetched:
        self.server.play = play
        async with self.client.lent() as client:
            return await fetch(client, self.server.url + "/sd", most_bytes=MOST, **more)  # type: ignore[arg-type]

    async def refusal(self, play: Play, **more: object) -> str:
        with pytest.raises(SourceError) as caught:
            await self.get(play, **more)
        assert str(caught.value).startswith(f"{self.server.url}/sd: ")
        return str(caught.value).removeprefix(f"{self.server.url}/sd: ")

    async def retry_after(self, **headers: str) -> float | None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with pytest.raises(SourceError) as caught:
            await self.get(reply(503, b"", named))
        return caught.value.retry_after


@pytest.fixture
async def fetching(tmp_path: Path) -> AsyncIterator[Fetching]:
    client = HttpClient(Context(tmp_path, NoFiles(), in_thread))
    async with loopback() as server:
        yield Fetching(server, client)


async def test_an_answer(fetching: Fetching) -> None:
    found = await fetching.get(reply(200, b"[]", {"ETag": "x"}), headers={"X-One": "1"})
    assert (found.status, found.body, found.headers["etag"]) == (200, b"[]", "x")
    assert "[]" not in repr(found)
    (request,) = fetching.server.requests
    assert (request.method, request.target) == ("GET", "/sd")
    assert request.headers["x-one"] == "1"
    assert request.headers["accept-encoding"] == "gzip"
    assert (await fetching.get(reply(304), accept=(200, 304))).status == 304


async def test_one_connection_serves_a_block_and_ends_with_it(fetching: Fetching) -> None:
    async with fetching.client.lent() as client:
        for _ in range(5):
            await fetch(client, fetching.server.url)
    assert fetching.server.connections == 1
    await fetching.get(reply(200, b"[]"))
    assert fetching.server.connections == 2


async def test_an_answer_up_to_the_cap(fetching: Fetching) -> None:
    assert len((await fetching.get(reply(200, b"x" * MOST))).body) == MOST
    said = await fetching.refusal(reply(200, b"x" * (MOST + 1)))
    assert said == "the answer is larger than 100,000 bytes"
    assert await fetching.refusal(endless) == said


async def test_bytes_are_counted_once_decompressed(fetching: Fetching) -> None:
    packed = {"Content-Encoding": "gzip"}
    whole = gzip.compress(b"x" * MOST)
    assert (await fetching.get(reply(200, whole, packed))).body == b"x" * MOST
    bomb = gzip.compress(b"x" * 100_000_000, compresslevel=1)
    tracemalloc.start()
    said = await fetching.refusal(reply(200, bomb, packed))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said == "the answer is larger than 100,000 bytes"
    assert peak < 10_000_000, "it was unpacked"
    assert await fetching.refusal(reply(200, whole[:-9], packed)) == "the answer is cut short"
    assert await fetching.refusal(reply(200, b"plain", packed)) == (
        "the answer can't be decompressed"
    )
    for encoding in ("gzip, gzip", "deflate", "br"):
        body = zlib.compress(b"[]")
        said = await fetching.refusal(reply(200, body, {"Content-Encoding": encoding}))
        assert said == "the answer is compressed unasked for"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (204, "status 204 No Content"),
        (301, "status 301 Moved Permanently; redirects are not followed, write the URL that it"),
        (401, "status 401 Unauthorized; check the token, or the certificate, and its rights"),
        (404, "status 404 Not Found; check the path"),
        (500, "status 500 Internal Server Error"),
        (599, "status 599"),
    ],
)
async def test_another_status(fetching: Fetching, status: int, said: str) -> None:
    answer = reply(status, b"" if status == 204 else b"s3cr3t", {"Location": "/else"})
    assert (await fetching.refusal(answer)).startswith(said)
    assert len(fetching.server.requests) == 1


async def test_when_to_ask_again(fetching: Fetching) -> None:
    date = "Fri, 01 May 2026 12:00:00 GMT"
    later = "Fri, 01 May 2026 12:02:00 GMT"
    assert await fetching.retry_after() is None
    assert await fetching.retry_after(Retry_After="7") == 7.0
    assert await fetching.retry_after(Retry_After=later, Date=date) == 120.0
    assert await fetching.retry_after(Retry_After=date, Date=later) == 0.0
    assert await fetching.retry_after(Retry_After=date) == 0.0
    for nonsense in ("-1", "1.5", "nan", "soon", "²", ""):
        assert await fetching.retry_after(Retry_After=nonsense) is None
    assert await fetching.retry_after(Retry_After="9" * 5000) == 999_999_999.0


@pytest.mark.parametrize(
    ("play", "said"),
    [
        (reset, "the connection broke"),
        (send(b""), "the answer breaks off, or is not HTTP"),
        (send(b"SSH-2.0-OpenSSH\r\n"), "the answer breaks off, or is not HTTP"),
        (send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n["), "the answer breaks off"),
        (send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n["), "the answer breaks"),
        (send(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000), "the answer breaks off"),
        (send(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n[]"), "the answer breaks off"),
    ],
)
async def test_what_is_not_http(fetching: Fetching, play: Play, said: str) -> None:
    assert (await fetching.refusal(play)).startswith(said)
    assert (await fetching.get(reply(200, b"[]"))).body == b"[]"


@pytest.mark.parametrize("play", [hang, trickle])
async def test_the_deadline_is_that_of_whoever_asks(fetching: Fetching, play: Play) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await fetching.get(play)
    assert (await fetching.get(reply(200, b"[]"))).body == b"[]"


async def test_nobody_there(fetching: Fetching) -> None:
    await fetching.server.stop()
    assert await fetching.refusal(hang) == "can't be reached: Connection refused"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://host.invalid/", "http://host.invalid/: the host's name can't be resolved: "),
        ("ftp://host/", "ftp://host/: neither an http nor an https URL"),
        ("/path", "/path: neither an http nor an https URL"),
        ("http://[::1", "not a URL; write one such as https://host.example:8443/path"),
        ("http://a\nb/", "not a URL; write one such as https://host.example:8443/path"),
        ("http://u:s3cr3t@127.0.0.1:{port}/?t=s3cr3t#s3cr3t", "http://127.0.0.1:{port}/: status"),
    ],
)
async def test_a_url_that_leads_nowhere(fetching: Fetching, url: str, said: str) -> None:
    fetching.server.play = reply(500)
    port = fetching.server.port
    with pytest.raises(SourceError) as caught:
        async with fetching.client.lent() as client:
            await fetch(client, url.format(port=port))
    assert str(caught.value).startswith(said.format(port=port))
    assert "s3cr3t" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_port_that_speaks_no_tls(fetching: Fetching) -> None:
    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, fetching.client.lent() as client, asyncio.timeout(15):
        with pytest.raises(SourceError, match=f"^{url}: TLS failed: .*; check the port"):
            await fetch(client, url)


async def test_a_header_that_cannot_be_sent_does_not_show(fetching: Fetching) -> None:
    said = await fetching.refusal(reply(200), headers={"X-Token": "s3cr3t\r\nX: y"})
    assert said == "the request can't be sent as it is; check the URL and the token's file"


async def test_a_stream_is_read_as_it_comes_and_a_break_in_it_is_told(fetching: Fetching) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    fetching.server.play = send(head + b"4\r\none\n\r\n4\r\ntwo\n\r\n")
    lines: list[str] = []

    async def read() -> None:
        async with (
            fetching.client.lent() as client,
            opened(client, fetching.server.url) as response,
        ):
            async for line in response.aiter_lines():
                lines.append(line)  # noqa: PERF401  it is what came before the break

    with pytest.raises(SourceError, match="the answer breaks off"):
        await read()
    assert lines == ["one", "two"]


async def test_a_unix_socket(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    path = str(tmp_path / "engine.sock")
    client = HttpClient(Context(tmp_path, NoFiles(), in_thread), socket=path)
    async with client.lent() as lent:
        with pytest.raises(SourceError, match="can't be reached: No such file or directory"):
            await fetch(lent, "http://docker/version")
        async with await asyncio.start_unix_server(answer, path):
            assert (await fetch(lent, "http://docker/version")).body == b"{}"
