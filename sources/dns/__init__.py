"""Backends that DNS names: A and AAAA records, and SRV records with what their targets are.

No answer, half an answer, or one of a server that doesn't serve the zone is not knowing. That a
name doesn't exist is believed once it has been said for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import dns.name
from dns.name import Name
from dns.rdatatype import AAAA, SRV, A, RdataType

from registrar.errors import ConfigError, SourceError
from registrar.model import Address, Answer, Backend, Dropped
from registrar.source import (
    Context,
    FileReader,
    Part,
    Source,
)
from sources.dns.lookup import Lookup, NoSuchName, Records, Server, text
from sources.dns.settings import DnsOptions, DnsQuery

T = TypeVar("T")

RESOLV_CONF = Path("/etc/resolv.conf")

_TYPES = {"A": (A,), "AAAA": (AAAA,), "both": (A, AAAA)}


class DnsSource(Source[DnsOptions, DnsQuery]):
    """Asks DNS servers."""

    options_class = DnsOptions
    query_class = DnsQuery

    def __init__(self, options: DnsOptions, context: Context) -> None:
        super().__init__(options, context)
        self._system = FileReader(_read_servers)
        self._lookup = Lookup(options.timeout)
        self._absent: dict[Part[DnsQuery], _Absent] = {}

    def parts(self, query: DnsQuery) -> Sequence[Part[DnsQuery]]:
        """Return a part for each name."""
        names = query.names or (query.name,)
        return tuple(Part(query, name) for name in dict.fromkeys(names) if name is not None)

    async def discover(self, part: Part[DnsQuery]) -> Answer:
        """Return the backends of one name."""
        # What fails in between is forgotten: only what is said without a break is believed.
        before = self._absent.pop(part, {})
        asking = _Asking(self._lookup, await self._servers(), before, self.options.nxdomain_after)
        name = dns.name.from_text(part.name)
        try:
            if part.query.type == "SRV":
                backends, dropped = await asking.services(name, _TYPES[part.query.targets])
            else:
                found = await asking.addresses(name, _TYPES[part.query.type])
                backends, dropped = [Backend(address) for address in found], []
        finally:
            if asking.absent:
                self._absent[part] = asking.absent
        # Servers shuffle what they say: one order, so that the same answer is the same.
        backends.sort(key=lambda one: (one.address.version, one.address, one.port or 0))
        return Answer(
            tuple(backends),
            tuple(dropped),
            window=part.query.window or 0.0,
            fresh_for=max(asking.ttl, self.options.min_ttl),
        )

    async def aclose(self) -> None:
        """End the reading that is under way."""
        await self._system.aclose()

    async def _servers(self) -> Sequence[Server]:
        if self.options.servers:
            return self.options.servers
        try:
            servers = await self._system.read(RESOLV_CONF)
        except OSError as error:
            raise SourceError(f"{RESOLV_CONF}: can't be read: {error.strerror}") from None
        except ConfigError as error:
            raise SourceError(str(error.problems[0])) from None
        if not servers:
            raise SourceError(f"{RESOLV_CONF} names no server; list `servers` of the source")
        return servers


_Absent = dict[tuple[Name, RdataType], float]
"""Since when (monotonic seconds) servers say that a name doesn't exist."""


class _Asking:
    """One question for a part. `ttl` is the shortest of all that was found on the way."""

    def __init__(
        self, lookup: Lookup, servers: Sequence[Server], before: _Absent, patience: float
    ) -> None:
        self._lookup = lookup
        self._servers = servers
        self._before = before
        self._patience = patience
        self.absent: _Absent = {}
        self.ttl = float("inf")

    async def addresses(self, name: Name, types: Iterable[RdataType]) -> list[Address]:
        """Return the addresses of a name: of all types, or it is not known."""
        found = await _all(self._records(name, rdtype) for rdtype in types)
        return [ip_address(rdata.address) for rdatas in found for rdata in rdatas]

    async def services(
        self, name: Name, types: Sequence[RdataType]
    ) -> tuple[list[Backend], list[Dropped]]:
        """Return the targets of a name's SRV records, and those that can't be used."""
        # A target that is named twice is of its best tier.
        services = sorted(await self._records(name, SRV), key=lambda one: -one.priority)
        # The root for a target says that there is no such service here (RFC 2782).
        services = [one for one in services if one.target != dns.name.root]
        targets = list(dict.fromkeys(one.target for one in services))
        found = dict(
            zip(targets, await _all(self.addresses(one, types) for one in targets), strict=True)
        )
        backends: dict[tuple[Address, int], Backend] = {}
        dropped: list[Dropped] = []
        for one in services:
            if not one.port or not found[one.target]:
                why = f"{text(one.target)} has no address" if one.port else "its port is 0"
                dropped.append(Dropped(str(one), why))
                continue
            for address in found[one.target]:
                backends[address, one.port] = Backend(
                    address, one.port, one.weight, tier=one.priority
                )
        return list(backends.values()), sorted(dropped, key=lambda drop: drop.record)

    async def _records(self, name: Name, rdtype: RdataType) -> tuple[Any, ...]:
        try:
            found = await self._lookup.records(name, rdtype, self._servers)
        except NoSuchName as error:
            now = asyncio.get_running_loop().time()
            since = self.absent[name, rdtype] = self._before.get((name, rdtype), now)
            if now - since < self._patience:
                raise
            found = Records((), error.ttl)
        self.ttl = min(self.ttl, found.ttl)
        return found.rdatas


async def _all(questions: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all that is answered. Raise the first error, in their order, once all have ended."""
    questions = tuple(questions)
    if len(questions) == 1:  # as nearly always, and then a task of its own costs more than it
        return [await questions[0]]
    results = await asyncio.gather(*questions, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


def _read_servers(path: Path) -> Sequence[Server]:
    servers = []
    for line in path.read_text(errors="replace").splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and words[1:]:
            try:
                servers.append(Server(ip_address(words[1])))
            except ValueError:
                continue  # as the C library does
    return tuple(servers)
