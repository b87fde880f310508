"""One backend as it stands in a list: a target of Prometheus' formats, or a mapping of our own."""

from __future__ import annotations

from registrar.document import Document, Step, Value
from registrar.model import Backend
from registrar.problems import read_settings
from registrar.settings import Count, HostName, IPAddress, PortNumber, Settings, Text

_MAX_DIGITS = 18
"""A longer number is none that anybody means, and int() refuses one of thousands of digits."""


class _Record(Settings):
    address: IPAddress
    port: PortNumber | None = None
    weight: Count = 1
    zone: Text | None = None
    hostname: HostName | None = None


def read_record(document: Document, path: tuple[Step, ...], value: Value) -> Backend:
    """Return the backend that a record stands for. Raise ConfigError if it can't be used."""
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
