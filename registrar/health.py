"""The settings of health checks: their shape, and the check that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import StrictBool

from registrar.health_values import (
    ExpectedAnswer,
    HeaderFile,
    HeaderName,
    HeaderValue,
    Host,
    HttpPath,
    Interface,
    Sent,
    Statuses,
    expected,
    sent,
)
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
from registrar.settings import Count, Duration, IPAddress, PortNumber, Settings, Text
from registrar.tls import Tls

Kind: TypeAlias = Literal["tcp", "http", "https", "grpc", "udp", "source", "none"]


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
    send: Sent | None = None
    expect: ExpectedAnswer | None = None
    complete_handshake: StrictBool | None = None
    path: HttpPath | None = None
    method: Literal["GET", "HEAD", "OPTIONS", "POST"] | None = None
    host: Host | None = None
    headers: dict[HeaderName, HeaderValue] | None = None
    status: Statuses | None = None
    body: ExpectedAnswer | None = None
    service: Text | None = None
    tls: HealthTls | None = None


_DIALLED = ("tcp", "http", "https", "grpc", "udp")

OF_TYPES = {
    "port": _DIALLED,
    "source_address": _DIALLED,
    "interface": _DIALLED,
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

_OF_ONE_PROTOCOL = ("send", "expect")
"""What is said over TCP is not what is said over UDP."""

Wrong: TypeAlias = Callable[[str | None, str, str], None]
"""Says what is wrong: under which key, if under one alone, and the remedy."""


def over(outer: HealthSettings, inner: HealthSettings) -> HealthSettings:
    """Return the inner settings, completed by the outer ones.

    What belongs to other types than the inner one is not taken from outside.
    """
    given = {key: value for key, value in inner if value is not None}
    merged = outer.model_copy(update=given)
    if inner.type is None:
        return merged
    is_another = outer.type not in {None, inner.type}
    foreign = [
        key
        for key, types in OF_TYPES.items()
        if inner.type not in types or (is_another and key in _OF_ONE_PROTOCOL)
    ]
    return merged.model_copy(update={key: given.get(key) for key in foreign})


def read_check(health: HealthSettings, base: Path, wrong: Wrong) -> HealthCheck | None:
    """Return the check that settings stand for; None where nothing is to be asked.

    Paths in them start from `base`. What is wrong with them is told to `wrong`.
    """
    kind = health.type or "tcp"
    for key, types in OF_TYPES.items():
        if getattr(health, key) is not None and kind not in types:
            name = _camel(key)
            wrong(name, f"`{name}` beside type {kind}", _remedy(key, kind))
    if kind not in _DIALLED:
        return None
    given = {
        name: value
        for name in HealthCheck.__dataclass_fields__.keys() - {"probe"}
        if (value := getattr(health, name)) is not None
    }
    check = HealthCheck(_probe(kind, health, base, wrong), **given)
    _look_at_times(check, wrong)
    return check


def _remedy(key: str, kind: str) -> str:
    types = OF_TYPES[key]
    if types is _DIALLED:
        return "remove it: nothing is dialled then"
    if key == "tls" and kind == "http":
        types = ("https",)
    return f"write {' or '.join(f'`type: {one}`' for one in types)}"


def _look_at_times(check: HealthCheck, wrong: Wrong) -> None:
    interval, fast, timeout = check.interval, check.fast_interval, check.timeout
    for name, shortest in (("interval", interval), ("fastInterval", fast)):
        if shortest is not None and timeout > shortest:
            wrong(
                None,
                f"a timeout of {timeout:g}s is longer than the {name} of {shortest:g}s",
                f"shorten the timeout or lengthen the {name}",
            )
    if fast is not None and fast > interval:
        wrong(
            "fastInterval",
            f"a fastInterval of {fast:g}s is longer than the interval of {interval:g}s",
            "shorten or remove it",
        )


def _probe(kind: str, health: HealthSettings, base: Path, wrong: Wrong) -> Probe:
    if kind in {"http", "https"}:
        return _http(kind, health, base, wrong)
    if kind == "grpc":
        return GrpcProbe(health.service or "", _tls(health.tls, base) if health.tls else None)
    send = b"" if health.send is None else sent(health.send)
    expect = _expected(health.expect)
    if kind == "udp":
        if not send:
            wrong(None, "type udp without `send`", "write what is to be sent")
        return UdpProbe(send, expect)
    if send and expect is None:
        wrong("send", "`send` without `expect`", "write what is to be answered")
    return TcpProbe(send, expect, completes=bool(health.complete_handshake))


def _http(kind: str, health: HealthSettings, base: Path, wrong: Wrong) -> HttpProbe:
    if health.body is not None and health.method == "HEAD":
        wrong("body", "`body` beside `method: HEAD`", "an answer to HEAD has none: write GET")
    names = [name.lower() for name in health.headers or ()]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
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
        _expected(health.body),
        _tls(health.tls or HealthTls(), base) if kind == "https" else None,
    )


def _tls(tls: HealthTls, base: Path) -> ProbeTls:
    ca, crl, cert, key = (
        None if file is None else base / file
        for file in (tls.ca_file, tls.crl_file, tls.cert_file, tls.key_file)
    )
    return ProbeTls(ca, crl, cert, key, tls.server_name, tls.verify)


def _expected(given: ExpectedAnswer | None) -> Expected | None:
    return None if given is None else expected(given)


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(word.capitalize() for word in rest)
