"""A gRPC server in memory, by h2, that says to a check what a test tells it to."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived
from hpack import Encoder
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, SettingsFrame

from registrar.model import CheckResult, Outcome
from registrar.probe.grpc_answer import GrpcConversation
from registrar.probe.grpc_call import Call

SERVING = b"\x08\x01"
HEAD = ((":status", "200"), ("content-type", "application/grpc"))
OK = (("grpc-status", "0"),)

Headers = Iterable[tuple[str, str]]


class Backend:
    """A gRPC server that answers one call as a test tells it to."""

    def __init__(self, service: str = "shop.Cart", timeout: float = 1.0) -> None:
        call = Call(service, "http", timeout)
        self.conversation = GrpcConversation(call, b"10.20.0.1:50051")
        self.server = H2Connection(H2Configuration(client_side=False))
        self.server.initiate_connection()
        self.request: dict[bytes, bytes] = {}
        self.body = b""
        for event in self.server.receive_data(self.conversation.opening()):
            if isinstance(event, RequestReceived):
                self.request = dict(event.headers)
            elif isinstance(event, DataReceived):
                self.body += event.data

    def answer(self, message: bytes, head: Headers = HEAD, trailers: Headers = OK) -> None:
        self.server.send_headers(1, list(head))
        self.server.send_data(1, struct.pack(">?L", False, len(message)) + message)  # noqa: FBT003
        self.server.send_headers(1, list(trailers), end_stream=True)

    def result(self) -> CheckResult:
        """Deliver all that the server has said; it has to be enough for a result."""
        heard = self.conversation.heard(self.server.data_to_send())
        assert isinstance(heard, CheckResult), heard
        return heard


def passed(reason: str) -> CheckResult:
    return CheckResult(Outcome.PASSED, reason)


def failed(reason: str) -> CheckResult:
    return CheckResult(Outcome.FAILED, reason)


def hear(*frames: Frame | bytes, service: str = "shop.Cart") -> CheckResult | bytes:
    """Return what comes of these frames, after the server's settings."""
    backend = Backend(service)
    said = [SettingsFrame(0), *frames]
    data = b"".join(one if isinstance(one, bytes) else one.serialize() for one in said)
    return backend.conversation.heard(data)


def headers(fields: Headers, *flags: str, stream: int = 1) -> HeadersFrame:
    return HeadersFrame(stream, Encoder().encode(list(fields)), flags=["END_HEADERS", *flags])


def goaway(last: int, code: int) -> GoAwayFrame:
    return GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=b"\x1b[2J")
