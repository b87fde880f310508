"""The settings of health checks: their shape, and the check that they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, StrictBool, WithJsonSchema

from registrar.expect import Expectation
from registrar.model import (
    Expected,
    GrpcProbe,
    Header,
    HealthCheck,
    HttpProbe,
    Probe,
    ProbeTls,
    TcpProbe,
    UdpProbe,
)
from registrar.settings import Count, Duration, IPAddress, PortNumber, Settings, Text, wrong
from registrar.tls import Tls

MOST_SENT = 4096
"""In bytes: as much of `send`, or of the headers of a request."""

_TOKEN = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.6.2."""
_RESERVED = frozenset({"host", "connection", "content-length", "transfer-encoding"})
_RANGE = re.compile("([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
_HEX = re.compile("(?:[0-9a-fA-F]{2})+")

Kind: TypeAlias = Literal["tcp", "http", "https", "grpc", "udp", "source", "none"]


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
        raise wrong(f"header {value} is not to be given", "registrar sets it; `host` gives Host")
    if isinstance(value, str) and _TOKEN.fullmatch(value):
        return value
    raise wrong("not the name of a header", "write one such as X-Health")


def _line(value: object) -> object:
    if isinstance(value, str) and value.isascii() and value.isprintable():
        return value
    raise wrong("not the value of a header", "write one line of printable ASCII")


def _status(value: object) -> tuple[int, int]:
    match = _RANGE.fullmatch(str(value)) if isinstance(value, str | int) else None
    if match is not None and not isinstance(value, bool):
        first, last = int(match[1]), int(match[2] or match[1])
        if 200 <= first <= last:
            return first, last
    raise wrong("not a status, or a range of them", "write one such as 204 or 200-299")


def _interface(value: object) -> object:
    # IFNAMSIZ of Linux is 16, with the zero at the end.
    if isinstance(value, str) and re.fullmatch("[!-.0-~]{1,15}", value):
        return value
    raise wrong("not an interface", "write the name of one, such as eth1")


def _bytes(value: object) -> bytes:
    if isinstance(value, str) and value:
        found = value.encode()
    elif isinstance(value, dict) and set(value) == {"hex"} and _HEX.fullmatch(str(value["hex"])):
        found = bytes.fromhex(str(value["hex"]))
    else:
        raise wrong("not what can be sent", "write text, or bytes as {hex: 0a0b}")
    if len(found) > MOST_SENT:
        raise wrong(f"longer than {MOST_SENT} bytes", "shorten it")
    return found


def _expected(value: object) -> Expected:
    if isinstance(value, dict) and set(value) == {"regex"} and isinstance(value["regex"], str):
        found = Expected(value["regex"].encode(), is_expression=True)
        try:
            Expectation(found)
        except ValueError as error:
            remedy = "write one in RE2's syntax, without look-around and back-references"
            raise wrong(f"not a regular expression: {error}", remedy) from None
        return found
    try:
        return Expected(_bytes(value))
    except ValueError:
        remedy = "write text, bytes as {hex: 0a0b}, or an expression as {regex: '^ok'}"
        raise wrong("not what can be expected", remedy) from None


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _schema(*kinds: dict[str, object]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": list(kinds)})


_HEX_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"hex": {"type": "string", "pattern": f"^{_HEX.pattern}$"}},
    "required": ["hex"],
    "additionalProperties": False,
}
_REGEX_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"regex": {"type": "string"}},
    "required": ["regex"],
    "additionalProperties": False,
}
_TEXT_SCHEMA: dict[str, object] = {"type": "string", "minLength": 1}

Bytes = Annotated[bytes, BeforeValidator(_bytes), _schema(_TEXT_SCHEMA, _HEX_SCHEMA)]
ExpectedAnswer = Annotated[
    Expected, BeforeValidator(_expected), _schema(_TEXT_SCHEMA, _HEX_SCHEMA, _REGEX_SCHEMA)
]
HttpPath = Annotated[
    str, BeforeValidator(_http_path), WithJsonSchema({"type": "string", "pattern": "^/"})
]
Host = Annotated[str, BeforeValidator(_host), WithJsonSchema({"type": "string"})]
HeaderName = Annotated[str, BeforeValidator(_header_name), WithJsonSchema({"type": "string"})]
HeaderLine = Annotated[str, BeforeValidator(_line), Field(max_length=MOST_SENT)]
Interface = Annotated[str, BeforeValidator(_interface), WithJsonSchema({"type": "string"})]
Status = Annotated[
    tuple[int, int],
    BeforeValidator(_status),
    _schema(
        {"type": "integer", "minimum": 200, "maximum": 599},
        {"type": "string", "pattern": "^[2-5][0-9]{2}(-[2-5][0-9]{2})?$"},
    ),
]


class HeaderFile(Settings):
    """The value of a header that is a secret: the file that holds it."""

    file: Text


class HealthTls(Tls):
    """TLS of a check. Without `verify` any certificate will do.

    `crlFile` has the lists of what the authorities have revoked.
    """

    crl_file: Text | None = None
    verify: StrictBool = True


