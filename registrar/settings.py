"""What every settings model is made of: the strict base and the types of its values.

A value is checked here once; past this boundary nothing is text that has a type of its own.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from registrar.model import Address, Network

DNS_LABEL = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123, section 2.1."""

MAX_PORT = 65_535

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+"
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


class Settings(BaseModel):
    """A frozen part of the configuration: camelCase keys, and none that it doesn't know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, hide_input_in_errors=True
    )


def wrong(message: str, remedy: str, *, hidden: bool = False) -> PydanticCustomError:
    """Return the error that a validator raises: what is wrong with the value, and the remedy.

    A value that holds a secret is to be `hidden`.
    """
    context = {"message": message, "remedy": remedy, "hidden": hidden}
    return PydanticCustomError("registrar", "{message}; {remedy}", context)


def duration(text: str) -> float:
    """Return the seconds that a duration such as 500ms, 5s or 1m30s means, or raise ValueError."""
    if not re.fullmatch(_DURATION, text):
        raise ValueError(f"{text!r} is not a duration; write one such as 500ms, 5s or 2m")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))


def _duration(value: object) -> object:
    try:
        if isinstance(value, str):
            return duration(value)
    except ValueError:
        pass
    raise wrong("not a duration", "write a number with its unit, such as 500ms, 5s or 2m")


def _address(value: object) -> Address:
    try:
        if isinstance(value, str):
            return ip_address(value)
    except ValueError:
        pass
    raise wrong("not an IP address", "write one such as 10.20.0.7 or 2001:db8::7")


def _network(value: object) -> Network:
    if not isinstance(value, str):
        raise wrong("not a network", "write one such as 10.20.0.0/16 or 2001:db8::/48")
    try:
        return ip_network(value)
    except ValueError as error:
        if "host bits" in str(error):
            meant = ip_network(value, strict=False)
            raise wrong("a network with host bits set", f"write {meant}") from None
        raise wrong("not a network", "write one such as 10.20.0.0/16 or 2001:db8::/48") from None


def _ip_port(value: object) -> tuple[Address, int]:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
        if port.isascii() and port.isdigit() and 0 < int(port) <= MAX_PORT:
            return address, int(port)
    except ValueError:
        pass
    raise wrong("not an address with a port", "write one such as 10.20.0.1:53 or [2001:db8::1]:53")


def _listen(value: object) -> tuple[str, int]:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    host = host.removeprefix("[").removesuffix("]")
    try:
        if host:
            ip_address(host)
        if port.isascii() and port.isdigit() and 0 < int(port) <= MAX_PORT:
            return host, int(port)
    except ValueError:
        pass
    raise wrong("not where one can listen", "write one such as :9180 or 127.0.0.1:9180")


def _url(value: object) -> str:
    form = "write one such as https://host.example:8443/path"
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
            raise wrong("not an http or https URL", form)
        _ = parts.port  # which is only looked at here
    except ValueError:
        raise wrong("not an http or https URL", form) from None
    if "@" in parts.netloc:
        raise wrong("a URL with a password", "write the secret into a file", hidden=True)
    if parts.fragment or not str(value).isascii() or not str(value).isprintable():
        raise wrong("a URL with characters that can't be sent", form)
    return str(value)


def _text_schema(**more: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **more})


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    Field(gt=0, le=86_400),
    _text_schema(pattern=f"^{_DURATION}$"),
]
"""Seconds, more than 0 and a day at most; written as `500ms`, `5s`, `2m`."""

PortNumber = Annotated[int, Strict(), Field(ge=1, le=MAX_PORT)]
Count = Annotated[int, Strict(), Field(ge=1, le=1_000)]
IPAddress = Annotated[Address, BeforeValidator(_address), _text_schema(format="ip")]
IPNetwork = Annotated[Network, BeforeValidator(_network), _text_schema(format="cidr")]
IPPort = Annotated[tuple[Address, int], BeforeValidator(_ip_port), _text_schema()]
Listen = Annotated[tuple[str, int], BeforeValidator(_listen), _text_schema()]
"""An address and a port to listen on; an empty address stands for all."""
Url = Annotated[str, BeforeValidator(_url), Field(max_length=4096), _text_schema(format="uri")]
"""An http or https URL. It may show anywhere, so it holds no password."""
HostName = Annotated[str, Strict(), Field(pattern=f"^{DNS_LABEL.pattern}$")]
"""A DNS label, as Kubernetes wants names to be."""
Text = Annotated[str, Strict(), Field(min_length=1, max_length=4096)]
