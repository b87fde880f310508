"""Asks DNS servers for the records of one name, and tells their answers apart.

It must never take a part of an answer, or the answer to something else, for the answer.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
from dns.name import Name
from dns.rdata import Rdata
from dns.rdatatype import SOA, RdataType

from registrar.errors import SourceError
from registrar.model import Address

LONGEST_TRY_S = 2.0
TRIES = 2
"""A server that is silent is asked again after the others: a datagram may be lost."""

SHUNNED_S = 30.0
"""A server that was silent is asked after the others for so long."""

SAFE_PAYLOAD = 1232
"""What a datagram may hold without being cut in pieces on its way: DNS Flag Day 2020."""

MOST_ALIASES = 16
MOST_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Server:
    """Where a DNS server listens."""

    address: Address
    port: int = 53

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return host if self.port == 53 else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Records:
    """What a name has of one type, all of it; for `ttl` seconds it need not be asked again."""

    rdatas: tuple[Rdata, ...]
    ttl: int


class NoSuchName(SourceError):
    """A server says that the name doesn't exist (NXDOMAIN), which holds for `ttl` seconds."""

    def __init__(self, message: str, ttl: int) -> None:
        super().__init__(message)
        self.ttl = ttl


class _Useless(Exception):
    """One server's answer, or its silence, says nothing."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What one answer says: that there is no such name, the records, or under which name to ask."""

    ttl: int
    records: tuple[Rdata, ...] | None = None
    alias: Name | None = None


class Lookup:
    """Asks each server in turn until one knows. A question takes `timeout` seconds at most."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._silent_at: dict[Server, float] = {}
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)

    async def records(self, name: Name, rdtype: RdataType, servers: Sequence[Server]) -> Records:
        """Return the records of a name, or of the one that it is an alias of.

        Raise NoSuchName where a server says so, SourceError where none of them knows.
        """
        asked = [name]
        ttl: float = float("inf")
        while True:
            step = await self._ask(asked[-1], rdtype, servers)
            ttl = min(ttl, step.ttl)
            if step.records is not None:
                return Records(step.records, int(ttl))
            if step.alias is None:
                raise NoSuchName(f"there is no name {text(asked[-1])} (NXDOMAIN)", int(ttl))
            if step.alias in asked or len(asked) == MOST_ALIASES:
                raise SourceError(f"the aliases (CNAME) of {text(name)} lead in a circle")
            asked.append(step.alias)

    async def _ask(self, name: Name, rdtype: RdataType, servers: Sequence[Server]) -> _Step:
        seconds = min(LONGEST_TRY_S, self._timeout / (TRIES * len(servers) + 1))
        why: dict[Server, str] = {}
        for server in self._in_order(servers) * TRIES:
            if server in why and server not in self._silent_at:
                continue
            try:
                async with self._slots, asyncio.timeout(seconds):
                    step = _step(await _exchange(name, rdtype, server))
            except TimeoutError:
                why[server] = f"no answer within {seconds:.2g} s"
            except OSError as error:
                why[server] = os.strerror(error.errno) if error.errno else type(error).__name__
            except _Useless as error:
                why[server] = str(error)
                self._silent_at.pop(server, None)
                continue
            else:
                self._silent_at.pop(server, None)
                return step
            self._silent_at[server] = _now()
        # In the order of the configuration, so that the same failure has the same words.
        said = "; ".join(f"{server}: {why[server]}" for server in servers)
        raise SourceError(f"{text(name)} {rdtype.name} is not known: {said}")

    def _in_order(self, servers: Sequence[Server]) -> list[Server]:
        """Return the servers, those last that were silent of late."""
        since = _now() - SHUNNED_S
        return sorted(servers, key=lambda server: self._silent_at.get(server, since) > since)


async def _exchange(name: Name, rdtype: RdataType, server: Server) -> dns.message.Message:
    """Return a server's whole answer, by TCP where it doesn't fit into a datagram."""
    query = dns.message.make_query(name, rdtype, use_edns=0, payload=SAFE_PAYLOAD)
    where, family = str(server.address), _family(server)
    try:
        try:
            # A connected socket: the kernel keeps out whatever comes from elsewhere, and tells at
            # once where nobody listens.
            backend = dns.asyncbackend.get_backend("asyncio")
            connection = await backend.make_socket(  # type: ignore[no-untyped-call]  # it has no types
                family, socket.SOCK_DGRAM, 0, None, (where, server.port)
            )
            async with connection as udp:
                # What is forged, or of another question, is passed over, for the true one may come.
                answer = await dns.asyncquery.udp(
                    query,
                    where,
                    port=server.port,
                    sock=udp,
                    ignore_unexpected=True,
                    ignore_errors=True,
                    raise_on_truncation=True,
                )
        except dns.message.Truncated:
            answer = await dns.asyncquery.tcp(query, where, port=server.port)
    except EOFError:
        raise _Useless("it closed the connection") from None
    except dns.exception.DNSException as error:
        raise _Useless(f"a malformed answer ({type(error).__name__})") from None
    if answer.flags & dns.flags.TC:
        raise _Useless("the answer is truncated, also over TCP")
    return answer


def _step(answer: dns.message.Message) -> _Step:
    """Return what an answer says. Raise _Useless where that is nothing."""
    rcode = answer.rcode()
    if rcode not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        raise _Useless(dns.rcode.to_text(rcode))
    if not isinstance(answer, dns.message.QueryMessage):
        raise _Useless("an answer to another kind of question")
    try:
        chain = answer.resolve_chaining()
    except dns.exception.DNSException as error:
        raise _Useless(f"a malformed answer ({type(error).__name__})") from None
    if rcode == dns.rcode.NXDOMAIN:
        return _Step(chain.minimum_ttl)
    if chain.answer is not None:
        return _Step(chain.minimum_ttl, tuple(chain.answer))
    # Only the zone's SOA says that there is nothing; without it a server just points elsewhere.
    if any(s.rdtype == SOA and chain.canonical_name.is_subdomain(s.name) for s in answer.authority):
        return _Step(chain.minimum_ttl, ())
    if chain.cnames:
        return _Step(min(alias.ttl for alias in chain.cnames), alias=chain.canonical_name)
    raise _Useless("it doesn't serve the zone (neither records nor an SOA)")


def _family(server: Server) -> int:
    return socket.AF_INET6 if server.address.version == 6 else socket.AF_INET


def text(name: Name) -> str:
    """Return a name as people write it."""
    return name.to_text(omit_final_dot=True)


def _now() -> float:
    return asyncio.get_running_loop().time()
