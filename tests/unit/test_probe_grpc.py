"""A call of a health service, with a server in memory."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RequestReceived
from hyperframe.frame import DataFrame, Frame, PingFrame, SettingsFrame

from registrar.model import CheckResult
from registrar.probe.grpc_answer import GrpcConversation
from registrar.probe.grpc_call import Call
from registrar.probe.grpc_health import serving_status
from tests.grpc_backend import (
    HEAD,
    OK,
    SERVING,
    Backend,
    Headers,
    failed,
    goaway,
    headers,
    hear,
    passed,
)

# --- what is asked -------------------------------------------------------------------------------


def test_the_health_service_is_asked_as_grpc_has_it() -> None:
    backend = Backend("shop.Cart", timeout=2.5)
    assert backend.request == {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/grpc.health.v1.Health/Check",
        b":authority": b"10.20.0.1:50051",
        b"te": b"trailers",
        b"grpc-timeout": b"2600m",
        b"content-type": b"application/grpc",
        b"user-agent": b"registrar",
    }
    assert backend.body == b"\x00\x00\x00\x00\x0b\x0a\x09shop.Cart"


def test_a_backend_is_asked_by_its_own_name() -> None:
    call = Call("", "https", 1.0)
    first = b"10.20.0.1:50051"
    for name in (first, first, b"a" * 250, b"[2001:db8::1]:50051"):
        server = H2Connection(H2Configuration(client_side=False))
        server.initiate_connection()
        (request,) = (
            event
            for event in server.receive_data(GrpcConversation(call, name).opening())
            if isinstance(event, RequestReceived)
        )
        assert dict(request.headers)[b":authority"] == name
        assert dict(request.headers)[b"user-agent"] == b"registrar"


def test_a_long_name_of_a_service_and_none() -> None:
    assert Backend("").body == b"\x00\x00\x00\x00\x00"
    name = "a" * 300
    assert Backend(name).body == b"\x00\x00\x00\x01\x2f\x0a\xac\x02" + name.encode()


@pytest.mark.parametrize(("timeout", "sent"), [(0.0001, b"100m"), (1e9, b"99999999m")])
def test_the_timeout_is_a_little_longer_and_stays_within_what_grpc_can_say(
    timeout: float, sent: bytes
) -> None:
    assert Backend(timeout=timeout).request[b"grpc-timeout"] == sent


# --- what a health service says ------------------------------------------------------------------

UNKNOWN_SERVICE = failed("does not know service shop.Cart")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (SERVING, passed("serving")),
        (b"\x08\x02", failed("says NOT_SERVING")),
        (b"\x08\x00", failed("says UNKNOWN")),
        (b"", failed("says UNKNOWN")),
        (b"\x08\x03", UNKNOWN_SERVICE),
        # fields that are not known are passed over: of each type, and of a high number
        (b"\x10\x05\x19" + bytes(8) + b"\x22\x02hi\x2d" + bytes(4) + SERVING, passed("serving")),
        (SERVING + b"\x10\x02", passed("serving")),
        (b"\xfa\x01\x01a" + SERVING, passed("serving")),
        (b"\x08\x02" + SERVING, passed("serving")),  # the last one counts
        (b"\x0a\x01\x01", failed("says UNKNOWN")),  # a string where the status would be
    ],
)
def test_what_the_health_service_says(message: bytes, expected: CheckResult) -> None:
    backend = Backend()
    backend.answer(message)
    assert backend.result() == expected


MALFORMED = failed("malformed answer of the health service")


@pytest.mark.parametrize(
    "message",
    [
        b"\x08",
        b"\x08\x80",
        b"\x08" + b"\x80" * 20 + b"\x01",
        b"\x88" + b"\x80" * 12 + b"\x00\x01",
        b"\x08\x04",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x00\x01",
        b"\x12\xff\xff\xff\xff\x0fa",
        b"\x11\x01",
        b"\x15\x01",
        b"\x0b\x0c",
        b"\x0e\x01",
        b"<html>",
    ],
)
def test_a_message_that_is_malformed(message: bytes) -> None:
    backend = Backend()
    backend.answer(message)
    assert backend.result() == MALFORMED


@pytest.mark.parametrize(
    "body",
    [b"", b"\0\0\0\0", b"\0\0\0\0\3\x08\1", b"\0\0\0\0\1\x08\1", b"\1\0\0\0\2\x08\1"],
)
def test_a_body_that_is_not_one_message(body: bytes) -> None:
    with pytest.raises(ValueError, match="message"):
        serving_status(body)
    backend = Backend()
    backend.server.send_headers(1, list(HEAD))
    backend.server.send_data(1, body)
    backend.server.send_headers(1, list(OK), end_stream=True)
    assert backend.result() == MALFORMED


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("5", UNKNOWN_SERVICE),
        ("12", failed("has no health service")),
        ("2", failed("gRPC status UNKNOWN")),
        ("14", failed("gRPC status UNAVAILABLE")),
        ("16", failed("gRPC status UNAUTHENTICATED")),
        ("17", MALFORMED),
        ("00", MALFORMED),
        ("what ever", MALFORMED),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_the_status_of_grpc(code: str, at_once: bool, expected: CheckResult) -> None:  # noqa: FBT001
    backend = Backend()
    said = [("grpc-status", code), ("grpc-message", "from the backend")]
    if at_once:  # without any trailers
        backend.server.send_headers(1, [*HEAD, *said], end_stream=True)
    else:
        backend.answer(SERVING, trailers=said)
    assert backend.result() == expected


def test_a_server_that_knows_nothing_of_itself() -> None:
    backend = Backend("")
    backend.server.send_headers(1, [*HEAD, ("grpc-status", "5")], end_stream=True)
    assert backend.result() == failed("does not know the server as a whole")


def test_ok_without_a_message() -> None:
    backend = Backend()
    backend.server.send_headers(1, [*HEAD, *OK], end_stream=True)
    assert backend.result() == MALFORMED


def test_an_answer_that_comes_byte_by_byte() -> None:
    backend = Backend()
    assert backend.conversation.awaited == "answer"
    backend.answer(SERVING)
    said = backend.server.data_to_send()
    answers = b""
    waited = ["answer"]
    for index in range(len(said)):
        heard = backend.conversation.heard(said[index : index + 1])
        if isinstance(heard, CheckResult):
            assert heard == passed("serving")
            assert index == len(said) - 1
            break
        answers += heard
        if (awaited := backend.conversation.awaited) != waited[-1]:
            waited.append(awaited)
    assert waited == [
        "answer",
        "answer of the health service",
        "complete answer of the health service",
    ]
    acknowledged, *more = Frame.parse_frame_header(memoryview(answers[:9]))
    assert isinstance(acknowledged, SettingsFrame)
    assert "ACK" in acknowledged.flags
    assert more


def test_a_ping_is_answered() -> None:
    heard = hear(PingFrame(0, b"8 bytes."))
    assert isinstance(heard, bytes)
    assert PingFrame(0, b"8 bytes.", flags=["ACK"]).serialize() in heard


def test_an_interim_answer_is_passed_over() -> None:
    backend = Backend()
    backend.server.send_headers(1, [(":status", "103")])
    backend.answer(SERVING)
    assert backend.result() == passed("serving")


# --- what is no health service -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ([(":status", "503"), ("content-type", "application/grpc")], failed("HTTP status 503")),
        ([(":status", "404")], failed("HTTP status 404")),
        ([(":status", "301")], failed("HTTP status 301")),
        ([(":status", "200")], failed("answered in HTTP/2, but not in gRPC")),
        (
            [(":status", "200"), ("content-type", "text/html")],
            failed("answered in HTTP/2, but not in gRPC"),
        ),
        ([(":status", "\x1b[2J")], failed("broke the rules of HTTP/2")),
        ([(":status", "99999")], failed("broke the rules of HTTP/2")),
        ([], failed("broke the rules of HTTP/2")),
    ],
)
def test_an_answer_of_http_alone(head: Headers, expected: CheckResult) -> None:
    assert hear(headers(head)) == expected


@pytest.mark.parametrize("content", [[*HEAD], [*HEAD, ("x", "y")]])
def test_an_answer_without_a_status_of_grpc(content: Headers) -> None:
    without = failed("answer without a gRPC status")
    assert hear(headers(content, "END_STREAM")) == without
    assert hear(headers(content), headers([("a", "b")], "END_STREAM")) == without
    data = DataFrame(1, b"\0\0\0\0\2\x08\1", flags=["END_STREAM"])
    assert hear(headers(content), data) == without


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", failed("answered in HTTP/1: not gRPC")),
        (b"HTTP/1.", failed("answered in HTTP/1: not gRPC")),
        (
            b"\x15\x03\x01\x00\x02\x02\x46",
            failed("answered in TLS: the check is to have tls"),
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", failed("not HTTP/2")),
        (b"<html>", failed("not HTTP/2")),
        (b"\xff", failed("not HTTP/2")),
        (b"HTTPS", failed("not HTTP/2")),
        (b"\x00\x00\x00\x00", failed("not HTTP/2")),  # no SETTINGS come first
        (bytes(100), failed("not HTTP/2")),
    ],
)
def test_what_is_not_http_2(said: bytes, expected: CheckResult) -> None:
    assert Backend().conversation.heard(said) == expected
    slow = Backend().conversation
    heard: CheckResult | bytes = b""
    for byte in said:
        if (heard := slow.heard(bytes([byte]))) != b"":
            break
    assert heard == expected


@pytest.mark.parametrize("said", [b"\x00", b"\x00\x00\x12\x04\x00", b"\x15", b"HTTP/"])
def test_what_breaks_off_before_it_is_http_2(said: bytes) -> None:
    conversation = Backend().conversation
    assert conversation.heard(said) == b""
    assert conversation.ended() == failed("not HTTP/2")


def test_one_that_closes() -> None:
    backend = Backend()
    assert backend.conversation.ended() == failed("closed without an answer")
    assert isinstance(backend.conversation.heard(backend.server.data_to_send()), bytes)
    assert backend.conversation.ended() == failed("closed without answer of the health service")
    backend.server.send_headers(1, list(HEAD))
    assert backend.conversation.heard(backend.server.data_to_send()) == b""
    awaited = "complete answer of the health service"
    assert backend.conversation.ended() == failed(f"closed without {awaited}")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ErrorCodes.REFUSED_STREAM, failed("stream reset (REFUSED_STREAM)")),
        (ErrorCodes.INTERNAL_ERROR, failed("stream reset (INTERNAL_ERROR)")),
        (12345, failed("stream reset")),
    ],
)
def test_a_stream_that_is_reset(code: int, expected: CheckResult) -> None:
    backend = Backend()
    backend.server.send_headers(1, list(HEAD))
    backend.server.reset_stream(1, code)
    assert backend.result() == expected


def test_one_that_goes_away() -> None:
    assert hear(goaway(0, 0)) == failed("says GOAWAY (NO_ERROR)")
    assert hear(goaway(1, 11)) == failed("says GOAWAY (ENHANCE_YOUR_CALM)")
    assert hear(goaway(1, 12345)) == failed("says GOAWAY")
    assert hear(b"\0\0\4\7\0\0\0\0\0\0\0\0\1") == failed("broke the rules of HTTP/2")


def test_one_that_answers_before_it_goes_away() -> None:
    answered = (
        headers(HEAD),
        DataFrame(1, b"\0\0\0\0\2\x08\1"),
        headers(OK, "END_STREAM"),
    )
    assert hear(goaway(2**31 - 1, 0), *answered) == passed("serving")
    assert hear(*answered, goaway(1, 2), b"\xff" * 100) == passed("serving")
