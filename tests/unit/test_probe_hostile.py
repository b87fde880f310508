"""Backends that begin an answer and never end it, slowly or at full speed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registrar.model import CheckResult, HttpProbe, Outcome
from registrar.probe.results import failed, passed
from tests.hostile import Peer
from tests.plays import (
    BODY,
    CHUNKED,
    HTTP,
    INTERIM,
    OK,
    SHORT_S,
    TCP,
    Site,
    after,
    assert_results,
    bytewise,
    drip,
    dripping_flight,
    endless,
    flooding_sessions,
    half_shaken,
    within,
)

ONLY_INTERIM = failed("more than 64 interim answers (1xx)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.made(tmp_path_factory.mktemp("hostile"))


def silent(reason: str) -> CheckResult:
    return CheckResult(Outcome.SILENT, f"no {reason} within {SHORT_S} s")


# --- what never ends, or never begins -------------------------------------------------------------


async def test_tcp_that_takes_its_time() -> None:
    plays = {
        "says nothing": (after(), silent("answer")),
        "drips": (drip(b"+PON"), silent("expected answer")),
        "says something else, and waits": (after(b"-ERR\r\n"), silent("expected answer")),
    }
    await assert_results(TCP, plays, SHORT_S)


async def test_http_that_takes_its_time() -> None:
    plays = {
        "says nothing": (after(), silent("answer")),
        "drips a status line": (drip(b"HTTP/1.1 200 O"), silent("complete status line")),
        "drips interim answers": (
            drip(b"HTTP/1.1 103 Early Hints\r\nLink: <"),
            silent("complete status line"),
        ),
        "drips a header": (drip(OK + b"X: "), passed("HTTP status 200")),
    }
    await assert_results(HTTP, plays, SHORT_S)


async def test_a_body_that_takes_its_time() -> None:
    chunk = b"1\r\nx\r\n"
    plays = {
        "says nothing": (after(), silent("answer")),
        "drips a header": (drip(OK + b"X: "), silent("complete header")),
        "drips a body": (drip(OK + b"\r\nall is w"), silent("complete body")),
        "drips chunks": (
            drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", chunk),
            silent("complete body"),
        ),
    }
    await assert_results(BODY, plays, SHORT_S)


async def test_https_that_takes_its_time(site: Site) -> None:
    plays = {
        "says nothing": (after(), silent("TLS handshake")),
        "drips a handshake": (dripping_flight(site.context), silent("TLS handshake")),
        "stops in the handshake": (
            half_shaken(site.context, Peer.wait),
            silent("TLS handshake"),
        ),
        "says nothing after the handshake": (within(site.context, after()), silent("answer")),
        "drips a status line": (
            within(site.context, drip(b"HTTP/1.1 200 O")),
            silent("complete status line"),
        ),
    }
    await assert_results(HttpProbe(tls=site.tls), plays, SHORT_S)


# --- what goes on and on at full speed ------------------------------------------------------------


async def test_tcp_without_end() -> None:
    plays = {
        "babbles": (
            endless(b"", b"+pong"),
            failed("the first 16384 bytes are not the expected answer"),
        )
    }
    await assert_results(TCP, plays)


async def test_http_without_end() -> None:
    plays = {
        "status line": (
            endless(b"HTTP/1.1 200 ", b"o"),
            failed("no status line within 4096 bytes"),
        ),
        "interim answers": (endless(b"", INTERIM), ONLY_INTERIM),
        "interim header": (
            endless(b"HTTP/1.1 103 Early Hints\r\n", b"Link: </>\r\n"),
            failed("no status line within 4096 bytes"),
        ),
        "header": (endless(OK, b"X: y\r\n"), passed("HTTP status 200")),
        "body": (endless(OK + b"\r\n", b"x"), passed("HTTP status 200")),
    }
    await assert_results(HTTP, plays)


async def test_a_body_without_end() -> None:
    plays = {
        "interim answers": (endless(b"", INTERIM), ONLY_INTERIM),
        "header": (endless(OK, b"X: y\r\n"), failed("header is longer than 16384 bytes")),
        "line of a header": (endless(OK, b"x"), failed("header is longer than 16384 bytes")),
        "body": (
            endless(OK + b"\r\n", b"x"),
            failed("the body's first 16384 bytes are not as expected"),
        ),
        "chunks": (
            endless(CHUNKED, b"1\r\nx\r\n"),
            failed("no expected body in 4096 chunks"),
        ),
        "size of a chunk": (endless(CHUNKED, b"0"), failed("malformed body")),
        "expected, and more": (
            endless(OK + b"\r\nall is well", b"x"),
            passed("HTTP status 200, and a body as expected"),
        ),
    }
    await assert_results(BODY, plays)


async def test_https_without_end(site: Site) -> None:
    plays = {
        "no TLS": (endless(b"", b"babble"), failed("answered without TLS")),
        "no TLS, and no sense": (endless(b"", b"\0"), failed("answered without TLS")),
        "interim answers": (within(site.context, endless(b"", INTERIM)), ONLY_INTERIM),
        "header": (
            within(site.context, endless(OK, b"X: y\r\n")),
            passed("HTTP status 200"),
        ),
    }
    await assert_results(HttpProbe(tls=site.tls), plays)


async def test_a_body_without_end_in_tls(site: Site) -> None:
    tiny = endless(OK + b"\r\n", b"x")
    plays = {
        "body": (
            within(site.context, tiny),
            failed("the body's first 16384 bytes are not as expected"),
        ),
        "sessions": (flooding_sessions(site), failed("answer goes on beyond 131072 bytes")),
        "records of a byte": (
            within(site.context, bytewise(OK + b"\r\n")),
            failed("answer comes in more than 256 pieces"),
        ),
    }
    await assert_results(replace(BODY, tls=site.tls), plays)
