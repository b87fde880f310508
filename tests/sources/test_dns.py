"""The DNS source on a server that says what the test tells it to: what is an answer, what isn't."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

import sources.dns as module
from registrar.document import Document, read_document
from registrar.errors import ConfigError, SourceError
from registrar.model import Answer, Backend
from registrar.source import Context, Part, read_settings
from registrar.threads import in_thread
from sources.dns import DnsSource
from sources.dns.settings import DnsOptions, DnsQuery
from tests.fakes import NoFiles
from tests.lab.dns_script import SOA, Said, ScriptedDns

DEADLINE_S = 10.0

ONE = {"answer": ["web.test 60 A 10.0.0.1"]}
NODATA = {"authority": [SOA]}
NXDOMAIN = {"rcode": "NXDOMAIN", "authority": [SOA]}
SERVFAIL = {"rcode": "SERVFAIL"}
LAME = {"authority": ["test 60 NS ns.elsewhere."]}


class Dns:
    """Two scripted servers, and a source that asks them."""

    def __init__(self) -> None:
        self.scripts: list[dict[str, Said]] = [{}, {}]
        self.servers = [ScriptedDns(lambda: self.scripts[0]), ScriptedDns(lambda: self.scripts[1])]
        self.source = DnsSource(DnsOptions(), Context(Path(), NoFiles(), in_thread))

    def says(self, question: str, said: Said, server: int = 0) -> None:
        self.scripts[server][question] = said

    def configure(self, *servers: str, **options: object) -> None:
        named = servers or (f"127.0.0.1:{self.servers[0].port}",)
        given = {"servers": named, "timeout": "2s", **options}
        options_ = DnsOptions.model_validate(given)
        self.source = DnsSource(options_, Context(Path(), NoFiles(), in_thread))

    @property
    def both(self) -> list[str]:
        return [f"127.0.0.1:{server.port}" for server in self.servers]

    async def ask(self, name: str = "web.test", **query: object) -> Answer:
        asked = DnsQuery.model_validate({"name": name, **query})
        [part] = await self.source.split(asked)
        async with asyncio.timeout(DEADLINE_S):
            return await self.source.discover(part)

    async def addresses(self, **query: object) -> list[str]:
        return [str(one.address) for one in (await self.ask(**query)).backends]  # type: ignore[arg-type]

    async def refusal(self, **query: object) -> str:
        """Return why the answer is not known; the servers are called first and second."""
        with pytest.raises(SourceError) as caught:
            await self.ask(**query)  # type: ignore[arg-type]
        text = str(caught.value)
        for server, word in zip(self.both, ("first", "second"), strict=True):
            text = text.replace(server, word)
        return text

    async def until_empty(self) -> Answer:
        """Ask until there is an answer, which says that there is nobody."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with contextlib.suppress(SourceError):
                    answer = await self.ask()
                    assert not answer.backends
                    return answer


@pytest.fixture
async def dns() -> AsyncIterator[Dns]:
    made = Dns()
    async with made.servers[0].listening(), made.servers[1].listening():
        made.configure()
        yield made
        await made.source.aclose()


# --- addresses -----------------------------------------------------------------------------------


async def test_each_address_is_a_backend_without_a_port(dns: Dns) -> None:
    dns.says("web.test A", {"answer": ["web.test 60 A 10.0.0.2", "web.test 60 A 10.0.0.1"]})
    answer = await dns.ask()
    assert answer.backends == (Backend(ip_address("10.0.0.1")), Backend(ip_address("10.0.0.2")))
    assert not answer.dropped
    assert answer.window == 0.0


async def test_addresses_of_both_families(dns: Dns) -> None:
    dns.says("web.test A", ONE)
    dns.says("web.test AAAA", {"answer": ["web.test 60 AAAA 2001:db8::1"]})
    assert await dns.addresses() == ["10.0.0.1"]
    assert await dns.addresses(type="AAAA") == ["2001:db8::1"]
    assert await dns.addresses(type="both") == ["10.0.0.1", "2001:db8::1"]


async def test_of_both_families_one_may_have_no_addresses(dns: Dns) -> None:
    dns.says("web.test A", ONE)
    dns.says("web.test AAAA", NODATA)
    assert await dns.addresses(type="both") == ["10.0.0.1"]


