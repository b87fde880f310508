"""A DNS server that says what a script tells it to, however wrong: in a test, or as a program.

As a program it takes an address, a port and a file of JSON, which it reads again for each question.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
from dns.message import Message

Said = Mapping[str, Any]
"""What is said to one question.

`answer`, `authority`: records as text, `NAME TTL TYPE DATA`. `rcode`. `rotate`: so many of the
answer's records at a time, in turn. `truncated`: `udp` or `both`. `fault`: silent, garbage,
wrong-id, wrong-question, forged-first (lies before the truth), or over TCP close or trickle;
`lies_over`: `tcp`, if that is the only protocol with the fault.
"""

Script = Mapping[str, Said]
"""What is said, by question such as `web.test A`; to others it is REFUSED."""

SOA = "test 60 SOA ns.test hostmaster.test 1 60 60 60 5"
PLAIN_UDP = 512
LIE = "10.66.66.66"


class ScriptedDns:
    """A server on UDP and TCP; `asked` are its questions, as `web.test A udp`."""

    def __init__(self, script: Callable[[], Script]) -> None:
        self._script = script
        self._turn = 0
        self.asked: list[str] = []
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listening(self, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator[None]:
        """Listen within the block; on port 0, on any that is free."""
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, address, port)
        self.port = server.sockets[0].getsockname()[1]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), (address, self.port), family=family
        )
        try:
            yield
        finally:
            transport.close()
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def replies(self, wire: bytes, protocol: str) -> tuple[str, Sequence[bytes]]:
        """Return the fault that there is, and the messages to send."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        asked = f"{question.name.to_text(True)} {question.rdtype.name}"  # noqa: FBT003  no final dot
        self.asked.append(f"{asked} {protocol}")
        said = self._script().get(asked, {"rcode": "REFUSED"})
        fault = said.get("fault", "") if protocol in said.get("lies_over", "udp tcp") else ""
        reply = self._reply(query, said)
        if said.get("truncated") in {"both", protocol}:
            reply.flags |= dns.flags.TC
        true = _wire(reply, query.payload if query.edns >= 0 else PLAIN_UDP, protocol)
        if fault == "silent":
            return fault, ()
        if fault == "garbage":
            return fault, [true[:2] + b"\x81\x80" + b"\xff" * 40]
        lies = [_lie(query, other_id=True), _lie(query, other_id=False)]
        if fault == "wrong-id":
            return fault, lies[:1]
        if fault == "wrong-question":
            return fault, lies[1:]
        return fault, [*lies, true] if fault == "forged-first" else [true]

    def _reply(self, query: Message, said: Said) -> Message:
        reply = dns.message.make_response(query, recursion_available=True)
        reply.set_rcode(dns.rcode.from_text(said.get("rcode", "NOERROR")))
        answer = list(said.get("answer", ()))
        if count := said.get("rotate"):
            answer = [answer[(self._turn + n) % len(answer)] for n in range(count)]
            self._turn += count
        _add(reply, reply.answer, answer)
        _add(reply, reply.authority, said.get("authority", ()))
        return reply

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        ends = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.closing(writer), contextlib.suppress(*ends):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            fault, messages = self.replies(await reader.readexactly(length), "tcp")
            if fault == "close":
                messages = []
            stream = b"".join(struct.pack("!H", len(one)) + one for one in messages)
            for byte in stream if fault == "trickle" else ():
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.2)
            if fault != "trickle":
                writer.write(stream)
            if fault == "silent":
                await reader.read()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: ScriptedDns) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ANN401  as in asyncio
        with contextlib.suppress(dns.exception.DNSException):
            for message in self._server.replies(data, "udp")[1]:
                self._transport.sendto(message, addr)


def _add(reply: Message, section: list[Any], lines: Sequence[str]) -> None:
    for line in lines:
        name, ttl, kind, data = line.split(" ", 3)
        rdtype = dns.rdatatype.from_text(kind)
        rdata = dns.rdata.from_text(
            dns.rdataclass.IN, rdtype, data, dns.name.root, relativize=False
        )
        owner = dns.name.from_text(name)
        rrset = reply.find_rrset(section, owner, dns.rdataclass.IN, rdtype, create=True)
        rrset.add(rdata, int(ttl))


def _wire(reply: Message, payload: int, protocol: str) -> bytes:
    if protocol == "tcp":
        return reply.to_wire(max_size=65_535)
    try:
        return reply.to_wire(max_size=payload)
    except dns.exception.TooBig:
        reply.answer.clear()
        reply.flags |= dns.flags.TC
        return reply.to_wire(max_size=payload)


def _lie(query: Message, *, other_id: bool) -> bytes:
    asked = query.question[0].name.to_text() if other_id else "other.test."
    lie = dns.message.make_response(dns.message.make_query(asked, "A", id=query.id))
    if other_id:
        lie.id = query.id ^ 1
    _add(lie, lie.answer, [f"{asked} 60 A {LIE}"])
    return lie.to_wire()


async def _run(address: str, port: int, file: Path) -> None:
    server = ScriptedDns(lambda: json.loads(file.read_text()))
    async with server.listening(address, port):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
