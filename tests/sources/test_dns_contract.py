"""The DNS source does what is asked of every source, by UDP, by TCP and with SRV records."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, ClassVar

from registrar.model import Backend
from registrar.testing import Hostile, SourceContract, dropped, error
from sources.dns import DnsSource
from tests.lab.dns_script import SOA, Said, ScriptedDns

SILENCE = "no answer"
QUESTIONS = ("web.test A", "web.test AAAA", "web.test SRV")
NODATA: Said = {"authority": [SOA]}


class _Dns(SourceContract):
    source_class = DnsSource

    over_udp: ClassVar[Said] = {}

    invalid_options: ClassVar[Mapping[str, str]] = {
        "{servers: [dns.example]}": "1:12: servers.0: 'dns.example' is not the address of a DNS",
        "{minTtl: 1ms}": "1:10: minTtl: '1ms' is too small; it must be 0.5 or more",
    }
    invalid_queries: ClassVar[Mapping[str, str]] = {
        "{name: web..test}": "1:8: name: 'web..test' is not a DNS name; write one such as",
        "{}": "write `name: NAME`, or `names: [NAME, ...]`",
    }

    async def set_up(self) -> None:
        self.script: dict[str, Said] = {}
        self.server = ScriptedDns(lambda: self.script)
        self._stack = contextlib.AsyncExitStack()
        await self._stack.enter_async_context(self.server.listening())

    async def tear_down(self) -> None:
        await self._stack.aclose()

    def options(self) -> Mapping[str, object]:
        return {"servers": [f"127.0.0.1:{self.server.port}"]}

    async def fail(self) -> None:
        self.script = {question: {"rcode": "SERVFAIL"} for question in QUESTIONS}

    async def hang(self) -> None:
        self.script = {question: {"fault": "silent"} for question in QUESTIONS}

    async def serve(self, backends: Sequence[Backend]) -> None:
        self.script = {
            f"web.test {rdtype}": {
                "answer": [
                    f"web.test 60 {rdtype} {one.address}"
                    for one in backends
                    if one.address.version == version
                ],
                "authority": [SOA],
                **self.over_udp,
            }
            for rdtype, version in (("A", 4), ("AAAA", 6))
        }

    async def serve_hostile(self, answer: Any) -> None:  # noqa: ANN401  as in the contract
        self.script = {"web.test A": answer, "web.test AAAA": NODATA}

    def backend(self, number: int) -> Backend:
        return Backend(ip_address("10.20.0.0") + number)


class TestDns(_Dns):
    query = {"name": "web.test", "type": "both"}
    many = 1500

    hostile: ClassVar[Mapping[str, Hostile]] = {
        "cut short": error({"answer": ["web.test 60 A 10.20.0.1"], "truncated": "both"}),
        "lame": error({"authority": ["test 60 NS elsewhere."]}, "it doesn't serve the zone"),
        "nothing at all": error({}, "it doesn't serve the zone"),
        "garbage": error({"fault": "garbage"}, SILENCE),
        "a circle": error({"answer": ["web.test 60 CNAME web.test."]}),
        "a circle by way of another": error(
            {"answer": ["web.test 60 CNAME a.test.", "a.test 60 CNAME web.test."]}
        ),
        "records of a name that doesn't exist": error(
            {"rcode": "NXDOMAIN", "answer": ["web.test 60 A 10.20.0.1"]}, "malformed"
        ),
        "no such name": error({"rcode": "NXDOMAIN", "authority": [SOA]}, "NXDOMAIN"),
        "slow": error({"truncated": "udp", "fault": "trickle"}, SILENCE),
        "hung up": error({"truncated": "udp", "fault": "close"}, "closed the connection"),
    }


class TestDnsOverTcp(_Dns):
    query = {"name": "web.test"}
    many = 100
    over_udp: ClassVar[Said] = {"truncated": "udp"}
    hostile: ClassVar[Mapping[str, Hostile]] = {
        "another number": error({**over_udp, "lies_over": "tcp", "fault": "wrong-id"}, "malformed"),
        "another question": error(
            {**over_udp, "lies_over": "tcp", "fault": "wrong-question"}, "malformed"
        ),
    }


class TestDnsServices(_Dns):
    """Each backend is a target of its own."""

    query = {"name": "web.test", "type": "SRV", "targets": "both"}
    many = 100

    hostile: ClassVar[Mapping[str, Hostile]] = {
        "a port 0": dropped("0 1 0 t1.test.", "its port is 0"),
        "a target without addresses": dropped("0 1 80 t2.test.", "t2.test has no address"),
        "a target that isn't known": error("0 1 80 t3.test.", "SERVFAIL"),
    }

    async def serve(self, backends: Sequence[Backend]) -> None:
        records = [f"web.test 60 SRV 0 1 {b.port} t{n}.test." for n, b in enumerate(backends)]
        self.script = {"web.test SRV": {"answer": records, "authority": [SOA]}}
        for number, one in enumerate(backends):
            for rdtype, version in (("A", 4), ("AAAA", 6)):
                is_it = one.address.version == version
                record = f"t{number}.test 60 {rdtype} {one.address}"
                said = {"answer": [record]} if is_it else NODATA
                self.script[f"t{number}.test {rdtype}"] = said

    async def serve_hostile(self, answer: Any) -> None:  # noqa: ANN401  as in the contract
        await self.serve([self.backend(1)] * 2)
        records = ["web.test 60 SRV 0 1 81 t0.test.", f"web.test 60 SRV {answer}"]
        self.script["web.test SRV"] = {"answer": records}
        self.script |= {"t2.test A": NODATA, "t2.test AAAA": NODATA}
        self.script["t3.test A"] = {"rcode": "SERVFAIL"}

    def backend(self, number: int) -> Backend:
        return Backend(ip_address("10.20.0.0") + number, 8080)
