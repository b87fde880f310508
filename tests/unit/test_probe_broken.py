"""Backends that break off at any step, or speak something else than is asked for."""

from __future__ import annotations

import pytest

from registrar.model import CheckResult, Expected, HttpProbe, TcpProbe
from registrar.probe.results import failed, passed
from tests.hostile import Peer, Play
from tests.plays import (
    BODY,
    CHUNKED,
    HTTP,
    OK,
    TCP,
    Site,
    after,
    assert_results,
    first,
    half_shaken,
    within,
)

SETTINGS = bytes.fromhex("000006040000000000000300000064")
"""What a server of HTTP/2 begins with."""
BANNERS = {
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "SMTP": b"220 mail.test ESMTP\r\n",
    "a database": bytes.fromhex("4a0000000a352e372e3232") + bytes(64),
}
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
HALF_HEADER = OK + b"Content-Le"
HALF_BODY = OK + b"Content-Length: 11\r\n\r\nall is"
HALF_CHUNK = CHUNKED + b"b\r\nall is"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.made(tmp_path_factory.mktemp("broken"))


def reset_without(awaited: str) -> CheckResult:
    return failed(f"connection reset by peer, without {awaited}")


# --- resets ---------------------------------------------------------------------------------------


async def test_tcp_that_is_reset() -> None:
    plays = {
        "at once": (Peer.reset, reset_without("answer")),
        "after what is sent": (after(end=Peer.reset), reset_without("answer")),
        "in the answer": (after(b"+PO", end=Peer.reset), reset_without("expected answer")),
        "after the answer": (after(b"+PONG", end=Peer.reset), passed("answered as expected")),
    }
    await assert_results(TCP, plays)


async def test_http_that_is_reset() -> None:
    plays = {
        "at once": (Peer.reset, reset_without("answer")),
        "after the request": (after(end=Peer.reset), reset_without("answer")),
        "in the status line": (
            after(b"HTTP/1.1 20", end=Peer.reset),
            reset_without("complete status line"),
        ),
        "in the header": (after(HALF_HEADER, end=Peer.reset), passed("HTTP status 200")),
    }
    await assert_results(HTTP, plays)


async def test_a_body_that_is_reset() -> None:
    plays = {
        "at once": (Peer.reset, reset_without("answer")),
        "in the status line": (
            after(b"HTTP/1.1 20", end=Peer.reset),
            reset_without("complete header"),
        ),
        "in the header": (after(HALF_HEADER, end=Peer.reset), reset_without("complete header")),
        "in the body": (after(HALF_BODY, end=Peer.reset), reset_without("complete body")),
        "in a chunk": (after(HALF_CHUNK, end=Peer.reset), reset_without("complete body")),
    }
    await assert_results(BODY, plays)


async def test_https_that_is_reset(site: Site) -> None:
    def shaken(play: Play) -> Play:
        return within(site.context, play)

    plays = {
        "at once": (Peer.reset, reset_without("TLS handshake")),
        "after the first word": (after(end=Peer.reset), reset_without("TLS handshake")),
        "in the handshake": (
            half_shaken(site.context, Peer.reset),
            reset_without("TLS handshake"),
        ),
        "right after the handshake": (shaken(Peer.reset), reset_without("answer")),
        "after the request": (shaken(after(end=Peer.reset)), reset_without("answer")),
        "in the status line": (
            shaken(after(b"HTTP/1.1 20", end=Peer.reset)),
            reset_without("complete status line"),
        ),
    }
    await assert_results(HttpProbe(tls=site.tls), plays)


# --- ends -----------------------------------------------------------------------------------------

NO_ANSWER = failed("closed without an answer")
BROKE_OFF = failed("answer broke off")


async def test_tcp_that_is_closed() -> None:
    plays = {
        "after what is sent": (after(end=Peer.close), NO_ANSWER),
        "in the answer": (
            after(b"+PO", end=Peer.close),
            failed("closed after another answer than expected"),
        ),
    }
    await assert_results(TCP, plays)


