"""The values within settings of health checks: what is sent and expected, headers, statuses."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from registrar.expect import Expectation
from registrar.model import Expected
from registrar.settings import Settings, Text, wrong

MOST_SENT = 4096
"""In bytes: as much of `send`, of what is expected, or of the value of a header."""

_TOKEN = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.6.2."""
_RESERVED = frozenset({"host", "connection", "content-length", "transfer-encoding"})
_RANGE = re.compile("([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_HEX = re.compile("(?:[0-9a-fA-F]{2})+")
_EXPRESSION = "not an expression in RE2's syntax"


def _http_path(value: object) -> object:
    if isinstance(value, str) and re.fullmatch("/[!-~]*", value):
        return value
    raise wrong("not a path of a URL", "write one that begins with '/', such as /healthz")


def _host(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.:\[\]-]{1,255}", value):
        return value
    raise wrong("not a Host of HTTP", "write a name, such as web.example or web.example:8080")


def _header_name(value: object) -> object:
    if isinstance(value, str) and value.lower() in _RESERVED:
        remedy = "write `host` beside `headers`" if value.lower() == "host" else "remove it"
        raise wrong("a header that registrar sets itself", remedy)
    if isinstance(value, str) and _TOKEN.fullmatch(value):
        return value
    raise wrong("not the name of a header", "write one such as X-Health")


def _header_line(value: object) -> object:
    # It may be a secret that ought to be in a file.
    if not isinstance(value, str):
        raise wrong("neither text nor a file", "write it in quotes, or {file: PATH}", hidden=True)
    if not value.isascii() or not value.isprintable() or value != value.strip():
        remedy = "write one line of printable ASCII, without blanks at its ends"
        raise wrong("not what a header can hold", remedy, hidden=True)
    if len(value) > MOST_SENT:
        raise wrong("too long", f"{MOST_SENT} characters are the most", hidden=True)
    return value


def _status(value: object) -> tuple[int, int]:
    match = _RANGE.fullmatch(str(value)) if isinstance(value, str | int) else None
    if match is not None and not isinstance(value, bool):
        first, last = int(match[1]), int(match[2] or match[1])
        if 200 <= first <= last:
            return first, last
    raise wrong("not a status, or a range of them", "write one such as 204 or 200-299")


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _interface(value: object) -> object:
    # IFNAMSIZ of Linux is 16, with the zero at the end; ':' is for names of addresses.
    if isinstance(value, str) and re.fullmatch("[!-.0-9;-~]{1,15}", value):
        return value
    raise wrong("not an interface", "write the name of one, such as eth1")


def _plain(value: object) -> object:
    if not isinstance(value, str):
        raise wrong("not text", "put it in quotes, or write bytes as {hex: '0a0b'}")
    if not value:
        raise wrong("empty", "write text, or leave the key out")
    if len(value.encode()) > MOST_SENT:
        raise _too_long()
    return value


def _hex(value: object) -> bytes:
    # A number has lost its leading zeros.
    if isinstance(value, str) and _HEX.fullmatch(value):
        if len(value) > 2 * MOST_SENT:
            raise _too_long()
        return bytes.fromhex(value)
    raise wrong("not bytes in hexadecimal", "write two digits for each, in quotes, such as '0a0b'")


def _expression(value: object) -> object:
    if not isinstance(value, str):
        raise wrong("not text", "put it in quotes")
    if not value:
        raise wrong("empty", "write an expression that some answers don't match")
    try:
        if len(value.encode()) > MOST_SENT:
            raise _too_long()
        Expectation(Expected(value.encode(), is_expression=True))
    except PydanticCustomError:
        raise
    except ValueError as error:
        remedy = "correct it; there are no look-around and no back-references"
        raise wrong(f"{_EXPRESSION}: {error}", remedy) from None
    return value


def _too_long() -> PydanticCustomError:
    return wrong("too long", f"{MOST_SENT} bytes are the most")


def _shape(value: object) -> str:
    # In brackets, as pydantic's own steps of a path that aren't in the file.
    return "(mapping)" if isinstance(value, dict | Settings) else "(text)"


def _text(**more: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **more})


PlainText = Annotated[str, BeforeValidator(_plain), _text(minLength=1)]
Hex = Annotated[bytes, BeforeValidator(_hex), _text(pattern=f"^{_HEX.pattern}$")]
Expression = Annotated[str, BeforeValidator(_expression), _text(minLength=1)]
HttpPath = Annotated[str, BeforeValidator(_http_path), _text(pattern="^/")]
Host = Annotated[str, BeforeValidator(_host), _text()]
HeaderName = Annotated[str, BeforeValidator(_header_name), _text()]
HeaderLine = Annotated[str, BeforeValidator(_header_line), _text(maxLength=MOST_SENT)]
Interface = Annotated[str, BeforeValidator(_interface), _text(maxLength=15)]
_STATUS_SCHEMA: dict[str, object] = {
    "anyOf": [
        {"type": "integer", "minimum": 200, "maximum": 599},
        {"type": "string", "pattern": "^[2-5][0-9]{2}(-[2-5][0-9]{2})?$"},
    ]
}
Statuses = Annotated[
    tuple[Annotated[tuple[int, int], BeforeValidator(_status)], ...],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema(
        {"anyOf": [_STATUS_SCHEMA, {"type": "array", "minItems": 1, "items": _STATUS_SCHEMA}]}
    ),
]


class HeaderFile(Settings):
    """The value of a header that is a secret: the file that holds it."""

    file: Text


class SentBytes(Settings):
    """Bytes that are no text."""

    hex: Hex


class ExpectedBytes(Settings):
    """Bytes that are no text, or an expression; one of the two."""

    hex: Hex | None = None
    regex: Expression | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.hex is None) == (self.regex is None):
            join = "neither bytes nor" if self.hex is None else "both bytes and"
            raise wrong(f"{join} an expression", "write {hex: '0a0b'} or {regex: '^ok'}")
        return self


HeaderValue = Annotated[
    Annotated[HeaderLine, Tag("(text)")] | Annotated[HeaderFile, Tag("(mapping)")],
    Discriminator(_shape),
]
Sent = Annotated[
    Annotated[PlainText, Tag("(text)")] | Annotated[SentBytes, Tag("(mapping)")],
    Discriminator(_shape),
]
ExpectedAnswer = Annotated[
    Annotated[PlainText, Tag("(text)")] | Annotated[ExpectedBytes, Tag("(mapping)")],
    Discriminator(_shape),
]


def sent(given: str | SentBytes) -> bytes:
    """Return the bytes that are to be sent."""
    return given.encode() if isinstance(given, str) else given.hex


def expected(given: str | ExpectedBytes) -> Expected:
    """Return what is expected of an answer."""
    if isinstance(given, str):
        return Expected(given.encode())
    if given.regex is not None:
        return Expected(given.regex.encode(), is_expression=True)
    return Expected(given.hex or b"")