async def test_half_of_both_families_is_no_answer(dns: Dns) -> None:
    dns.says("web.test A", ONE)
    dns.says("web.test AAAA", SERVFAIL)
    assert await dns.refusal(type="both") == "web.test AAAA is not known: first: SERVFAIL"


async def test_each_name_is_a_part_of_its_own(dns: Dns) -> None:
    query = DnsQuery.model_validate({"names": ["b.test", "A.test.", "b.test"]})
    assert await dns.source.split(query) == (Part(query, "b.test"), Part(query, "a.test"))


async def test_names_are_never_completed(dns: Dns) -> None:
    dns.says("web A", {"answer": ["web 60 A 10.0.0.1"]})
    assert await dns.addresses(name="web") == ["10.0.0.1"]
    await dns.refusal(name="db")
    assert {line.split()[0] for line in dns.servers[0].asked} == {"web", "db"}


async def test_answers_in_another_order_are_the_same(dns: Dns) -> None:
    records = [f"web.test 60 A 10.0.0.{n}" for n in range(1, 5)]
    dns.says("web.test A", {"answer": records})
    first = await dns.ask()
    dns.says("web.test A", {"answer": records[::-1]})
    assert await dns.ask() == first


# --- aliases -------------------------------------------------------------------------------------


async def test_aliases_are_followed_within_the_answer(dns: Dns) -> None:
    chain = ["web.test 60 CNAME a.test.", "a.test 7 CNAME b.test.", "b.test 60 A 10.0.0.1"]
    dns.says("web.test A", {"answer": chain})
    answer = await dns.ask()
    assert answer.backends == (Backend(ip_address("10.0.0.1")),)
    assert answer.fresh_for == 7
    assert dns.servers[0].asked == ["web.test A udp"]


async def test_an_alias_that_leads_out_of_the_answer_is_asked_for(dns: Dns) -> None:
    dns.says("web.test A", {"answer": ["web.test 9 CNAME a.test."]})
    dns.says("a.test A", {"answer": ["a.test 60 A 10.0.0.1"]})
    answer = await dns.ask()
    assert answer.backends == (Backend(ip_address("10.0.0.1")),)
    assert answer.fresh_for == 9


@pytest.mark.parametrize(
    "answers",
    [
        {"web.test A": ["web.test 60 CNAME a.test.", "a.test 60 CNAME web.test."]},
        {"web.test A": ["web.test 60 CNAME web.test."]},
        {"web.test A": ["web.test 60 CNAME a.test."], "a.test A": ["a.test 60 CNAME web.test."]},
        {
            f"{a}.test A": [f"{a}.test 60 CNAME {b}.test."]
            for a, b in [("web", 0), *((n, n + 1) for n in range(30))]
        },
    ],
)
async def test_aliases_without_end_are_not_knowing(
    dns: Dns, answers: dict[str, Sequence[str]]
) -> None:
    for question, lines in answers.items():
        dns.says(question, {"answer": lines})
    await dns.refusal()
    assert len(dns.servers[0].asked) <= 16


async def test_an_alias_of_what_does_not_exist_is_nxdomain(dns: Dns) -> None:
    dns.says("web.test A", {"answer": ["web.test 60 CNAME a.test."]})
    dns.says("a.test A", NXDOMAIN)
    assert await dns.refusal() == "there is no name a.test (NXDOMAIN)"


# --- SRV -----------------------------------------------------------------------------------------

SRV = "_db._tcp.test"


def srv(*records: str) -> Said:
    return {"answer": [f"{SRV} 60 SRV {record}" for record in records]}


async def test_srv_gives_port_weight_and_tier(dns: Dns) -> None:
    dns.says(f"{SRV} SRV", srv("0 5 5432 a.test.", "10 0 5433 b.test."))
    dns.says("a.test A", {"answer": ["a.test 60 A 10.0.0.1", "a.test 20 A 10.0.0.2"]})
    dns.says("b.test A", {"answer": ["b.test 60 A 10.0.0.3"]})
    answer = await dns.ask(SRV, type="SRV")
    assert answer.backends == (
        Backend(ip_address("10.0.0.1"), 5432, 5),
        Backend(ip_address("10.0.0.2"), 5432, 5),
        Backend(ip_address("10.0.0.3"), 5433, 0, tier=10),
    )
    assert answer.fresh_for == 20


