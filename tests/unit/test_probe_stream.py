"""A conversation on a connection, step by step."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from registrar.expect import Expectation
from registrar.model import CheckResult, Expected
from registrar.probe.results import failed
from registrar.probe.stream import StreamExchange
from registrar.probe.tcp import TcpConversation

S = TypeVar("S", bound=StreamExchange)
NOW = select.EPOLLIN | select.EPOLLOUT


class Piecemeal(StreamExchange):
    """Gets one byte at a time, as from a peer that sends the next when the last has been read."""

    __slots__ = ()

    def recv(self, _most: int, _flags: int = 0, /) -> bytes:
        return super().recv(1)


class Chat:
    """Says something of its own to whatever it hears."""

    awaited = "answer"

    def opening(self) -> bytes:
        return b"hello"

    def heard(self, _data: bytes) -> CheckResult | bytes:
        return b"go on"

    def ended(self) -> CheckResult:
        return failed("closed")


@contextmanager
def connected(kind: type[S]) -> Iterator[tuple[S, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = kind(socket.AF_INET, socket.SOCK_STREAM)
        ours.connect(listener.getsockname())
        ours.setblocking(False)  # noqa: FBT003  it takes no keyword
        theirs, _ = listener.accept()
    try:
        with theirs:
            yield ours, theirs
    finally:
        ours.close()


def test_an_answer_in_pieces_without_end_is_given_up() -> None:
    with connected(Piecemeal) as (ours, theirs):
        ours.hold(TcpConversation(b"", Expectation(Expected(b"+PONG"))))
        theirs.sendall(b"+ping" * 1000)
        assert ours.ready(NOW) == failed("answer comes in more than 256 pieces")


def test_one_that_closes_while_it_is_talked_to_has_closed() -> None:
    with connected(StreamExchange) as (ours, theirs):
        ours.hold(Chat())
        theirs.sendall(b"bye")
        theirs.close()  # so that our first word is answered by a reset, and the second not sent
        assert ours.ready(NOW) == failed("closed")