async def test_tcp_that_is_closed_at_once() -> None:
    await assert_results(TcpProbe(expect=Expected(b"220 ")), {"": (Peer.close, NO_ANSWER)})


async def test_http_that_is_closed() -> None:
    plays = {
        "after the request": (after(end=Peer.close), NO_ANSWER),
        "in the status line": (after(b"HTTP/1.1 20", end=Peer.close), BROKE_OFF),
        "in the header": (after(HALF_HEADER, end=Peer.close), passed("HTTP status 200")),
    }
    await assert_results(HTTP, plays)


async def test_a_body_that_is_closed() -> None:
    plays = {
        "after the request": (after(end=Peer.close), NO_ANSWER),
        "in the status line": (after(b"HTTP/1.1 20", end=Peer.close), BROKE_OFF),
        "in the header": (after(HALF_HEADER, end=Peer.close), BROKE_OFF),
        "in the body": (after(HALF_BODY, end=Peer.close), BROKE_OFF),
        "in a chunk": (after(HALF_CHUNK, end=Peer.close), BROKE_OFF),
        "which is the body's end": (
            after(OK + b"\r\n", b"all is well", end=Peer.close),
            passed("HTTP status 200, and a body as expected"),
        ),
        "which is another body's end": (
            after(OK + b"\r\n", b"all is", end=Peer.close),
            failed("another body than expected"),
        ),
    }
    await assert_results(BODY, plays)


async def test_https_that_is_closed(site: Site) -> None:
    def shaken(play: Play) -> Play:
        return within(site.context, play)

    no_handshake = failed("closed without TLS handshake")
    plays = {
        "after the first word": (after(end=Peer.close), no_handshake),
        "in the handshake": (half_shaken(site.context, Peer.close), no_handshake),
        "after the request": (shaken(after(end=Peer.close)), NO_ANSWER),
        "in the status line": (shaken(after(b"HTTP/1.1 20", end=Peer.close)), BROKE_OFF),
    }
    await assert_results(HttpProbe(tls=site.tls), plays)


# --- other protocols ------------------------------------------------------------------------------


async def test_tcp_where_something_else_answers() -> None:
    other = failed("closed after another answer than expected")
    plays = {name: (first(said, end=hear_and_close), other) for name, said in BANNERS.items()}
    plays["a proxy"] = (after(BAD_GATEWAY, end=Peer.close), other)
    await assert_results(TCP, plays)


@pytest.mark.parametrize("probe", [HTTP, BODY])
async def test_http_where_something_else_answers(probe: HttpProbe, site: Site) -> None:
    plays = {name: (first(said), failed("not HTTP")) for name, said in BANNERS.items()}
    plays["HTTP/2"] = (first(SETTINGS), failed("answered in HTTP/2"))
    plays["a proxy"] = (after(BAD_GATEWAY), failed("HTTP status 502"))
    plays["TLS"] = (within(site.context, after()), reset_without("answer"))
    alert = bytes.fromhex("15030300020246")
    in_tls = failed("answered in TLS: type https is for that")
    plays["TLS that says so"] = (after(alert), in_tls)
    await assert_results(probe, plays)


async def test_https_where_something_else_answers(site: Site) -> None:
    plain = failed("answered without TLS")
    plays = {name: (first(said), plain) for name, said in BANNERS.items()}
    plays["HTTP"] = (after(b"HTTP/1.1 400 Bad Request\r\n\r\n"), plain)
    plays["HTTP/2"] = (within(site.context, after(SETTINGS)), failed("answered in HTTP/2"))
    plays["SSH in TLS"] = (within(site.context, after(BANNERS["SSH"])), failed("not HTTP"))
    refused = "refused the TLS handshake: "
    for alert, words in {
        40: "handshake failure",
        80: "internal error",
        112: "unrecognized name",
    }.items():
        said = bytes.fromhex("1503030002" + f"02{alert:02x}")
        plays[words] = (after(said), failed(refused + words))
    await assert_results(HttpProbe(tls=site.tls), plays)


def hear_and_close(peer: Peer) -> None:
    peer.hear()
    peer.close()