async def test_srv_targets_of_both_families(dns: Dns) -> None:
    dns.says(f"{SRV} SRV", srv("0 5 5432 a.test."))
    dns.says("a.test A", {"answer": ["a.test 60 A 10.0.0.1"]})
    dns.says("a.test AAAA", {"answer": ["a.test 60 AAAA 2001:db8::1"]})
    answer = await dns.ask(SRV, type="SRV", targets="both")
    assert [str(one.address) for one in answer.backends] == ["10.0.0.1", "2001:db8::1"]


async def test_a_target_that_is_named_twice_is_of_its_best_tier(dns: Dns) -> None:
    dns.says(f"{SRV} SRV", srv("3 5 80 a.test.", "1 6 80 b.test.", "2 7 80 a.test."))
    for name in ("a", "b"):
        dns.says(f"{name}.test A", {"answer": [f"{name}.test 60 A 10.0.0.1"]})
    answer = await dns.ask(SRV, type="SRV")
    assert answer.backends == (Backend(ip_address("10.0.0.1"), 80, 6, tier=1),)


async def test_a_target_that_is_not_known_makes_the_whole_unknown(dns: Dns) -> None:
    dns.says(f"{SRV} SRV", srv("0 5 5432 a.test.", "0 5 5432 b.test."))
    dns.says("a.test A", {"answer": ["a.test 60 A 10.0.0.1"]})
    dns.says("b.test A", SERVFAIL)
    why = "b.test A is not known: first: SERVFAIL"
    assert await dns.refusal(name=SRV, type="SRV") == why


async def test_a_target_without_addresses_and_a_port_0_are_dropped(dns: Dns) -> None:
    dns.says(f"{SRV} SRV", srv("0 5 80 a.test.", "0 5 80 b.test.", "0 5 0 a.test."))
    dns.says("a.test A", {"answer": ["a.test 60 A 10.0.0.1"]})
    dns.says("b.test A", NODATA)
    answer = await dns.ask(SRV, type="SRV")
    assert answer.backends == (Backend(ip_address("10.0.0.1"), 80, 5),)
    assert [(drop.record, drop.reason) for drop in answer.dropped] == [
        ("0 5 0 a.test.", "its port is 0"),
        ("0 5 80 b.test.", "b.test has no address"),
    ]


async def test_a_target_that_does_not_exist_is_dropped_once_that_has_lasted(dns: Dns) -> None:
    dns.configure(nxdomainAfter="1ms")
    dns.says(f"{SRV} SRV", srv("0 5 80 a.test.", "0 5 80 b.test."))
    dns.says("a.test A", {"answer": ["a.test 60 A 10.0.0.1"]})
    dns.says("b.test A", NXDOMAIN)
    why = "there is no name b.test (NXDOMAIN)"
    assert await dns.refusal(name=SRV, type="SRV") == why
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with contextlib.suppress(SourceError):
                answer = await dns.ask(SRV, type="SRV")
                break
    assert [drop.reason for drop in answer.dropped] == ["b.test has no address"]
    assert len(answer.backends) == 1


async def test_the_root_for_a_target_says_that_there_is_none(dns: Dns) -> None:
    dns.says(f"{SRV} SRV", srv("0 0 0 ."))
    answer = await dns.ask(SRV, type="SRV")
    assert not answer.backends
    assert not answer.dropped


# --- how long it holds ---------------------------------------------------------------------------


@pytest.mark.parametrize(("ttl", "wanted"), [(0, 3), (2, 3), (30, 30), (2**31 - 1, 2**31 - 1)])
async def test_an_answer_holds_for_its_ttl_but_not_less_than_is_set(
    dns: Dns, ttl: int, wanted: float
) -> None:
    dns.configure(minTtl="3s")
    dns.says("web.test A", {"answer": [f"web.test {ttl} A 10.0.0.1"]})
    assert (await dns.ask()).fresh_for == wanted


@pytest.mark.parametrize(("ttl", "other"), [(50, 40), (40, 50)])
async def test_the_shortest_ttl_of_both_families_counts(dns: Dns, ttl: int, other: int) -> None:
    dns.says("web.test A", {"answer": [f"web.test {ttl} A 10.0.0.1"]})
    dns.says("web.test AAAA", {"answer": [f"web.test {other} AAAA 2001:db8::1"]})
    assert (await dns.ask(type="both")).fresh_for == 40


