"""A call of a health service, with servers that mean ill."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from registrar.model import CheckResult, Outcome
from registrar.probe.grpc_answer import MOST_BYTES, MOST_FRAMES
from registrar.probe.grpc_call import MOST_HEADERS
from tests.grpc_backend import HEAD, SERVING, Backend, failed, goaway, headers, hear


def settings(count: int) -> SettingsFrame:
    return SettingsFrame(0, dict.fromkeys(range(100, 100 + count), 1))


FLOODS: dict[str, Callable[[], bytes]] = {
    "pings": PingFrame(0, bytes(8)).serialize,
    "settings": settings(0).serialize,
    "long settings": settings(50).serialize,
    "acknowledgements": SettingsFrame(0, flags=["ACK"]).serialize,
    "windows": WindowUpdateFrame(0, 1).serialize,
    "windows of the stream": WindowUpdateFrame(1, 1).serialize,
    "unknown frames": lambda: b"\0\0\0\xfa\0\0\0\0\0",
    "farewells": goaway(1, 0).serialize,
}


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("chunk", [1, 16_384])
def test_a_flood_ends(flood: str, chunk: int) -> None:
    conversation = Backend().conversation
    data = SettingsFrame(0).serialize() + FLOODS[flood]() * 2000
    said = 0
    for at in range(0, len(data), chunk):
        heard = conversation.heard(data[at : at + chunk])
        if isinstance(heard, CheckResult):
            break
        said += len(heard)
    expected = f"answer of more than {MOST_FRAMES} frames", f"answer longer than {MOST_BYTES} bytes"
    assert isinstance(heard, CheckResult)
    assert heard.outcome is Outcome.FAILED
    assert heard.reason in expected
    assert said <= MOST_FRAMES * 17


def continued(*blocks: bytes) -> bytes:
    first = HeadersFrame(1, blocks[0]).serialize()
    return first + b"".join(ContinuationFrame(1, block).serialize() for block in blocks[1:])


BOMB = Encoder().encode([(":status", "200"), ("a", "b" * 3000)], huffman=False) + b"\xbe" * 5000


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            HeadersFrame(1, BOMB, flags=["END_HEADERS"]).serialize(),
            failed(f"headers longer than {MOST_HEADERS} bytes"),
        ),
        (continued(b"", *[b""] * 200), failed(f"answer of more than {MOST_FRAMES} frames")),
        (continued(*[b"a" * 500] * 20), failed(f"answer longer than {MOST_BYTES} bytes")),
        (
            headers([*HEAD, ("grpc-message", "a" * MOST_BYTES)], "END_STREAM").serialize(),
            failed(f"headers longer than {MOST_HEADERS} bytes"),
        ),
        (
            headers(HEAD).serialize() + DataFrame(1, b"a" * 16_384).serialize(),
            failed(f"answer longer than {MOST_BYTES} bytes"),
        ),
        (
            headers(HEAD).serialize() + DataFrame(1, b"").serialize() * 100,
            failed(f"answer of more than {MOST_FRAMES} frames"),
        ),
    ],
    ids=["bomb", "empty continuations", "continuations", "long message", "long body", "empty body"],
)
def test_an_answer_without_an_end_ends(said: bytes, expected: CheckResult) -> None:
    assert hear(said) == expected


PUSHED = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]


@pytest.mark.parametrize(
    "said",
    [
        HeadersFrame(1, b"\xff" * 5000, flags=["END_HEADERS"]).serialize(),
        HeadersFrame(1, b"\x3f" + b"\xff" * 6000 + b"\0", flags=["END_HEADERS"]).serialize(),
        PushPromiseFrame(1, 2, Encoder().encode(PUSHED), flags=["END_HEADERS"]).serialize(),
        WindowUpdateFrame(1, 2**31 - 1).serialize(),
        headers(HEAD, stream=2).serialize(),
        headers(HEAD, stream=3).serialize(),
        DataFrame(1, b"a").serialize(),
        headers(HEAD).serialize() + headers(HEAD).serialize(),
        ContinuationFrame(1, b"").serialize(),
        continued(b"") + PingFrame(0, bytes(8)).serialize(),
        b"\0\0\x08\6\0\0\0\0\1" + bytes(8),  # a PING of the stream
        b"\0\0\5\4\0\0\0\0\0" + bytes(5),  # half a setting
        b"\0\0\6\4\0\0\0\0\0\0\4\xff\xff\xff\xff",  # a window that is too wide
        b"\0\0\1\0\x08\0\0\0\1\xff",  # padding that is longer than its frame
        b"\xff\xff\xff\0\0\0\0\0\1",  # longer than any may be
    ],
)
def test_what_breaks_the_rules(said: bytes) -> None:
    assert hear(said) == failed("broke the rules of HTTP/2")


def test_no_words_of_the_backend_are_in_a_reason() -> None:
    backend = Backend()
    words = "<script>\u202e"
    backend.answer(SERVING, trailers=[("grpc-status", "13"), ("grpc-message", words)])
    assert backend.result() == failed("gRPC status INTERNAL")
