"""The Consul source between agents that behave as real ones rarely do."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from registrar.errors import SourceError
from registrar.files import Files
from registrar.model import Answer, Backend, Verdict
from registrar.source import Context, Part
from registrar.testing.asking import awaited
from registrar.threads import in_thread
from sources.consul import source as module
from sources.consul.source import ConsulOptions, ConsulQuery, ConsulSource
from tests.sources.consul_agent import Asked, Said, ScriptedAgent, instance

DEADLINE_S = 10.0
UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN

ONE = Backend(ip_address("10.20.0.1"), 8080, health=UP)
MAINTENANCE = {"CheckID": "_service_maintenance:web-1", "Status": "critical"}
NODE_MAINTENANCE = {"CheckID": "_node_maintenance", "Status": "critical"}


class Site:
    """A source, the agents that it asks, and the directory of its files."""

    def __init__(self, base: Path, agents: list[ScriptedAgent], files: Files) -> None:
        self.base = base
        self.agents = agents
        self.agent = agents[0]
        self._files = files
        self._sources: list[ConsulSource] = []

    def source(self, *agents: ScriptedAgent, **options: object) -> ConsulSource:
        urls = [agent.url for agent in agents or self.agents[:1]]
        settings = ConsulOptions.model_validate({"url": urls, **options})
        self._sources.append(ConsulSource(settings, Context(self.base, self._files, in_thread)))
        return self._sources[-1]

    async def ask(self, **query: object) -> Answer:
        return await self.source().discover(part(**query))

    async def refusal(self, source: ConsulSource | None = None) -> SourceError:
        with pytest.raises(SourceError) as caught:
            await (source or self.source()).discover(part())
        return caught.value

    async def aclose(self) -> None:
        for source in self._sources:
            await source.aclose()


def part(**query: object) -> Part[ConsulQuery]:
    return Part(ConsulQuery.model_validate({"service": "web", **query}), "all")


@pytest.fixture(autouse=True)
def _no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)  # the system's take long to read


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    agents = [ScriptedAgent() for _ in range(3)]
    files = Files()
    for agent in agents:
        await agent.start()
    made = Site(tmp_path, agents, files)
    yield made
    await made.aclose()
    for agent in agents:
        await agent.stop()
    await files.aclose()


@contextlib.asynccontextmanager
async def watching(source: ConsulSource) -> AsyncIterator[AsyncGenerator[Answer]]:
    async with asyncio.timeout(DEADLINE_S), contextlib.aclosing(source.watch(part())) as told:
        yield told


@contextlib.asynccontextmanager
async def next_of(told: AsyncGenerator[Answer]) -> AsyncIterator[asyncio.Task[Answer]]:
    """Wait for what is told next; whatever is still waited for at the end is let go of."""
    waiting = asyncio.create_task(awaited(anext(told)))
    try:
        yield waiting
    finally:
        waiting.cancel()
        await asyncio.wait([waiting])


async def says_nothing(waiting: asyncio.Task[Answer]) -> None:
    """Assert that nothing is told, for as long as a busy loop would need to give itself away."""
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()


# --- records -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "query", "wanted"),
    [
        (instance(), {}, ONE),
        (instance("2001:db8::1"), {}, Backend(ip_address("2001:db8::1"), 8080, health=UP)),
        (instance(port=None), {}, Backend(ip_address("10.20.0.1"), None, health=UP)),
        (instance(port=0), {}, Backend(ip_address("10.20.0.1"), None, health=UP)),
        (instance(""), {}, Backend(ip_address("10.20.9.9"), 8080, health=UP)),
        # its checks
        (instance("10.20.0.1", 8080, "passing", "passing"), {}, ONE),
        (instance("10.20.0.1", 8080, "passing", "critical"), {}, Backend(ONE.address, 8080)),
        (instance("10.20.0.1", 8080, "warning", "critical"), {}, Backend(ONE.address, 8080)),
        (instance("10.20.0.1", 8080, "passing", "warning"), {}, ONE),
        (
            instance("10.20.0.1", 8080, "passing", "warning"),
            {"warning": "down"},
            Backend(ONE.address, 8080),
        ),
        (instance("10.20.0.1", 8080, "warning"), {"warning": "omit"}, None),
        (instance("10.20.0.1", 8080, "critical"), {"critical": "omit"}, None),
        (instance("10.20.0.1", 8080, "passing"), {"warning": "omit", "critical": "omit"}, ONE),
        (
            instance("10.20.0.1", 8080, "passing", "odd"),
            {},
            Backend(ONE.address, 8080, health=UNKNOWN),
        ),
        (
            instance(checks=[MAINTENANCE]),
            {"critical": "omit"},
            Backend(ONE.address, 8080, draining=True, health=UP),
        ),
        (
            instance(checks=[NODE_MAINTENANCE, {"CheckID": "a", "Status": "critical"}]),
            {},
            Backend(ONE.address, 8080, draining=True, health=DOWN),
        ),
        # weights and zones
        (
            instance("10.20.0.1", 8080, "passing", Weights={"Passing": 10, "Warning": 2}),
            {},
            Backend(ONE.address, 8080, 10, health=UP),
        ),
        (
            instance("10.20.0.1", 8080, "warning", Weights={"Passing": 10, "Warning": 2}),
            {},
            Backend(ONE.address, 8080, 2, health=UP),
        ),
        (instance(Meta={"zone": "a"}), {}, ONE),
        (
            instance(Meta={"zone": "a"}, node={"Meta": {"zone": "b"}}),
            {"zoneMeta": "zone"},
            Backend(ONE.address, 8080, zone="a", health=UP),
        ),
        (
            instance(Meta=None, node={"Meta": {"rack": "b"}}),
            {"zoneMeta": "rack"},
            Backend(ONE.address, 8080, zone="b", health=UP),
        ),
        (instance(Meta={"zone": ""}), {"zoneMeta": "zone"}, ONE),
        # tagged addresses
        (
            instance(TaggedAddresses={"wan": {"Address": "192.0.2.1", "Port": 80}}),
            {"taggedAddress": "wan"},
            Backend(ip_address("192.0.2.1"), 80, health=UP),
        ),
        (
            instance(TaggedAddresses={"virtual": {"Address": "192.0.2.1"}}),
            {"taggedAddress": "virtual"},
            Backend(ip_address("192.0.2.1"), 8080, health=UP),
        ),
        (
            instance("", node={"TaggedAddresses": {"wan": "192.0.2.9"}}),
            {"taggedAddress": "wan"},
            Backend(ip_address("192.0.2.9"), 8080, health=UP),
        ),
        (instance(), {"taggedAddress": "lan"}, ONE),
    ],
)
async def test_what_a_record_means(
    site: Site, record: Mapping[str, Any], query: Mapping[str, object], wanted: Backend | None
) -> None:
    if wanted is not None and wanted == Backend(ONE.address, 8080) and "odd" not in str(record):
        wanted = Backend(ONE.address, 8080, health=DOWN)
    await site.agent.set(record)
    assert await site.ask(**query) == Answer(() if wanted is None else (wanted,))


@pytest.mark.parametrize(
    ("record", "query", "reason"),
    [
        (
            instance("db1.example"),
            {},
            "'web-db1.example on n1' has the address 'db1.example', which is no IP address",
        ),
        (
            instance("", node={"Address": "n1.example"}),
            {},
            "'web- on n1' has the address 'n1.example', which is no IP address",
        ),
        (
            instance(node={"TaggedAddresses": {"wan": "192.0.2.9"}}),
            {"taggedAddress": "wan"},
            "'web-10.20.0.1 on n1' has no tagged address 'wan'",
        ),
        (
            instance("", None, SocketPath="/run/web.sock"),
            {},
            "'web- on n1' listens on a unix socket, which no cluster can reach",
        ),
    ],
)
async def test_a_record_that_cannot_be_published_is_dropped_alone(
    site: Site, record: Mapping[str, Any], query: Mapping[str, object], reason: str
) -> None:
    good = instance("10.20.0.2", TaggedAddresses={"wan": {"Address": "10.20.0.2"}})
    await site.agent.set(good, record)
    found = await site.ask(**query)
    assert [str(backend.address) for backend in found.backends] == ["10.20.0.2"]
    assert [drop.reason for drop in found.dropped] == [reason]


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_records_of_one_place_the_healthy_one_counts(site: Site, first: int) -> None:
    records = [
        instance("10.20.0.1", 8080, "critical", node={"Node": "dead"}),
        instance("10.20.0.1", 8080, "passing"),
    ]
    await site.agent.set(records[first], records[1 - first])
    assert await site.ask() == Answer((ONE,))


# --- what is asked -------------------------------------------------------------------------------


async def test_what_a_query_asks_for(site: Site) -> None:
    await site.ask(
        service="web app",
        tags=["a", "b"],
        filter='Service.Meta.x == "y"',
        datacenter="dc2",
        namespace="team",
        partition="p",
    )
    (asked,) = site.agent.asked
    assert asked.path == "/v1/health/service/web%20app"
    assert asked.query == {
        "tag": "a,b",
        "filter": 'Service.Meta.x == "y"',
        "dc": "dc2",
        "ns": "team",
        "partition": "p",
        "leader": "",
    }
    assert "x-consul-token" not in asked.headers


@pytest.mark.parametrize(
    ("consistency", "asks", "waits"),
    [
        ("default", "leader", "leader"),
        ("consistent", "consistent", "consistent"),
        ("stale", "leader", "stale"),
    ],
)
async def test_an_answer_is_never_a_stale_one(
    site: Site, consistency: str, asks: str, waits: str
) -> None:
    source = site.source(consistency=consistency)
    async with watching(source) as told:
        await anext(told)
        async with next_of(told) as waiting:
            await site.agent.until_asked(1)
            await site.agent.set(instance())
            assert await waiting == Answer((ONE,))
    modes = {"leader", "consistent", "stale"}
    assert [(asked.index > 0, *(modes & asked.query.keys())) for asked in site.agent.asked] == [
        (False, asks),
        (True, waits),
        (False, asks),
    ]


async def test_nothing_is_taken_from_the_environment(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "CONSUL_HTTP_TOKEN": "from-the-environment",
        "CONSUL_HTTP_ADDR": "127.0.0.1:1",
        "CONSUL_HTTP_SSL": "true",
        "http_proxy": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    await site.ask()
    assert "x-consul-token" not in site.agent.asked[0].headers


async def test_a_token_is_read_anew_for_each_question(site: Site) -> None:
    source = site.source(tokenFile="token")
    assert "token: the secret can't be read" in str(await site.refusal(source))
    for token in ("first", "second"):
        (site.base / "token").write_text(f"{token}\n")
        await source.discover(part())
    assert [asked.headers["x-consul-token"] for asked in site.agent.asked] == ["first", "second"]


async def test_a_token_that_an_agent_says_back_is_not_told(site: Site) -> None:
    (site.base / "token").write_text("s3cret")
    site.agent.script = lambda _: Said("ACL not found: s3cret", status=403)
    error = await site.refusal(site.source(tokenFile="token"))
    assert str(error) == f"{site.agent.url}: status 403: ACL not found: …"


# --- not knowing ---------------------------------------------------------------------------------


DENY = {"X-Consul-Default-Acl-Policy": "deny"}


async def test_an_empty_answer_without_a_token_where_acls_deny_is_not_knowing(site: Site) -> None:
    site.agent.script = lambda _: Said([], headers=DENY)
    assert "an empty answer says nothing" in str(await site.refusal())
    (site.base / "token").write_text("s3cret")
    assert await site.source(tokenFile="token").discover(part()) == Answer(())
    site.agent.script = lambda _: Said([instance()], headers=DENY)
    assert await site.ask() == Answer((ONE,))
    site.agent.script = lambda _: Said([], headers={"X-Consul-Default-Acl-Policy": "allow"})
    assert await site.ask() == Answer(())


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_time_before_which_it_is_useless_to_ask(site: Site, status: int) -> None:
    site.agent.script = lambda _: Said("busy", status=status, headers={"Retry-After": "17"})
    error = await site.refusal()
    assert str(status) in str(error)
    assert error.retry_after == 17
    async with watching(site.source()) as told:
        with pytest.raises(SourceError) as caught:
            await anext(told)
        assert caught.value.retry_after == 17


# --- several agents ------------------------------------------------------------------------------


async def test_an_agent_that_fails_is_passed_over_until_another_does(site: Site) -> None:
    first, second, third = site.agents
    source = site.source(first, second, third, timeout="30s")
    await first.stop()
    second.script = lambda _: Said("No cluster leader", status=500)
    await third.set(instance())
    for _ in range(2):
        assert await source.discover(part()) == Answer((ONE,))
    assert len(second.asked) == 1, "the one that answered comes first"
    third.script = second.script
    error = str(await site.refusal(source))
    assert error.count("No cluster leader") == 2
    assert f"{first.url}/v1/health/service/web: can't be reached" in error
    second.script = None
    await second.set(instance())
    assert await source.discover(part()) == Answer((ONE,))


async def test_an_agent_that_hangs_leaves_time_for_the_next(site: Site) -> None:
    first, second, _ = site.agents
    first.script = lambda _: None
    await second.set(instance())
    source = site.source(first, second, timeout="2s")
    async with asyncio.timeout(source.options.timeout):
        assert await source.discover(part()) == Answer((ONE,))


async def test_it_is_useless_to_ask_only_if_it_is_so_of_every_agent(site: Site) -> None:
    first, second, _ = site.agents
    source = site.source(first, second)
    first.script = lambda _: Said(status=429, headers={"Retry-After": "9"})
    second.script = lambda _: Said(status=429, headers={"Retry-After": "5"})
    assert (await site.refusal(source)).retry_after == 5
    second.script = lambda _: Said(status=500)
    assert (await site.refusal(source)).retry_after is None


# --- watching ------------------------------------------------------------------------------------


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let through so many questions of a watch, and no more for the rest of the test."""

    def let_through(burst: int) -> None:
        monkeypatch.setattr(module, "BURST", burst)
        monkeypatch.setattr(module, "REFILL_S", 3600.0)

    return let_through