async def test_a_window_is_handed_on(dns: Dns) -> None:
    dns.says("web.test A", ONE)
    assert (await dns.ask(window="60s")).window == 60.0


# --- what is an answer, and what is not knowing --------------------------------------------------


async def test_no_records_with_an_soa_is_an_empty_answer(dns: Dns) -> None:
    dns.says("web.test A", NODATA)
    answer = await dns.ask()
    assert not answer.backends
    assert answer.fresh_for == 5, "the SOA's own minimum"


async def test_no_records_behind_an_alias_is_an_empty_answer(dns: Dns) -> None:
    dns.says("web.test A", {"answer": ["web.test 60 CNAME a.test."], "authority": [SOA]})
    assert not (await dns.ask()).backends


LAME_WORDS = "it doesn't serve the zone (neither records nor an SOA)"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (SERVFAIL, "SERVFAIL"),
        ({"rcode": "REFUSED"}, "REFUSED"),
        ({"rcode": "NOTIMP"}, "NOTIMP"),
        ({"rcode": "FORMERR"}, "FORMERR"),
        ({"rcode": "SERVFAIL", **ONE}, "SERVFAIL"),
        (LAME, LAME_WORDS),
        ({}, LAME_WORDS),
        ({"authority": [SOA.replace("test ", "elsewhere ", 1)]}, LAME_WORDS),
        ({"answer": ["other.test 60 A 10.0.0.1"]}, LAME_WORDS),
        ({"answer": ["web.test 60 TXT x"]}, LAME_WORDS),
        ({"rcode": "NXDOMAIN", **ONE}, "a malformed answer (AnswerForNXDOMAIN)"),
        ({"fault": "silent"}, "no answer within 0.1 s"),
        ({"fault": "wrong-id"}, "no answer within 0.1 s"),
        ({"fault": "wrong-question"}, "no answer within 0.1 s"),
        ({"fault": "garbage"}, "no answer within 0.1 s"),
        ({"truncated": "both", **ONE}, "the answer is truncated, also over TCP"),
        ({"truncated": "udp", "fault": "close"}, "it closed the connection"),
        ({"truncated": "udp", "fault": "trickle", **ONE}, "no answer within 0.1 s"),
    ],
)
async def test_what_is_not_knowing_and_another_server_may_know(
    dns: Dns, said: Said, why: str
) -> None:
    dns.says("web.test A", said)
    dns.says("web.test A", ONE, server=1)
    if why.startswith("no answer"):
        dns.configure(timeout="300ms")
    assert await dns.refusal() == f"web.test A is not known: first: {why}"
    dns.configure(*dns.both)
    assert await dns.addresses() == ["10.0.0.1"]
    assert dns.servers[0].asked


@pytest.mark.parametrize("fault", ["wrong-id", "wrong-question", "garbage"])
async def test_a_lie_over_tcp_is_not_believed(dns: Dns, fault: str) -> None:
    dns.says("web.test A", {"truncated": "udp", "lies_over": "tcp", "fault": fault, **ONE})
    assert "first: a malformed answer" in await dns.refusal()


async def test_a_lie_is_passed_over_and_the_truth_is_heard(dns: Dns) -> None:
    dns.says("web.test A", {**ONE, "fault": "forged-first"})
    assert await dns.addresses() == ["10.0.0.1"]


async def test_a_server_that_nobody_listens_at_costs_no_time(dns: Dns) -> None:
    gone = ScriptedDns(dict)
    async with gone.listening():
        port = gone.port
    dns.configure(f"127.0.0.1:{port}")
    why = f"web.test A is not known: 127.0.0.1:{port}: Connection refused"
    assert await dns.refusal() == why


async def test_what_all_servers_say_is_told_in_their_order(dns: Dns) -> None:
    dns.configure(*dns.both, timeout="500ms")
    dns.says("web.test A", {"fault": "silent"})
    dns.says("web.test A", SERVFAIL, server=1)
    wanted = "web.test A is not known: first: no answer within 0.1 s; second: SERVFAIL"
    assert await dns.refusal() == wanted
    assert await dns.refusal() == wanted


async def test_a_silent_server_is_asked_again_for_a_datagram_may_be_lost(dns: Dns) -> None:
    dns.configure(timeout="300ms")
    dns.says("web.test A", {"fault": "silent"})
    await dns.refusal()
    assert dns.servers[0].asked == ["web.test A udp"] * 2


