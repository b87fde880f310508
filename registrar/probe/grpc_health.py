"""The messages of the gRPC health checking protocol, and what its answers amount to.

They are of one field each, which takes a few lines of protobuf's encoding and not its library.
Where the words of a backend would be, there are ours: what it says may be anything.
"""

from __future__ import annotations

import struct

from registrar.model import CheckResult
from registrar.probe.results import failed, passed

METHOD = "/grpc.health.v1.Health/Check"
SERVING = passed("serving")
MALFORMED = failed("malformed answer of the health service")

_OK, _NOT_FOUND, _UNIMPLEMENTED = 0, 5, 12
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
"""The codes of grpc-status, as gRPC numbers them."""

_UNKNOWN, _SERVING, _NOT_SERVING, _SERVICE_UNKNOWN = range(4)  # of HealthCheckResponse
_VARINT, _FIXED_64, _DELIMITED, _FIXED_32 = 0, 1, 2, 5  # protobuf's wire types
_LONGEST_VARINT = 10
_FRAME = struct.Struct(">?L")
"""What stands before a message of gRPC: whether it is compressed, and its length."""


def question(service: str) -> bytes:
    """Return a HealthCheckRequest, as it is sent."""
    name = service.encode()
    message = b"\x0a%b%b" % (_varint(len(name)), name) if name else b""
    return _FRAME.pack(False, len(message)) + message  # noqa: FBT003  it takes no keyword


def serving_status(body: bytes) -> int:
    """Return what the HealthCheckResponse in the body of an answer says. Raise ValueError."""
    if len(body) < _FRAME.size:
        raise ValueError("no message")
    is_compressed, length = _FRAME.unpack_from(body)
    at = _FRAME.size
    if is_compressed or length != len(body) - at:
        raise ValueError("not one message")
    status = _UNKNOWN
    while at < len(body):
        key, at = _read_varint(body, at)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _read_varint(body, at)
            status = value if field == 1 else status
        elif kind == _DELIMITED:
            length, at = _read_varint(body, at)
            at += length
        elif kind in (_FIXED_32, _FIXED_64):
            at += 4 if kind == _FIXED_32 else 8
        else:
            raise ValueError("no such type")
        if field == 0 or at > len(body):
            raise ValueError("no such field")
    return status


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(body[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * index
        if byte <= 0x7F:
            return value, at + index + 1
    raise ValueError("no end of a number")


class Verdicts:
    """What the answers to a question about one service amount to."""

    def __init__(self, service: str) -> None:
        named = f"service {service}" if service else "the server as a whole"
        unknown = failed(f"does not know {named}")
        self._codes = {b"%d" % code: failed(f"gRPC status {of}") for code, of in enumerate(_CODES)}
        self._codes[b"%d" % _NOT_FOUND] = unknown
        self._codes[b"%d" % _UNIMPLEMENTED] = failed("has no health service")
        del self._codes[b"%d" % _OK]
        self._said = {
            _SERVING: SERVING,
            _NOT_SERVING: failed("says NOT_SERVING"),
            _UNKNOWN: failed("says UNKNOWN"),
            _SERVICE_UNKNOWN: unknown,
        }

    def of(self, code: bytes, body: bytes) -> CheckResult:
        """Return what a complete answer amounts to: its grpc-status and its body."""
        if code != b"%d" % _OK:
            return self._codes.get(code, MALFORMED)
        try:
            return self._said.get(serving_status(body), MALFORMED)
        except ValueError:
            return MALFORMED
