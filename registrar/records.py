"""Backends as they stand in a list: targets of Prometheus' formats, or mappings of our own."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from registrar.document import Document, Step
from registrar.errors import ConfigError, SourceError
from registrar.model import Answer, Backend, Dropped
from registrar.problems import read_settings, shown
from registrar.settings import Count, HostName, IPAddress, PortNumber, Settings, Text
from registrar.yaml_values import Value

MOST_RECORDS = 200_000
MOST_VALUES = 2_000_000
"""More than these in one answer are taken for an attack, or for a mistake."""

_MAX_DIGITS = 18
"""A longer number is none that anybody means, and int() refuses one of thousands of digits."""


def refuse_long(body: bytes) -> None:
    """Raise SourceError if JSON holds more values than any list of backends.

    Small values take many times the memory that they take on the wire.
    """
    if body.count(b",") > MOST_VALUES:
        raise SourceError(f"the answer holds more than {MOST_VALUES:,} values")


def raw_records(body: bytes) -> list[msgspec.Raw]:
    """Return the items of a JSON list, each as it stands.

    Raise one of MALFORMED if it is none, SourceError if it is longer than any list of backends.
    """
    refuse_long(body)
    found = msgspec.json.decode(body, type=list[msgspec.Raw])
    if len(found) > MOST_RECORDS:
        raise SourceError(f"the answer lists more than {MOST_RECORDS:,} records")
    return found


class _Record(Settings):
    address: IPAddress
    port: PortNumber | None = None
    weight: Count = 1
    zone: Text | None = None
    hostname: HostName | None = None


def read_records(document: Document, path: tuple[Step, ...], values: Sequence[Value]) -> Answer:
    """Return the backends that the records stand for which stand at `path` of a document.

    Those that can't be used are dropped, each with the reason.
    """
    if len(values) > MOST_RECORDS:
        message = f"more than {MOST_RECORDS:,} records"
        raise ConfigError(document.problem(path, message, "list fewer"))
    backends: list[Backend] = []
    dropped: list[Dropped] = []
    for number, value in enumerate(values):
        try:
            backends.append(_read(document, (*path, number), value))
        except ConfigError as error:
            dropped.append(Dropped(shown(value), str(error.problems[0])))
    return Answer(tuple(backends), tuple(dropped))


def _read(document: Document, path: tuple[Step, ...], value: Value) -> Backend:
    fields = _split_port(value) if isinstance(value, str) else value
    record = read_settings(_Record, document, path, fields)
    return Backend(record.address, record.port, record.weight, record.zone, record.hostname)


def _split_port(text: str) -> Value:
    """Return `10.20.1.1:80`, `[2001:db8::1]:80` or a bare address as a record."""
    host, _, port = text.rpartition(":")
    if text.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif text.count(":") != 1:
        return {"address": text}
    is_number = port.isascii() and port.isdigit() and len(port) <= _MAX_DIGITS
    return {"address": host, "port": int(port) if is_number else port}