async def test_a_server_that_was_silent_is_asked_after_the_others(dns: Dns) -> None:
    dns.configure(*dns.both)
    dns.says("web.test A", {"fault": "silent"})
    dns.says("web.test A", ONE, server=1)
    for _ in range(3):
        assert await dns.addresses() == ["10.0.0.1"]
    assert len(dns.servers[0].asked) == 1
    assert len(dns.servers[1].asked) == 3


async def test_an_answer_too_long_for_a_datagram_comes_over_tcp(dns: Dns) -> None:
    dns.configure(timeout="20s")
    records = [f"web.test 60 A 10.1.{n // 250}.{n % 250}" for n in range(1500)]
    dns.says("web.test A", {"answer": records})
    answer = await dns.ask()
    assert len(answer.backends) == 1500
    assert dns.servers[0].asked == ["web.test A udp", "web.test A tcp"]


async def test_a_hundred_addresses_of_one_name_come_in_one_piece_without_fragments(
    dns: Dns,
) -> None:
    dns.says("web.test A", {"answer": [f"web.test 60 A 10.1.0.{n}" for n in range(100)]})
    assert len((await dns.ask()).backends) == 100
    assert dns.servers[0].asked[-1] == "web.test A tcp", "1,232 bytes are the most of a datagram"


async def test_it_asks_over_ipv6(dns: Dns) -> None:
    server = ScriptedDns(lambda: {"web.test A": ONE})
    async with server.listening("::1"):
        dns.configure(f"[::1]:{server.port}")
        assert await dns.addresses() == ["10.0.0.1"]


# --- NXDOMAIN ------------------------------------------------------------------------------------


async def test_nxdomain_is_not_knowing_at_first_and_then_there_is_nobody(dns: Dns) -> None:
    dns.says("web.test A", NXDOMAIN)
    assert await dns.refusal() == "there is no name web.test (NXDOMAIN)"
    assert await dns.refusal() == "there is no name web.test (NXDOMAIN)"
    dns.configure(nxdomainAfter="20ms")
    await dns.refusal()
    answer = await dns.until_empty()
    assert answer.fresh_for == 5
    assert not (await dns.ask()).backends


@pytest.mark.parametrize("meanwhile", [SERVFAIL, ONE, NODATA])
async def test_nxdomain_has_to_last_without_a_break(dns: Dns, meanwhile: Said) -> None:
    dns.configure(nxdomainAfter="20ms")
    dns.says("web.test A", NXDOMAIN)
    await dns.until_empty()
    dns.says("web.test A", meanwhile)
    with contextlib.suppress(SourceError):
        await dns.ask()
    dns.says("web.test A", NXDOMAIN)
    await dns.refusal()


async def test_names_are_waited_for_each_on_its_own(dns: Dns) -> None:
    dns.configure(nxdomainAfter="20ms")
    for name in ("web.test A", "db.test A"):
        dns.says(name, NXDOMAIN)
    await dns.until_empty()
    await dns.refusal(name="db.test")
    assert not (await dns.ask()).backends


# --- the system's servers ------------------------------------------------------------------------


async def test_without_servers_the_systems_are_asked_as_they_are_now(
    dns: Dns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "resolv.conf"
    monkeypatch.setattr(module, "RESOLV_CONF", file)
    monkeypatch.setattr("registrar.file_reader.SETTLE_S", 0.005)
    system = DnsSource(DnsOptions.model_validate({"timeout": "1s"}), dns.source.context)
    asked: list[list[str]] = []

    async def refusal() -> str:
        [part] = await system.split(DnsQuery(name="web.test"))
        with pytest.raises(SourceError) as caught:
            await system.discover(part)
        return str(caught.value).replace(str(file), "FILE")

    assert await refusal() == "FILE: can't be read: No such file or directory"
    file.write_text("# nameserver 10.0.0.9\nsearch example\noptions ndots:5\n")
    assert await refusal() == "FILE names no server; list `servers` of the source"

    async def note(_self: object, _name: object, _type: object, servers: Sequence[object]) -> None:
        asked.append([str(server) for server in servers])
        raise SourceError("noted")

    monkeypatch.setattr("sources.dns.lookup.Lookup.records", note)

    file.write_text(
        "search example\nnameserver 10.0.0.1\nnameserver nonsense\nnameserver ::1 # x\n"
    )
    await refusal()
    file.write_text("nameserver 10.0.0.2\n")
    await refusal()
    assert asked == [["10.0.0.1", "[::1]"], ["10.0.0.2"]]
    await system.aclose()


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("10.0.0.53", "10.0.0.53"),
        ("10.0.0.53:53", "10.0.0.53"),
        ("10.0.0.53:5353", "10.0.0.53:5353"),
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
        ("[::1]:53", "[::1]"),
        ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ("fe80::1%eth0", "[fe80::1%eth0]"),
    ],
)
def test_a_server_is_an_address_with_or_without_a_port(text: str, wanted: str) -> None:
    [server] = DnsOptions.model_validate({"servers": [text]}).servers
    assert str(server) == wanted