class HealthSettings(Settings):
    """How backends are judged. What isn't given is taken from `defaults.health`."""

    type: Kind | None = None
    interval: Duration | None = None
    fast_interval: Duration | None = None
    timeout: Duration | None = None
    rise: Count | None = None
    fall: Count | None = None
    port: PortNumber | None = None
    source_address: IPAddress | None = None
    interface: Interface | None = None
    send: Bytes | None = None
    expect: ExpectedAnswer | None = None
    complete_handshake: StrictBool | None = None
    path: HttpPath | None = None
    method: Literal["GET", "HEAD", "OPTIONS", "POST"] | None = None
    host: Host | None = None
    headers: dict[HeaderName, HeaderLine | HeaderFile] | None = None
    status: Annotated[tuple[Status, ...], BeforeValidator(_listed), Field(min_length=1)] | None = (
        None
    )
    body: ExpectedAnswer | None = None
    service: Text | None = None
    tls: HealthTls | None = None


OF_TYPES = {
    "send": ("tcp", "udp"),
    "expect": ("tcp", "udp"),
    "complete_handshake": ("tcp",),
    "path": ("http", "https"),
    "method": ("http", "https"),
    "host": ("http", "https"),
    "headers": ("http", "https"),
    "status": ("http", "https"),
    "body": ("http", "https"),
    "service": ("grpc",),
    "tls": ("https", "grpc"),
}
"""The settings that belong to some types alone."""

_DIALLED = ("port", "source_address", "interface")

Wrong: TypeAlias = Callable[[str | None, str, str], None]
"""Says what is wrong: under which key, if under one alone, and the remedy."""


def over(outer: HealthSettings, inner: HealthSettings) -> HealthSettings:
    """Return the inner settings, completed by the outer ones.

    What belongs to other types than the inner one is not taken from outside.
    """
    merged = outer.model_copy(update={key: getattr(inner, key) for key in inner.model_fields_set})
    if inner.type is None:
        return merged
    foreign = [
        key
        for key, types in OF_TYPES.items()
        if inner.type not in types and key not in inner.model_fields_set
    ]
    return merged.model_copy(update=dict.fromkeys(foreign))


def read_check(health: HealthSettings, base: Path, wrong: Wrong) -> HealthCheck | None:
    """Return the check that settings stand for; None where nothing is to be asked.

    Paths in them start from `base`. What is wrong with them is told to `wrong`.
    """
    kind = health.type or "tcp"
    for key, types in OF_TYPES.items():
        if getattr(health, key) is not None and kind not in types:
            name = _camel(key)
            wrong(name, f"`{name}` beside type {kind}", f"write `type: {' or '.join(types)}`")
    if kind in {"none", "source"}:
        for key in _DIALLED:
            if key in health.model_fields_set and getattr(health, key) is not None:
                wrong(_camel(key), f"`{_camel(key)}` beside type {kind}", "nothing is dialled then")
        return None
    given = {
        name: value
        for name in ("interval", "timeout", "rise", "fall", "fast_interval", *_DIALLED)
        if (value := getattr(health, name)) is not None
    }
    check = HealthCheck(_probe(kind, health, base, wrong), **given)
    for name, shortest in (("interval", check.interval), ("fastInterval", check.fast_interval)):
        if shortest is not None and check.timeout > shortest:
            wrong(
                None,
                f"a timeout of {check.timeout:g}s is longer than the {name} of {shortest:g}s",
                f"shorten the timeout or lengthen the {name}",
            )
    if check.fast_interval is not None and check.fast_interval > check.interval:
        wrong("fastInterval", "fastInterval is longer than the interval", "shorten or remove it")
    return check


def _probe(kind: str, health: HealthSettings, base: Path, wrong: Wrong) -> Probe:
    if kind == "udp":
        if health.send is None:
            wrong(None, "type udp without `send`", "write what is to be sent")
        return UdpProbe(health.send or b"", health.expect)
    if kind == "grpc":
        return GrpcProbe(health.service or "", _tls(health.tls, base) if health.tls else None)
    if kind in {"http", "https"}:
        return _http(kind, health, base, wrong)
    if health.send is not None and health.expect is None:
        wrong("send", "`send` without `expect`", "write what is to be answered")
    return TcpProbe(health.send or b"", health.expect, completes=bool(health.complete_handshake))


def _http(kind: str, health: HealthSettings, base: Path, wrong: Wrong) -> HttpProbe:
    if health.body is not None and health.method == "HEAD":
        wrong("body", "`body` beside `method: HEAD`", "an answer to HEAD has none: write GET")
    names = [name.lower() for name in health.headers or ()]
    for name in {name for name in names if names.count(name) > 1}:
        wrong("headers", f"header {name} stands twice", "keep one of them")
    headers = tuple(
        Header(name, file=base / value.file)
        if isinstance(value, HeaderFile)
        else Header(name, value)
        for name, value in (health.headers or {}).items()
    )
    default = HttpProbe()
    return HttpProbe(
        health.path or default.path,
        health.method or default.method,
        health.host,
        headers,
        health.status or default.statuses,
        health.body,
        _tls(health.tls or HealthTls(), base) if kind == "https" else None,
    )


def _tls(tls: HealthTls, base: Path) -> ProbeTls:
    ca, crl, cert, key = (
        None if file is None else base / file
        for file in (tls.ca_file, tls.crl_file, tls.cert_file, tls.key_file)
    )
    return ProbeTls(ca, crl, cert, key, tls.server_name, tls.verify)


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)
