"""The HTTP source on a real server: what is an answer, what is not knowing, what is asked again."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest

from registrar.errors import SourceError
from registrar.model import Answer, Backend, Dropped
from registrar.source import Context
from registrar.testing import SourceContract, dropped, error
from registrar.threads import in_thread
from sources.http import HttpOptions, HttpQuery, HttpSource
from tests.fakes import NoFiles, answer
from tests.loopback import Loopback, Play, endless, hang, loopback, reply, reset, send, trickle

ONE, TWO = answer("10.0.0.1"), answer("10.0.0.2")
SECRET = "s3cr3t-0815"  # noqa: S105  it is the test's own


def listing(*groups: object) -> bytes:
    return json.dumps(groups).encode()


def group(*targets: object, **labels: str) -> dict[str, object]:
    return {"targets": targets, "labels": labels}


class TestHttp(SourceContract):
    source_class = HttpSource
    secret = SECRET

    hostile = {
        "endless": error(endless, "larger than 33,554,432 bytes"),
        "trickling": error(trickle),
        "reset": error(reset, "the connection broke"),
        "cut short": error(send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[{"), "breaks off"),
        "not HTTP": error(send(b"220 smtp\r\n"), "is not HTTP"),
        "a bomb": error(
            reply(200, gzip.compress(b" " * 40_000_000, 1), {"Content-Encoding": "gzip"}), "larger"
        ),
        "empty": error(reply(200), "not JSON"),
        "a page": error(reply(200, b"<html>it works</html>"), "not JSON"),
        "half a list": error(reply(200, b'[{"targets": ["10.0.0.1:80"]}, '), "not JSON"),
        "not UTF-8": error(reply(200, b'[{"targets": ["\xff"]}]'), "not JSON"),
        "a number of many digits": error(reply(200, b"[" + b"9" * 9999 + b"]"), "not JSON"),
        "deep": error(reply(200, b"[" * 200_000), "not JSON"),
        "null": error(reply(200, b"null"), "null is not a list"),
        "a mapping": error(reply(200, b'{"targets": []}'), "a mapping is not a list"),
        "no groups": error(reply(200, b'["10.0.0.1:80"]'), "is not a mapping"),
        "no targets": error(reply(200, b'[{"labels": {}}]'), "'targets' is missing"),
        "targets twice": error(
            reply(200, b'[{"targets": ["10.0.0.1:80"], "targets": []}]'), "stands twice"
        ),
        "labels of no text": error(
            reply(200, b'[{"targets": [], "labels": {"a": 5}}]'), "not text"
        ),
        "not there": error(reply(404), "status 404 Not Found"),
        "an error": error(reply(500, listing(group("10.0.0.1:80"))), "status 500"),
        "elsewhere": error(reply(302, b"", {"Location": "/"}), "redirects are not followed"),
        "no content": error(reply(204, b""), "status 204"),
        "as before, unasked": error(reply(304), "status 304"),
        "a name": dropped(reply(200, listing(group("10.0.0.1:80", "db:80"))), "not an IP address"),
        "wrong types": dropped(
            reply(200, listing(group("10.0.0.1:80", 5, None, [], {"address": 7}))), count=4
        ),
        "no such port": dropped(
            reply(200, listing(group("10.0.0.1:80", "10.0.0.2:65536"))), "too large"
        ),
    }
    invalid_options = {
        "{}": "1:1: the key 'urls' is missing",
        "{urls: http://a/}": "1:8: urls: 'http://a/' is not a list",
        "{urls: []}": "1:8: urls: a list is too short",
        "{urls: [a.example]}": "1:9: urls.0: 'a.example' is not an http or https URL; write one",
        "{urls: ['ftp://a/']}": "1:9: urls.0: 'ftp://a/' is not an http or https URL",
        "{urls: ['http://a:b/']}": "is not an http or https URL",
        "{urls: ['http://[a/']}": "is not an http or https URL",
        f"{{urls: ['http://u:{SECRET}@a/']}}": (
            "1:9: urls.0: the value is a URL with a password; write the secret into a file"
        ),
        "{urls: ['http://a/#b']}": "is a URL with characters that can't be sent",
        "{urls: [http://a/], tls: {certFile: a}}": "certFile without keyFile",
    }
    invalid_queries = {
        "{labels: [a]}": "1:10: labels: a list is not a mapping",
        "{labels: {a: 5}}": "1:14: labels.a: 5 is not text; put it in quotes",
        "{lables: {}}": "1:2: unknown key 'lables'; did you mean 'labels'?",
    }

    async def set_up(self) -> None:
        self.server = Loopback()
        await self.server.start()
        (self.base / "token").write_text(SECRET + "\n")

    async def tear_down(self) -> None:
        await self.server.stop()

    def options(self) -> dict[str, object]:
        return {"urls": [f"{self.server.url}/sd"], "tokenFile": "token"}

    async def serve(self, backends: Sequence[Backend]) -> None:
        await self._play(reply(200, listing(group(*map(_target, backends)))))

    async def fail(self) -> None:
        await self.server.stop()

    async def hang(self) -> None:
        await self._play(hang)

    async def serve_hostile(self, answer: Play) -> None:
        await self._play(answer)

    async def _play(self, play: Play) -> None:
        self.server.play = play
        if not self.server.is_listening:
            await self.server.start()


def _target(backend: Backend) -> str:
    host = str(backend.address) if backend.address.version == 4 else f"[{backend.address}]"
    return f"{host}:{backend.port}"


# --- what is its own -----------------------------------------------------------------------------


class Http:
    """Sources of one server."""

    def __init__(self, base: Path, server: Loopback) -> None:
        self.base = base
        self.server = server
        self.sources: list[HttpSource] = []

    def source(self, **options: object) -> HttpSource:
        given = HttpOptions.model_validate({"urls": [self.server.url], **options})
        self.sources.append(HttpSource(given, Context(self.base, NoFiles(), in_thread)))
        return self.sources[-1]

    async def ask(self, source: HttpSource, **labels: str) -> Answer:
        (part,) = await source.split(HttpQuery(labels=labels))
        async with asyncio.timeout(15):
            return await source.discover(part)


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[Http]:
    async with loopback() as server:
        http = Http(tmp_path, server)
        yield http
        for source in http.sources:
            await source.aclose()


async def test_only_groups_with_all_the_labels_are_asked_for(http: Http) -> None:
    source = http.source()
    http.server.play = reply(
        200,
        listing(
            group("10.0.0.1:80", role="web", env="prod"),
            group("10.0.0.2:80", role="web", env="test"),
            {"targets": ["10.0.0.3:80", "db:1"]},
        ),
    )
    assert await http.ask(source, role="web", env="prod") == ONE
    assert await http.ask(source, role="web") == Answer(ONE.backends + TWO.backends)
    assert await http.ask(source, role="db") == Answer(())
    whole = await http.ask(source)
    assert len(whole.backends) == 3
    assert whole.dropped == (
        Dropped(
            "'db:1'",
            "the list: 2.targets.1.address: 'db:1' is not an IP address; "
            "write one such as 10.20.0.7 or 2001:db8::7",
        ),
    )


async def test_a_label_may_name_the_zone(http: Http) -> None:
    source = http.source(zoneLabel="__meta_rack")
    http.server.play = reply(
        200, listing(group("10.0.0.1:80", __meta_rack="a"), group("10.0.0.2:80", __meta_rack=""))
    )
    found = await http.ask(source)
    assert found.backends == (
        Backend(ip_address("10.0.0.1"), 80, zone="a"),
        Backend(ip_address("10.0.0.2"), 80),
    )


async def test_keys_that_prometheus_does_not_know_either_are_no_error(http: Http) -> None:
    http.server.play = reply(200, listing({**group("10.0.0.1:80"), "source": "cmdb"}))
    assert await http.ask(http.source()) == ONE


def listing_unless(header: str, value: str, **headers: str) -> Play:
    """Answer 304 to whoever has it already."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}

    async def play(request: object, writer: asyncio.StreamWriter) -> None:
        known = request.headers.get(header) == value  # type: ignore[attr-defined]
        answered = reply(304) if known else reply(200, listing(group("10.0.0.1:80")), named)
        await answered(request, writer)  # type: ignore[arg-type]

    return play