NO_SERVER = (
    "not the address of a DNS server; write one such as 10.20.0.53, 10.20.0.53:5353 or "
    "[2001:db8::53]:53"
)
NO_NAME = "not a DNS name; write one such as web.office.example, in full"
UNCLEAR = (
    "the file: a mapping is not clear about what is asked; "
    "write `name: NAME`, or `names: [NAME, ...]`"
)

Reading = Callable[[str], Document]


@pytest.fixture
def document(tmp_path: Path) -> Reading:
    def document(text: str) -> Document:
        file = tmp_path / "x.yaml"
        file.write_text(text)
        return read_document(file)

    return document


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{{servers: ['{wrong}']}}", f"servers.0: '{wrong}' is {NO_SERVER}")
        for wrong in (
            "",
            "dns.office.example",
            "10.0.0.53:0",
            "10.0.0.53:65536",
            "10.0.0.53:",
            "10.0.0.53:x",
            "[10.0.0.53",
            "[::1]:",
            "[::1]x",
            "::1]:53",
        )
    ]
    + [("{servers: [53]}", f"servers.0: 53 is {NO_SERVER}")]
    + [
        (
            "{minTtl: 100ms}",
            'minTtl: "100ms" is too small; it must be 0.5 or more'.replace('"', "'"),
        )
    ],
)
def test_options_that_are_wrong_are_told_with_their_place(
    document: Reading, text: str, why: str
) -> None:
    assert refused(DnsOptions, document(text)) == why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{{name: '{wrong}'}}", f"name: '{wrong}' is {NO_NAME}")
        for wrong in ("", ".", "a..b", "10.0.0.1", "http://web", "web office", "-web")
    ]
    + [
        (f"{{name: {'x' * 64}}}", f"name: '{'x' * 58}… is {NO_NAME}"),
        ("{name: 7}", f"name: 7 is {NO_NAME}"),
        ("{names: [a.test, 10.0.0.1]}", f"names.1: '10.0.0.1' is {NO_NAME}"),
        ("{names: []}", "names: a list is too short; it needs 1 or more"),
        (
            "{name: a, type: MX}",
            "type: 'MX' is not one of the known values; write 'A', 'AAAA', 'both' or 'SRV'",
        ),
        ("{}", UNCLEAR),
        ("{name: a, names: [b]}", UNCLEAR),
    ],
)
def test_queries_that_are_wrong_are_told_with_their_place(
    document: Reading, text: str, why: str
) -> None:
    assert refused(DnsQuery, document(text)) == why


def refused(model: Any, document: Document) -> str:  # noqa: ANN401  either settings model
    with pytest.raises(ConfigError) as caught:
        read_settings(model, document, (), document.value)
    [problem] = caught.value.problems
    return f"{problem.message}; {problem.remedy}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("WEB.Office.example.", "web.office.example"),
        ("_db._tcp.office.example", "_db._tcp.office.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("3.pool.example", "3.pool.example"),
        ("web", "web"),
    ],
)
def test_a_name_has_one_form(text: str, wanted: str) -> None:
    assert DnsQuery.model_validate({"name": text}).name == wanted


async def test_cancelled_at_any_time_nothing_is_left_open(dns: Dns) -> None:
    dns.says("web.test A", {"fault": "silent"})
    dns.says("web.test AAAA", {"truncated": "udp", "lies_over": "tcp", "fault": "silent"})
    for steps in range(40):
        asked = asyncio.create_task(dns.ask(type="both"))
        for _ in range(steps):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        assert asked.cancelled()
