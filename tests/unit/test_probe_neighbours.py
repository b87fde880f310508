"""What a hostile backend costs those that are checked beside it, and in memory."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace

import h11
import pytest

from registrar.expect import Expectation
from registrar.model import CheckResult, Expected, Probe, Target
from registrar.probe.body import BodyConversation
from registrar.probe.exchange import Conversation
from registrar.probe.results import passed
from registrar.probe.status import StatusConversation, Statuses
from registrar.probe.stream import CHUNK as PIECE
from registrar.probe.stream import MOST_HEARD
from registrar.probe.tcp import TcpConversation
from tests.checking import PATIENCE_S, checking
from tests.fakes import CHECK, target
from tests.hostile import Peer, Play, Played, played
from tests.plays import (
    BODY,
    CHUNKED,
    HTTP,
    INTERIM,
    LONG_S,
    OK,
    TCP,
    Site,
    after,
    endless,
    flooding_sessions,
    within,
)

ENOUGH = 10
CHUNK = b"1\r\nx\r\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.made(tmp_path_factory.mktemp("neighbours"))


async def test_backends_at_full_speed_hold_up_nobody(site: Site) -> None:
    https = replace(BODY, tls=site.tls)
    hostile: list[tuple[Probe, Play]] = [
        (TCP, endless(b"", b"babble")),
        (HTTP, endless(b"", INTERIM)),
        (HTTP, endless(b"HTTP/1.1 103 Early Hints\r\n", b"Link: </>\r\n")),
        (BODY, endless(OK, b"X: y\r\n")),
        (BODY, endless(CHUNKED, CHUNK)),
        (https, endless(b"", b"babble")),
        (https, within(site.context, endless(CHUNKED, CHUNK))),
        (https, flooding_sessions(site)),
    ]
    with ExitStack() as stack:

        def asked(probe: Probe, play: Play) -> tuple[Played, Target]:
            server = stack.enter_context(played(play))
            check = replace(CHECK, probe=probe, interval=0.1, timeout=LONG_S)
            return server, target("127.0.0.1", server.port, check)

        bad = [asked(probe, play) for probe, play in hostile]
        good, fine = asked(HTTP, after(OK + b"\r\n", end=Peer.close))
        async with checking(fine, *(one for _, one in bad)) as (_, reports):
            async with asyncio.timeout(PATIENCE_S):
                while good.connections < ENOUGH or any(s.connections < 2 for s, _ in bad):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)  # servers in threads have no event of ours
            assert set(reports.of(fine)) == {passed("HTTP status 200")}


# --- what is kept of an answer --------------------------------------------------------------------

STATUSES = Statuses(((200, 399),))
MOST_KEPT = 500_000


def status() -> Conversation:
    return StatusConversation(b"", STATUSES)


def body() -> Conversation:
    request = h11.Request(method="GET", target="/", headers=[("Host", "a")])
    return BodyConversation(request, STATUSES, Expectation(Expected(b"all is well")))


def tcp() -> Conversation:
    return TcpConversation(b"", Expectation(Expected(rb"^\+PONG$", is_expression=True)))


@pytest.mark.parametrize(
    ("conversation", "beginning", "more"),
    [
        (status, b"HTTP/1.1 200 ", b"o"),
        (status, b"", INTERIM),
        (status, b"HTTP/1.1 103 Early Hints\r\n", b"Link: </>\r\n"),
        (body, b"HTTP/1.1 200 ", b"o"),
        (body, b"", INTERIM),
        (body, OK, b"X: y\r\n"),
        (body, OK + b"\r\n", b"x"),
        (body, CHUNKED, CHUNK),
        (body, CHUNKED, b"0"),
        (tcp, b"", b"+PING"),
    ],
)
def test_an_answer_without_end_is_given_up_by_itself(
    conversation: Callable[[], Conversation], beginning: bytes, more: bytes
) -> None:
    pieces = itertools.chain([beginning], itertools.repeat(more * (PIECE // len(more))))
    held = conversation()  # what it imports is not what it holds
    tracemalloc.start()
    try:
        result, heard = fed(held, pieces)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.reason
    assert heard < 2 * MOST_HEARD
    assert peak < MOST_KEPT


def fed(conversation: Conversation, pieces: Iterable[bytes]) -> tuple[CheckResult, int]:
    """Return how a conversation ends, and after how many bytes."""
    conversation.opening()
    heard = 0
    for piece in pieces:
        heard += len(piece)
        said = conversation.heard(piece)
        if not isinstance(said, bytes):
            return said, heard
    raise AssertionError
