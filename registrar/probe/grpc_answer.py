"""The answer to a call of a health service as it is heard: HTTP/2 by h2, gRPC on top of it.

h2 is given one frame at a time, so that what is hostile ends after few.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import DenialOfServiceError, ProtocolError

from registrar.model import CheckResult
from registrar.probe.grpc_call import MOST_HEADERS, STREAM, Call
from registrar.probe.results import failed

MOST_BYTES = 8192
MOST_FRAMES = 32
"""An answer takes about six, and is of a few hundred bytes."""

_LONGEST_FRAME = 16_384
_HEAD = 9
_SETTINGS, _GOAWAY = 4, 7
_STATUS = re.compile(rb"[2-5][0-9][0-9]")
_TLS_ALERT = b"\x15\x03"
_HTTP_1 = b"HTTP/1."

_BROKEN = failed("broke the rules of HTTP/2")
_TOO_LONG = failed(f"answer longer than {MOST_BYTES} bytes")
_LONG_HEADERS = failed(f"headers longer than {MOST_HEADERS} bytes")
_TOO_MANY = failed(f"answer of more than {MOST_FRAMES} frames")
_NOT_GRPC = failed("answered in HTTP/2, but not in gRPC")
_NO_STATUS = failed("answer without a gRPC status")
_NOT_HTTP_2 = failed("not HTTP/2")
_IN_HTTP_1 = failed("answered in HTTP/1: not gRPC")
_IN_TLS = failed("answered in TLS: the check is to have tls")


class GrpcConversation:
    """Asks the health service, and hears its answer."""

    __slots__ = (
        "_answered",
        "_authority",
        "_body",
        "_call",
        "_code",
        "_frames",
        "_h2",
        "_left",
        "_rest",
    )

    def __init__(self, call: Call, authority: bytes) -> None:
        self._call = call
        self._authority = authority
        self._rest = b""
        self._left = MOST_BYTES
        self._frames = 0
        self._code: bytes | None = None
        self._body = b""
        self._answered = False
        self._h2: H2Connection

    @property
    def awaited(self) -> str:
        """What it waits for."""
        if self._answered:
            return "complete answer of the health service"
        return "answer of the health service" if self._frames else "answer"

    def opening(self) -> bytes:
        """Return the whole call."""
        self._h2 = self._call.begin(self._authority)
        return self._h2.data_to_send()

    def heard(self, data: bytes) -> CheckResult | bytes:
        """Take the frames that are whole."""
        data = data[: self._left]
        self._left -= len(data)
        rest = self._rest + data
        if not self._frames and (result := _no_http_2(rest)) is not None:
            return result
        at = 0
        while len(rest) - at >= _HEAD:
            length = int.from_bytes(rest[at : at + 3], "big")
            if length > _LONGEST_FRAME:
                return _BROKEN
            if (end := at + _HEAD + length) > len(rest):
                break
            if (result := self._take(rest[at:end])) is not None:
                return result
            at = end
        self._rest = rest[at:]
        return self._h2.data_to_send() if self._left else _TOO_LONG

    def ended(self) -> CheckResult:
        """Return that the answer broke off."""
        if not self._frames:
            return _NOT_HTTP_2 if self._rest else failed("closed without an answer")
        return failed(f"closed without {self.awaited}")

    def _take(self, frame: bytes) -> CheckResult | None:
        self._frames += 1
        if self._frames > MOST_FRAMES:
            return _TOO_MANY
        if frame[3] == _GOAWAY:
            return _of_farewell(frame[_HEAD:])
        try:
            events = self._h2.receive_data(frame)
        except DenialOfServiceError:
            return _LONG_HEADERS
        except ProtocolError:
            return _BROKEN
        return self._look_at(events)

    def _look_at(self, events: Iterable[Event]) -> CheckResult | None:
        for event in events:
            if isinstance(event, DataReceived):
                self._body += event.data or b""
            elif isinstance(event, ResponseReceived):
                self._answered = True
                headers = dict(event.headers or ())
                self._code = headers.get(b"grpc-status")
                if (result := self._of_head(headers)) is not None:
                    return result
            elif isinstance(event, TrailersReceived):
                self._code = dict(event.headers or ()).get(b"grpc-status")
            elif isinstance(event, StreamReset):
                if not event.remote_reset:
                    return _BROKEN  # h2 has, for that
                return failed(_named("stream reset", event.error_code))
            elif isinstance(event, StreamEnded):
                if self._code is None:
                    return _NO_STATUS
                return self._call.verdicts.of(self._code, self._body)
        return None

    def _of_head(self, headers: dict[bytes, bytes]) -> CheckResult | None:
        """Return why the head of an answer is none of gRPC's, if so."""
        status = headers.get(b":status", b"")
        if status != b"200":
            return (
                failed(f"HTTP status {status.decode()}") if _STATUS.fullmatch(status) else _BROKEN
            )
        if self._code is None and not headers.get(b"content-type", b"").startswith(
            b"application/grpc"
        ):
            return _NOT_GRPC
        return None


def _no_http_2(heard: bytes) -> CheckResult | None:
    """Return what an answer is that doesn't begin with a SETTINGS frame, once that is clear."""
    if heard[0] == 0:
        is_settings = len(heard) <= 3 or heard[3] == _SETTINGS
        return None if is_settings else _NOT_HTTP_2
    for beginning, result in ((_TLS_ALERT, _IN_TLS), (_HTTP_1, _IN_HTTP_1)):
        if heard.startswith(beginning):
            return result
        if beginning.startswith(heard):
            return None
    return _NOT_HTTP_2


def _of_farewell(payload: bytes) -> CheckResult | None:
    """Return what a GOAWAY amounts to; None where the answer is still to come."""
    if len(payload) < 8:
        return _BROKEN
    last, code = (int.from_bytes(payload[at : at + 4], "big") for at in (0, 4))
    if code == ErrorCodes.NO_ERROR and last & 0x7FFFFFFF >= STREAM:
        return None
    return failed(_named("says GOAWAY", code))


def _named(what: str, code: int) -> str:
    try:
        return f"{what} ({ErrorCodes(code).name})"
    except ValueError:
        return what
