"""What a check by gRPC hears: frames of HTTP/2, and a message of the health service."""

from __future__ import annotations

import struct

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from hypothesis import given
from hypothesis import strategies as st

from registrar.model import CheckResult, Outcome
from registrar.probe.grpc_answer import MOST_BYTES, MOST_FRAMES
from registrar.probe.grpc_health import serving_status
from tests.fuzz.declared import only
from tests.fuzz.mutation import mutated
from tests.grpc_backend import HEAD, OK, SERVING, Backend, goaway, headers

CHUNK = 16_384
HEADERS = [headers(fields).serialize_body() for fields in (HEAD, OK, (*HEAD, *OK))]
PAYLOADS = [*HEADERS, SERVING, b"\0\0\0\0\2" + SERVING, goaway(1, 0).serialize_body(), bytes(8)]


def answered() -> bytes:
    backend = Backend()
    backend.answer(SERVING)
    return backend.server.data_to_send()


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Draw frames of each type, with contents that fit and that don't."""
    said = b""
    for _ in range(draw(st.integers(0, 8))):
        kind, flags = draw(st.integers(0, 12)), draw(st.integers(0, 255))
        stream = draw(st.sampled_from([0, 1, 1, 1, 2, 3, 2**32 - 1]))
        payload = draw(st.one_of(st.sampled_from(PAYLOADS), mutated(PAYLOADS)))
        said += len(payload).to_bytes(3, "big") + struct.pack(">BBL", kind, flags, stream) + payload
    return said


BEGUN = b"\0\0\0\4\0\0\0\0\0"
SAID = st.one_of(
    mutated([answered(), BEGUN]),
    frames().map(lambda said: BEGUN + said),
    st.tuples(frames(), frames()).map(lambda both: answered()[:60] + b"".join(both)),
    st.binary(max_size=60),
)


@given(SAID, st.sampled_from([1, 7, CHUNK]))
def test_the_answer_to_a_check(said: bytes, chunk: int) -> None:
    conversation = Backend().conversation
    replies = 0
    for at in range(0, len(said), chunk):
        heard = conversation.heard(said[at : at + chunk])
        if isinstance(heard, CheckResult):
            break
        replies += len(heard)
    else:
        heard = conversation.ended()
    assert replies <= MOST_BYTES + MOST_FRAMES * 30
    assert heard.outcome is Outcome.FAILED or heard.reason == "serving"
    assert heard.reason.isprintable()
    assert heard.reason.isascii()
    assert len(conversation.awaited) > 0


@given(st.one_of(mutated([SERVING, b"\x12\x01a" + SERVING]), st.binary(max_size=40)))
def test_the_message_of_a_health_service(message: bytes) -> None:
    status = None
    with only(ValueError):
        status = serving_status(struct.pack(">?L", False, len(message)) + message)  # noqa: FBT003
    if status is not None:
        try:
            theirs = health_pb2.HealthCheckResponse.FromString(message).status
        except DecodeError:
            raise AssertionError(f"protobuf takes {message!r} for malformed") from None
        assert theirs % 2**32 == status % 2**32
