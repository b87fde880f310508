"""What a check over TLS makes of bytes that are nearly a handshake, or none at all."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.model import CheckResult, Outcome
from registrar.probe.status import StatusConversation, Statuses
from registrar.probe.tls import TlsConversation
from tests.certificates import Authority


class Place:
    family = int(socket.AF_INET)
    at = ("127.0.0.1", 443)
    sockaddr = b""
    kept: object = None


class Ends:
    """The contexts of both."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        self.theirs = authority.server(*authority.issue("web.test"))
        self.ours = ssl.create_default_context(cafile=authority.file)

    def conversation(self) -> TlsConversation:
        within = StatusConversation(b"GET / HTTP/1.1\r\n\r\n", Statuses(((200, 399),)))
        return TlsConversation(self.ours, "web.test", Place(), within)


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    return Ends(tmp_path_factory.mktemp("fuzz"))


CHANGES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=5
)


@given(changes=CHANGES, step=st.integers(1, 3000))
def test_a_handshake_that_is_changed_on_the_way(
    ends: Ends, changes: list[tuple[float, int]], step: int
) -> None:
    conversation = ends.conversation()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(conversation.opening())
    with suppress(ssl.SSLWantReadError):
        ends.theirs.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    flight = bytearray(outgoing.read())
    for where, difference in changes:
        flight[int(where * len(flight))] ^= difference
    assert ending_of(conversation, bytes(flight), step).outcome is not Outcome.PASSED


@given(st.binary(max_size=200), st.integers(1, 60))
def test_no_handshake(ends: Ends, answer: bytes, step: int) -> None:
    conversation = ends.conversation()
    conversation.opening()
    assert ending_of(conversation, answer, step).outcome is Outcome.FAILED


def ending_of(conversation: TlsConversation, answer: bytes, step: int) -> CheckResult:
    for at in range(0, len(answer), step):
        said = conversation.heard(answer[at : at + step])
        if not isinstance(said, bytes):
            break
    else:
        said = conversation.ended()
    assert said.reason.isprintable()
    assert "  " not in said.reason
    return said
