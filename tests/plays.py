"""What hostile servers do on a connection, and what checks of them come to."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from registrar.model import CheckResult, Expected, HttpProbe, Probe, ProbeTls, TcpProbe
from tests.certificates import Authority
from tests.checking import checking
from tests.fakes import CHECK, target
from tests.hostile import Peer, Play, played

SHORT_S, LONG_S = 0.3, 20.0
DRIP_S = 0.02

TCP = TcpProbe(b"PING\r\n", Expected(b"+PONG"))
HTTP = HttpProbe()
BODY = HttpProbe(body=Expected(b"all is well"))

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True)
class Site:
    """How a server shakes hands, and whom a check is to trust for that."""

    context: ssl.SSLContext
    flooding: ssl.SSLContext
    tls: ProbeTls

    @classmethod
    def made(cls, folder: Path) -> Self:
        authority = Authority(folder)
        cert = authority.issue("web", "DNS:web.test")
        flooding = authority.server(*cert)
        flooding.num_tickets = 2_000
        trusted = ProbeTls(ca_file=authority.file, server_name="web.test")
        return cls(authority.server(*cert), flooding, trusted)


def after(*heard_and_said: bytes, end: Callable[[Peer], None] = Peer.wait) -> Play:
    """Hear the request, say this, and end so."""

    def play(peer: Peer) -> None:
        peer.hear()
        for said in heard_and_said:
            peer.say(said)
        end(peer)

    return play


def first(said: bytes, end: Callable[[Peer], None] = Peer.wait) -> Play:
    """Say this before anything is heard."""

    def play(peer: Peer) -> None:
        peer.say(said)
        end(peer)

    return play


def endless(beginning: bytes, more: bytes, pause_s: float = 0) -> Play:
    """Hear the request, begin, and go on without end, at full speed if there is no pause."""
    much = more if pause_s else more * (1 + 65_536 // len(more))

    def play(peer: Peer) -> None:
        peer.hear()
        peer.say(beginning)
        while True:
            peer.say(much)
            if pause_s:
                peer.pause(pause_s)

    return play


def drip(beginning: bytes, more: bytes = b"x") -> Play:
    return endless(beginning, more, DRIP_S)


def within(context: ssl.SSLContext, play: Play) -> Play:
    """Play after a handshake of TLS."""

    def shaken(peer: Peer) -> None:
        peer.shake(context)
        play(peer)

    return shaken


def half_shaken(context: ssl.SSLContext, end: Callable[[Peer], None]) -> Play:
    """Break off in the middle of what a server of TLS says first."""

    def play(peer: Peer) -> None:
        said = peer.first_flight(context)
        peer.say(said[: len(said) // 2])
        end(peer)

    return play


def dripping_flight(context: ssl.SSLContext) -> Play:
    def play(peer: Peer) -> None:
        for number in peer.first_flight(context):
            peer.say(bytes([number]))
            peer.pause(DRIP_S)

    return play


def flooding_sessions(site: Site) -> Play:
    """Offer sessions without end: messages of TLS of which a program never learns."""

    def play(peer: Peer) -> None:
        peer.shake(site.flooding)
        peer.wait()

    return play


def bytewise(beginning: bytes) -> Play:
    def play(peer: Peer) -> None:
        peer.hear()
        peer.say(beginning)
        while True:
            peer.say(b"x")

    return play


async def assert_results(
    probe: Probe, plays: Mapping[str, tuple[Play, CheckResult]], timeout_s: float = LONG_S
) -> None:
    """Check a server for each play, all by one engine, and compare how the first checks end."""
    asked = replace(CHECK, probe=probe, timeout=timeout_s, interval=0.1)
    wrong: dict[str, str] = {}
    with ExitStack() as stack:
        targets = {
            name: target("127.0.0.1", stack.enter_context(played(play)).port, asked)
            for name, (play, _) in plays.items()
        }
        async with checking(*targets.values()) as (_, reports):
            for name, (_, expected) in plays.items():
                found, *_ = await reports.wait_for(targets[name])
                if found != expected:
                    wrong[name] = f"{found.outcome}: {found.reason}, not {expected.reason}"
    assert not wrong, wrong
