"""Checks by HTTP, HTTPS and TCP of a real nginx."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from registrar.model import (
    CheckResult,
    Expected,
    Header,
    HttpProbe,
    Probe,
    ProbeTls,
    Target,
    TcpProbe,
)
from registrar.probe.results import failed, passed
from registrar.probe.tls import FULL_EVERY
from tests.certificates import Authority
from tests.checking import PATIENCE_S, check, checking
from tests.fakes import CHECK, target
from tests.integration.nginx import ADDRESS, NAME, Nginx, nginx

MET = passed("HTTP status 200, and a body as expected")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx(tmp_path_factory.mktemp("nginx")) as running:
        yield running


def asked(port: int, probe: Probe, interval: float = 0.1) -> Target:
    return target(ADDRESS, port, replace(CHECK, probe=probe, interval=interval, timeout=20.0))


async def result(port: int, probe: Probe) -> CheckResult:
    return await check(asked(port, probe))


def trusting(server: Nginx) -> ProbeTls:
    return ProbeTls(ca_file=server.authority.file, server_name=NAME)


# --- HTTP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (HttpProbe("/ok"), passed("HTTP status 200")),
        (HttpProbe("/gone"), failed("HTTP status 404")),
        (HttpProbe("/moved"), passed("HTTP status 301")),
        (HttpProbe("/moved", statuses=((200, 299),)), failed("HTTP status 301")),
        (HttpProbe("/gone", statuses=((200, 200), (404, 404))), passed("HTTP status 404")),
        (HttpProbe("/ok", host="shop.test"), passed("HTTP status 204")),
        (HttpProbe("/method"), failed("HTTP status 405")),
        (HttpProbe("/method", "HEAD"), passed("HTTP status 204")),
        (HttpProbe("/agent"), failed("HTTP status 403")),
        (
            HttpProbe("/agent", headers=(Header("User-Agent", "probe/1"),)),
            passed("HTTP status 204"),
        ),
        (HttpProbe("/ok", body=Expected(b"is well")), MET),
        (HttpProbe("/ok", body=Expected(b"^all .* well$", is_expression=True)), MET),
        (HttpProbe("/ok", body=Expected(b"is ill")), failed("another body than expected")),
        (HttpProbe("/gone", body=Expected(b"is well")), failed("HTTP status 404")),
        (HttpProbe("/chunked", body=Expected(b"all is GET well")), MET),
        (
            HttpProbe("/chunked", body=Expected(b"all is well")),
            failed("another body than expected"),
        ),
    ],
)
async def test_http(server: Nginx, probe: HttpProbe, expected: CheckResult) -> None:
    assert await result(server.http, probe) == expected


async def test_a_header_from_a_file_is_read_again_when_it_changes(
    server: Nginx, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    one = asked(server.http, HttpProbe("/token", headers=(Header("X-Token", file=token),)))
    async with checking(one) as (_, reports):
        await reports.wait_until(one, "HTTP status 204")
        token.write_text("second\n")
        await reports.wait_until(one, "HTTP status 200")
        token.unlink()
        found = await reports.wait_until(one, "could not be run")
        assert found.reason == (
            f"could not be run: {token}: the secret can't be read: No such file or directory; "
            "check the path and permissions"
        )
        token.write_text("first\n")
        await reports.wait_until(one, "HTTP status 204")


# --- HTTPS ----------------------------------------------------------------------------------------


async def test_https(server: Nginx, tmp_path: Path) -> None:
    ok = HttpProbe("/ok", tls=trusting(server))
    assert await result(server.https, ok) == passed("HTTP status 200")
    assert await result(server.https, replace(ok, body=Expected(b"is well"))) == MET
    chunked = replace(ok, path="/chunked", body=Expected(b"all is GET well"))
    assert await result(server.https, chunked) == MET
    for tls, reason in (
        (replace(trusting(server), server_name="else.test"), "certificate is for another name"),
        (replace(trusting(server), server_name=None), "certificate is not for this address"),
        (
            ProbeTls(ca_file=Authority(tmp_path).file, server_name=NAME),
            "certificate's authority is not known, and not trusted",
        ),
        (ProbeTls(server_name=NAME), "certificate's authority is not known, and not trusted"),
    ):
        assert await result(server.https, replace(ok, tls=tls)) == failed(reason)


async def test_a_client_certificate(server: Nginx) -> None:
    without = HttpProbe(tls=trusting(server))
    cert, key = server.authority.issue("client")
    with_it = replace(without, tls=replace(trusting(server), cert_file=cert, key_file=key))
    assert await result(server.clients, without) == failed("HTTP status 400")
    assert await result(server.clients, with_it) == passed("HTTP status 200")


async def test_a_server_that_knows_no_such_name(server: Nginx) -> None:
    found = await result(server.nameless, HttpProbe(tls=trusting(server)))
    assert found == failed("refused the TLS handshake: unrecognized name")


async def test_most_handshakes_are_resumed_and_some_are_full(server: Nginx) -> None:
    number = 2 * FULL_EVERY + 5
    before = len(server.logged())
    one = asked(server.https, HttpProbe("/ok", tls=trusting(server)), interval=0.02)
    async with checking(one) as (engine, _), asyncio.timeout(PATIENCE_S):
        while len(server.logged()) - before < number:
            await engine.renew([one])
    resumed = "".join(how for _, how in server.logged()[before:][:number])
    assert resumed == ("." + "r" * (FULL_EVERY - 1)) * 2 + ".rrrr"


# --- the wrong port -------------------------------------------------------------------------------


async def test_what_is_meant_for_another_port(server: Nginx) -> None:
    assert await result(server.https, HttpProbe("/ok")) == failed("HTTP status 400")
    https = HttpProbe("/ok", tls=trusting(server))
    assert await result(server.http, https) == failed("answered without TLS")


# --- TCP ------------------------------------------------------------------------------------------

REQUEST = b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (TcpProbe(), passed("connected")),
        (TcpProbe(completes=True), passed("connected")),
        (TcpProbe(REQUEST, Expected(b"HTTP/1.1 200 ")), passed("answered as expected")),
        (
            TcpProbe(REQUEST, Expected(rb"^HTTP/1\.[01] 2\d\d ", is_expression=True)),
            passed("answered as expected"),
        ),
        (
            TcpProbe(b"EHLO\r\n\r\n", Expected(b"250 ")),
            failed("closed after another answer than expected"),
        ),
    ],
)
async def test_tcp(server: Nginx, probe: TcpProbe, expected: CheckResult) -> None:
    assert await result(server.http, probe) == expected
