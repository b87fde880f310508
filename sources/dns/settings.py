"""What can be set of the DNS source, and asked of it."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Literal, Self

import dns.exception
import dns.name
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from registrar.source import Duration, Options, Query, wrong
from sources.dns.lookup import Server

_LABEL = re.compile(rb"[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?")


def _server(value: object) -> Server:
    host, port = str(value), "53"
    if host.startswith("[") or host.count(":") == 1:
        host, _, port = host.rpartition(":") if not host.endswith("]") else (host, ":", port)
        host = host.removeprefix("[").removesuffix("]")
    try:
        if isinstance(value, str) and port.isascii() and 0 < int(port) <= 65_535:
            return Server(ip_address(host), int(port))
    except ValueError:
        pass
    raise wrong(
        "not the address of a DNS server",
        "write one such as 10.20.0.53, 10.20.0.53:5353 or [2001:db8::53]:53",
    )


def _name(value: object) -> str:
    """Return a name in its one form: lower case, without the last dot, IDNA where need be."""
    try:
        if isinstance(value, str):
            name = dns.name.from_text(value).canonicalize()
            labels, text = name.labels[:-1], name.to_text(omit_final_dot=True)
            is_address = labels[-1:] and labels[-1].isdigit()
            if labels and not is_address and all(map(_LABEL.fullmatch, labels)):
                return text
    except (dns.exception.DNSException, UnicodeError):
        pass
    raise wrong("not a DNS name", "write one such as web.office.example, in full")


DnsName = Annotated[str, BeforeValidator(_name)]


class DnsOptions(Options):
    """Which servers are asked, in turn until one knows; without any, those of /etc/resolv.conf.

    A name is asked for again when its TTL ends, but not sooner than `minTtl`, nor later than
    `interval`. One that doesn't exist has no backends after `nxdomainAfter`.
    """

    servers: tuple[
        Annotated[Server, BeforeValidator(_server), WithJsonSchema({"type": "string"})], ...
    ] = ()
    min_ttl: Annotated[Duration, Field(ge=0.5)] = 1.0
    nxdomain_after: Duration = 30.0


class DnsQuery(Query):
    """Names, written in full, and the type of their records; `targets` is that of SRV's targets.

    `window`: of servers that name some of the records in turn, what was named within it counts.
    """

    name: DnsName | None = None
    names: Annotated[tuple[DnsName, ...], Field(min_length=1)] | None = None
    type: Literal["A", "AAAA", "both", "SRV"] = "A"
    targets: Literal["A", "AAAA", "both"] = "A"
    window: Duration | None = None

    @model_validator(mode="after")
    def _has_a_name(self) -> Self:
        if (self.name is None) == (self.names is None):
            raise wrong(
                "not clear about what is asked", "write `name: NAME`, or `names: [NAME, ...]`"
            )
        return self