def by_index(*indexes: str) -> Callable[[Asked], Said]:
    """Answer each question with the next of these indexes, and then with the last."""
    left = list(indexes)

    def script(_: Asked) -> Said:
        return Said([instance()], left.pop(0) if len(left) > 1 else left[0])

    return script


async def test_what_a_blocking_query_holds_is_a_hint_and_no_answer(site: Site) -> None:
    """An agent may fill it from a view of its own, which hides without saying so."""
    no_leader = {"X-Consul-KnownLeader": "false"}  # as it says of its view in any case
    site.agent.script = lambda asked: (
        Said([], str(asked.index + 1), headers=no_leader)
        if asked.index
        else Said([instance()], "7")
    )
    async with watching(site.source()) as told:
        for _ in range(3):
            assert await anext(told) == Answer((ONE,))


async def test_a_wait_that_is_over_tells_nothing(site: Site) -> None:
    waits = iter(range(4))
    site.agent.script = lambda asked: (
        Said([instance()], "7") if not asked.index or next(waits, None) is not None else None
    )
    async with watching(site.source()) as told:
        assert await anext(told) == Answer((ONE,))
        async with next_of(told) as waiting:
            await site.agent.until_asked(5)
            assert not waiting.done()
        assert site.agent.count(blocking=False) == 1