STAMP, LATER = "Fri, 01 May 2026 12:00:00 GMT", "Fri, 01 May 2026 12:00:09 GMT"


@pytest.mark.parametrize(
    ("header", "value", "headers"),
    [
        ("if-none-match", 'W/"1"', {"ETag": 'W/"1"', "Last_Modified": STAMP, "Date": LATER}),
        ("if-modified-since", STAMP, {"Last_Modified": STAMP, "Date": LATER}),
    ],
)
async def test_a_list_is_sent_again_only_when_it_has_changed(
    http: Http, header: str, value: str, headers: dict[str, str]
) -> None:
    source = http.source()
    http.server.play = listing_unless(header, value, **headers)
    for _ in range(3):
        assert await http.ask(source) == ONE
    assert await http.ask(source, role="web") == Answer(())
    asked = [request.headers.get(header) for request in http.server.requests]
    assert asked == [None, value, value, value]
    http.server.play = reply(200, listing(group("10.0.0.2:80")))
    assert await http.ask(source) == TWO
    assert await http.ask(source) == TWO
    assert header not in http.server.requests[-1].headers, "what is gone is not to be asked for"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Last-Modified": STAMP},
        {"Last-Modified": STAMP, "Date": STAMP},
        {"Last-Modified": "yesterday", "Date": LATER},
        {"Last-Modified": STAMP, "Date": "today"},
    ],
)
async def test_a_change_within_the_same_second_is_not_missed(
    http: Http, headers: dict[str, str]
) -> None:
    source = http.source()
    http.server.play = reply(200, listing(group("10.0.0.1:80")), headers)
    assert await http.ask(source) == ONE
    assert await http.ask(source) == ONE
    assert "if-modified-since" not in http.server.requests[-1].headers


async def test_an_error_between_does_not_forget_what_is_known(http: Http) -> None:
    source = http.source()
    http.server.play = listing_unless("if-none-match", '"1"', ETag='"1"')
    assert await http.ask(source) == ONE
    http.server.play = reply(200, b"<html>")
    with pytest.raises(SourceError):
        await http.ask(source)
    http.server.play = listing_unless("if-none-match", '"1"', ETag='"1"')
    assert await http.ask(source) == ONE


async def test_each_url_is_a_part_of_its_own(http: Http) -> None:
    base = http.server.url
    source = http.source(urls=[f"{base}/a", f"{base}/b?x=1", f"{base}/a"])
    parts = await source.split(HttpQuery())
    assert [part.name for part in parts] == [f"{base}/a", f"{base}/b?x=1"]
    for part in parts:
        await source.discover(part)
    assert [request.target for request in http.server.requests] == ["/a", "/b?x=1"]


async def test_the_token_is_read_anew_each_time(http: Http) -> None:
    source = http.source(tokenFile="token")
    with pytest.raises(SourceError, match="the secret can't be read: No such file"):
        await http.ask(source)
    for token in ("one", "two"):
        (http.base / "token").write_text(f"{token}\n")
        await http.ask(source)
        assert http.server.requests[-1].headers["authorization"] == f"Bearer {token}"


async def test_the_warnings(http: Http) -> None:
    url = http.server.url
    assert await http.source().warnings(HttpQuery()) == []
    source = http.source(tokenFile="token", tls={"caFile": "ca.pem"})
    first, second = await source.warnings(HttpQuery())
    assert first.startswith(f"{http.base}/token: the secret can't be read: No such file")
    assert second == f"{url}: the token is sent unencrypted; use https"
    (http.base / "token").write_text(SECRET)
    first, _ = await source.warnings(HttpQuery())
    assert first.startswith(f"{http.base}/ca.pem: can't be read")
    assert not http.server.requests


async def test_20_000_targets_are_read(http: Http) -> None:
    targets = [f"10.{a}.{b}.{c}:8080" for a in range(2) for b in range(40) for c in range(250)]
    http.server.play = reply(200, listing(*(group(target, role="web") for target in targets)))
    assert len((await http.ask(http.source())).backends) == 20_000