@pytest.mark.parametrize("bad", ["0", "3"])
async def test_an_index_that_goes_back_is_not_waited_for(site: Site, bad: str) -> None:
    site.agent.script = by_index("90", bad, bad, "9")
    async with watching(site.source()) as told:
        for _ in range(3):
            assert await anext(told) == Answer((ONE,))
    after = {"0": 0, "3": 3}[bad]
    assert [asked.index for asked in site.agent.asked][:4] == [0, 90, 0, after]


async def test_an_index_of_0_is_no_busy_loop(site: Site, patient: Callable[[int], None]) -> None:
    patient(5)
    site.agent.script = by_index("0")
    async with watching(site.source()) as told:
        for _ in range(5):
            assert await anext(told) == Answer((ONE,))
        async with next_of(told) as waiting:
            await says_nothing(waiting)
    assert [asked.index for asked in site.agent.asked] == [0] * 5


async def test_an_index_that_runs_ahead_is_no_busy_loop(
    site: Site, patient: Callable[[int], None]
) -> None:
    patient(5)
    site.agent.script = lambda asked: Said([instance()], str(asked.index + 1))
    async with watching(site.source()) as told:
        for _ in range(5):
            await anext(told)
        async with next_of(told) as waiting:
            await says_nothing(waiting)
    assert site.agent.count(blocking=True) == 4


async def test_after_an_error_a_watch_begins_from_0(site: Site) -> None:
    source = site.source()
    async with watching(source) as told:
        await anext(told)
        async with next_of(told) as waiting:
            await site.agent.until_asked(1)
            await site.agent.stop()
            with pytest.raises(SourceError):
                await waiting
    await site.agent.start()
    site.agent.asked.clear()
    async with watching(source) as told:
        await anext(told)
    assert [asked.index for asked in site.agent.asked] == [0]


async def test_waits_differ_in_length(site: Site, patient: Callable[[int], None]) -> None:
    patient(9)
    site.agent.script = by_index("7")
    async with watching(site.source(wait="1m")) as told:
        await anext(told)
        async with next_of(told):
            await site.agent.until_asked(8)
    lengths = [int(asked.query["wait"][:-2]) for asked in site.agent.asked if asked.index]
    assert len(set(lengths)) > 1, "else all that is watched would be asked again at once"
    assert all(54_000 <= length <= 60_000 for length in lengths)


async def test_a_wait_that_never_ends_is_not_knowing(site: Site) -> None:
    site.agent.script = lambda asked: None if asked.index else Said([instance()])
    async with watching(site.source(wait="10ms", timeout="1s")) as told:
        await anext(told)
        with pytest.raises(SourceError, match=r"no answer within 1\.01 s"):
            await anext(told)


async def test_no_more_are_watched_than_may_be_and_the_rest_wait_their_turn(site: Site) -> None:
    source = site.source(watches=1)
    async with watching(source) as first, watching(source) as second:
        await anext(first)
        async with next_of(second) as turn:
            await says_nothing(turn)
            await first.aclose()
            assert await turn == Answer(())
