"""The Docker source against scripted daemons: what is a backend, what is asked, what is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

import sources.docker.daemon as module
from registrar.errors import SourceError
from registrar.model import Answer, Backend, Verdict
from registrar.source import Context, Part
from registrar.threads import in_thread
from sources.docker import DockerOptions, DockerQuery, DockerSource
from tests.certificates import Authority
from tests.fakes import NoFiles
from tests.sources.docker_engine import Engine, container, published

DEADLINE_S = 15.0
HOST = "10.20.3.7"
WEB = {"labels": {"app": "web"}}
UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    made = Engine()
    await made.start()
    yield made
    await made.stop()


class Docker:
    """A source for some daemons, whose hosts are all at one address unless it is said."""

    def __init__(self, *hosts: Engine | Mapping[str, object], **options: object) -> None:
        listed = [
            {"url": host.url, "address": HOST} if isinstance(host, Engine) else host
            for host in hosts
        ]
        read = DockerOptions.model_validate({"hosts": listed, **options})
        self.source = DockerSource(read, Context(Path(), NoFiles(), in_thread))

    def part(
        self, query: Mapping[str, object] = WEB, engine: Engine | None = None
    ) -> Part[DockerQuery]:
        url = self.source.options.hosts[0].url if engine is None else engine.url
        return Part(DockerQuery.model_validate(query), url)

    async def ask(self, **query: object) -> Answer:
        return await self.source.discover(self.part(query or WEB))

    async def refusal(self) -> str:
        with pytest.raises(SourceError) as caught:
            await self.ask()
        return str(caught.value)

    @contextlib.asynccontextmanager
    async def watching(self, engine: Engine | None = None) -> AsyncIterator[Told]:
        stream = self.source.watch(self.part(engine=engine))
        async with contextlib.aclosing(stream):
            yield Told(stream)


class Told:
    """What a watch tells."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401  it is typed where it is made
        self._stream = stream

    async def next(self) -> Answer:
        async with asyncio.timeout(DEADLINE_S):
            item = await anext(self._stream)
        assert isinstance(item, Answer)
        return item

    async def until(self, *ports: int) -> None:
        while ports_of(await self.next()) != list(ports):
            pass

    async def refusal(self) -> str:
        try:
            while True:
                await self.next()
        except SourceError as error:
            return str(error)


def ports_of(found: Answer) -> list[int]:
    return sorted(backend.port or 0 for backend in found.backends)


def at(port: int, address: str = HOST, health: Verdict = UNKNOWN) -> Backend:
    return Backend(ip_address(address), port, health=health)


Making = Callable[..., Docker]


@pytest.fixture
async def making() -> AsyncIterator[Making]:
    made: list[Docker] = []

    def make(*hosts: Engine | Mapping[str, object], **options: object) -> Docker:
        made.append(Docker(*hosts, **options))
        return made[-1]

    yield make
    for docker in made:
        await docker.source.aclose()


@pytest.fixture
def docker(engine: Engine, making: Making) -> Docker:
    return making(engine)


# --- which containers, and where they are reached ------------------------------------------------

BOTH = (published(8080), published(8080, ip="::"))
SEVERAL = (published(8080, 80), published(8443, 443), published(8053, 53, kind="udp"))
ALONE = "alone, not at 10.20.3.7; publish it there, or on all addresses"
SHOP = {"com.docker.compose.project": "shop"}
LAN = {"lan": {"IPAddress": "10.30.0.9", "GlobalIPv6Address": "2001:db8:30::9"}}


@pytest.mark.parametrize(
    ("listed", "query", "wanted"),
    [
        (container("a", *BOTH), WEB, [at(8080)]),
        (container("a", published(8080, ip="")), WEB, [at(8080)]),
        (container("a", published(8080, ip="10.20.9.9")), WEB, [at(8080, "10.20.9.9")]),
        (
            container("a", published(1, ip="10.20.9.9"), published(2, ip="127.0.0.1")),
            WEB,
            [at(1, "10.20.9.9")],
        ),
        (container("a", *SEVERAL), {**WEB, "containerPort": 443}, [at(8443)]),
        (container("a", *SEVERAL), {**WEB, "protocol": "udp"}, [at(8053)]),
        (container("a", published(80, 80), {"PrivatePort": 81, "Type": "tcp"}), WEB, [at(80)]),
        (container("a", mode="host"), {**WEB, "containerPort": 9000}, [at(9000)]),
        (
            container("a", networks=LAN),
            {"network": "lan", "containerPort": 80},
            [at(80, "10.30.0.9"), at(80, "2001:db8:30::9")],
        ),
        (container("a", *BOTH), {"network": "lan", "containerPort": 80}, []),
        (container("a", *BOTH), {"name": "a"}, [at(8080)]),
        (container("ab", *BOTH), {"name": "a"}, []),
        (
            container("a", *BOTH, labels={"app": "web", "tier": "1"}),
            {"labels": {"tier": "1"}},
            [at(8080)],
        ),
        (container("a", *BOTH, labels={"app": "db"}), WEB, []),
        (
            container("a", *BOTH, labels=SHOP),
            {"project": "shop"},
            [at(8080)],
        ),
        (
            container("a", *BOTH, labels=SHOP),
            {"project": "shop", "service": "web"},
            [],
        ),
        (container("a", *BOTH, status="Up 3 days (healthy)"), WEB, [at(8080, health=UP)]),
        (container("a", *BOTH, status="Up 3 days (unhealthy)"), WEB, [at(8080, health=DOWN)]),
        (container("a", *BOTH, status="Up 1 second (health: starting)"), WEB, [at(8080)]),
        (
            container("a", *BOTH, state="paused", status="Up 3 days (Paused)"),
            WEB,
            [at(8080, health=DOWN)],
        ),
        (container("a", *BOTH, state="created"), WEB, []),
        (container("a", state="exited"), WEB, []),
        (container("a", state="dead"), WEB, []),
        (container("a", *BOTH, state="removing"), WEB, []),
        (container("a", state="restarting"), WEB, []),
    ],
)
async def test_what_is_a_backend(
    engine: Engine,
    docker: Docker,
    listed: dict[str, Any],
    query: dict[str, Any],
    wanted: list[Backend],
) -> None:
    engine.listed = [listed]
    assert await docker.ask(**query) == Answer(tuple(wanted))


@pytest.mark.parametrize(
    ("listed", "query", "reason"),
    [
        (
            container("a", published(8080, ip="127.0.0.1"), published(8080, ip="::1")),
            WEB,
            f"publishes its port on 127.0.0.1, ::1 {ALONE}",
        ),
        (
            container("a", published(8080, ip="::")),
            WEB,
            f"publishes its port on :: {ALONE}",
        ),
        (
            container("a", *SEVERAL),
            WEB,
            "publishes several ports (80, 443); choose one as containerPort",
        ),
        (
            container("a", {"PrivatePort": 80, "Type": "tcp"}),
            WEB,
            "publishes no port over tcp; publish it, or name a network",
        ),
        (
            container("a", *BOTH),
            {**WEB, "containerPort": 81},
            "publishes no port 81 over tcp; publish it, or name a network",
        ),
        (
            container("a", mode="host"),
            WEB,
            "is on the host's own network; give its port as containerPort",
        ),
        (
            container("a", networks={"lan": {"IPAddress": ""}}),
            {"network": "lan", "containerPort": 80},
            "has no address in network lan",
        ),
    ],
)
async def test_what_can_not_be_reached_is_dropped_with_its_reason(
    engine: Engine, docker: Docker, listed: dict[str, Any], query: dict[str, Any], reason: str
) -> None:
    good = container("good", published(9, query.get("containerPort", 80)), networks=LAN)
    engine.listed = [listed, good]
    found = await docker.ask(**query)
    assert len(found.backends) in {1, 2}
    assert [(drop.record, drop.reason) for drop in found.dropped] == [
        ("a", f"container a {reason}")
    ]


async def test_a_host_has_a_zone_and_the_address_of_its_url(engine: Engine, making: Making) -> None:
    engine.listed = [container("a", *BOTH)]
    zoned = making({"url": engine.url, "address": "2001:db8::7", "zone": "rack1"})
    assert await zoned.ask() == Answer((Backend(ip_address("2001:db8::7"), 8080, zone="rack1"),))
    for url in ("tcp://10.20.3.9:2376", "tcp://[2001:db8::9]:2376"):
        (host,) = making(url).source.options.hosts
        assert str(host.reached_at) in url


async def test_each_host_is_a_part(making: Making) -> None:
    docker = making("tcp://10.20.3.7:2376", {"url": "unix:///run/docker.sock", "address": HOST})
    parts = await docker.source.split(DockerQuery.model_validate(WEB))
    assert [part.name for part in parts] == ["tcp://10.20.3.7:2376", "unix:///run/docker.sock"]


# --- what may come back --------------------------------------------------------------------------


async def test_a_container_that_was_stopped_is_gone(engine: Engine, docker: Docker) -> None:
    engine.listed = [container("a", published(1)), container("b", published(2))]
    assert ports_of(await docker.ask()) == [1, 2]
    engine.listed = [container("a", published(1)), container("b", state="exited")]
    assert ports_of(await docker.ask()) == [1]


async def test_one_that_restarts_keeps_its_place_as_down(engine: Engine, docker: Docker) -> None:
    engine.listed = [container("a", published(1), status="Up 2 hours (healthy)")]
    assert await docker.ask() == Answer((at(1, health=UP),))
    for _ in range(2):
        engine.listed = [container("a", state="restarting", status="Restarting (1) 2 seconds ago")]
        assert await docker.ask() == Answer((at(1, health=DOWN),))
    engine.listed = [container("a", published(7))]
    assert await docker.ask() == Answer((at(7),))


async def list_two_and_go_away(engine: Engine, docker: Docker) -> None:
    """Have the daemon list two containers, then be away for one question."""
    engine.listed = [container("a", published(1)), container("b", published(2))]
    await docker.ask()
    engine.breaks = True
    await docker.refusal()
    engine.breaks = False


async def test_what_ended_while_the_daemon_was_away_is_down_and_not_gone(
    engine: Engine, docker: Docker
) -> None:
    await list_two_and_go_away(engine, docker)
    engine.listed = [container("a", state="exited"), container("b", published(2))]
    for _ in range(2):
        assert await docker.ask() == Answer((at(1, health=DOWN), at(2)))
    # From here on it is a container like any other.
    engine.listed = [container("a", published(1)), container("b", published(2))]
    assert await docker.ask() == Answer((at(1), at(2)))
    engine.listed = [container("a", state="exited"), container("b", published(2))]
    assert await docker.ask() == Answer((at(2),))


async def test_what_was_removed_while_the_daemon_was_away_is_gone(
    engine: Engine, docker: Docker
) -> None:
    await list_two_and_go_away(engine, docker)
    engine.listed = [container("b", published(2))]
    assert await docker.ask() == Answer((at(2),))


async def test_a_place_belongs_to_the_one_that_runs(engine: Engine, docker: Docker) -> None:
    engine.listed = [container("a", published(1))]
    await docker.ask()
    engine.listed = [container("a", state="restarting"), container("b", published(1))]
    assert await docker.ask() == Answer((at(1),))


async def test_events_that_break_off_excuse_what_ends_with_them(
    engine: Engine, docker: Docker
) -> None:
    engine.listed = [container("a", published(1))]
    async with docker.watching() as told:
        await told.until(1)
        engine.break_streams()
        assert await told.refusal() == f"{engine.url}: its events have broken off"
    engine.listed = [container("a", state="exited")]
    assert await docker.ask() == Answer((at(1, health=DOWN),))


async def test_a_list_during_which_the_daemon_went_away_is_not_believed(
    engine: Engine, docker: Docker
) -> None:
    engine.listed = [container("a", published(1)), container("b", published(2))]
    async with docker.watching() as told:
        await told.until(1, 2)
        engine.hangs, asked_again = True, asyncio.Event()
        engine.on_request = lambda _: asked_again.set()
        asked = asyncio.create_task(docker.refusal())
        async with asyncio.timeout(DEADLINE_S):
            await asked_again.wait()
        engine.break_streams()
        await told.refusal()
        engine.listed = [container("a", state="exited"), container("b", published(2))]
        engine.goes_on()
        assert await asked == f"{engine.url}: it went away while it was asked"


# --- what is asked -------------------------------------------------------------------------------


async def test_only_get_is_sent_and_no_connection_is_used_twice(
    engine: Engine, docker: Docker
) -> None:
    peers: list[object] = []
    engine.on_request = lambda request: peers.append(request._transport_peername)  # noqa: SLF001
    async with docker.watching() as told:
        await told.next()
        await docker.ask()
        engine.tell()
        await told.next()
    assert {request.method for request in engine.requests} == {"GET"}
    assert len(engine.requests) == 5, "the version once, the events, three lists"
    assert len(set(peers)) == len(peers)


async def test_the_filters(engine: Engine, docker: Docker) -> None:
    query = {"labels": {"app": "web"}, "name": "we.b", "project": "shop", "service": "web"}
    await docker.ask(**query)
    assert json.loads(engine.asked("/containers/json")[0].query["filters"]) == {
        "status": ["running", "paused", "restarting"],
        "label": [
            "app=web",
            "com.docker.compose.project=shop",
            "com.docker.compose.service=web",
        ],
        "name": [r"we\.b"],
    }
    await docker.ask(network="lan", containerPort=80)
    assert json.loads(engine.asked("/containers/json")[1].query["filters"])["network"] == ["lan"]


@pytest.mark.parametrize("network", [False, True])
async def test_only_events_that_matter_are_asked_for(
    engine: Engine, docker: Docker, *, network: bool
) -> None:
    query: Mapping[str, object] = {"network": "lan", "containerPort": 80} if network else WEB
    async with contextlib.aclosing(docker.source.watch(docker.part(query))) as told:
        await Told(told).next()
    filters = json.loads(engine.asked("/events")[0].query["filters"])
    assert not [one for one in filters["event"] if one.startswith("exec")]
    assert {"start", "die", "pause", "unpause", "rename", "health_status"} <= {*filters["event"]}
    if network:
        assert filters["type"] == ["container", "network"]
        assert "label" not in filters, "an event of a network has no labels of a container"
    else:
        assert filters["type"] == ["container"]
        assert filters["label"] == ["app=web"]


@pytest.mark.parametrize(
    ("newest", "oldest", "asked"),
    [
        ("1.41", "1.12", "1.41"),
        ("1.24", "1.12", "1.24"),
        ("1.52", "1.44", "1.52"),
        ("1.60", "1.44", "1.52"),
        ("1.70", "1.60", "1.60"),
        ("2.3", "1.44", "1.52"),
    ],
)
async def test_the_version_is_negotiated(
    engine: Engine, docker: Docker, newest: str, oldest: str, asked: str
) -> None:
    engine.version = {"ApiVersion": newest, "MinAPIVersion": oldest}
    await docker.ask()
    assert [request.path for request in engine.requests] == [
        "/version",
        f"/v{asked}/containers/json",
    ]


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ({"ApiVersion": "1.20"}, "its API 1.20 is too old; upgrade it to Docker 1.12"),
        ({"ApiVersion": 1.41}, "it says no version as a Docker daemon does"),
        ({"ApiVersion": "new"}, "it says no version as a Docker daemon does"),
        ({}, "it says no version as a Docker daemon does"),
    ],
)
async def test_a_version_that_can_not_be_used(
    engine: Engine, docker: Docker, version: dict[str, object], words: str
) -> None:
    engine.version = version
    assert await docker.refusal() == f"{engine.url}: {words}"


async def test_a_daemon_that_is_replaced_by_an_older_one(engine: Engine, docker: Docker) -> None:
    engine.listed = [container("a", published(1))]
    await docker.ask()
    engine.version = {"ApiVersion": "1.30"}
    assert "status 400" in await docker.refusal()
    assert ports_of(await docker.ask()) == [1]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "status 403 Forbidden; check the token, or the certificate, and its rights"),
        (500, "status 500 Internal Server Error"),
    ],
)
async def test_a_refusal_names_the_daemon(
    engine: Engine, docker: Docker, status: int, words: str
) -> None:
    engine.status = status
    assert await docker.refusal() == f"{engine.url}: {words}"
    await engine.stop()
    assert await docker.refusal() == f"{engine.url}: can't be reached: Connection refused"


async def test_a_unix_socket(tmp_path: Path, making: Making) -> None:
    engine = Engine()
    await engine.start(path=tmp_path / "docker.sock")
    docker = making(engine)
    engine.listed = [container("a", published(1))]
    async with docker.watching() as told:
        await told.until(1)
    await engine.stop()
    (tmp_path / "docker.sock").unlink(missing_ok=True)
    words = "can't be reached: No such file or directory"
    assert await docker.refusal() == f"unix://{tmp_path}/docker.sock: {words}"


async def test_tls_with_a_certificate_of_our_own(tmp_path: Path, making: Making) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("ours")
    engine = Engine()
    await engine.start(tls=authority.server(*authority.issue("docker1.example"), asks_clients=True))
    tls = {"caFile": str(authority.file), "serverName": "docker1.example"}
    docker = making(engine, tls={**tls, "certFile": str(cert), "keyFile": str(key)})
    engine.listed = [container("a", published(1))]
    async with docker.watching() as told:
        await told.until(1)
    other = {**tls, "serverName": "docker2.example"}
    refused = await making(engine, tls=other).refusal()
    assert refused.startswith(f"{engine.url}: its certificate is not trusted")
    assert await making(engine, tls=tls).refusal()
    assert await making(engine).refusal()
    await engine.stop()


# --- what is told --------------------------------------------------------------------------------


async def test_an_event_is_a_hint_to_list(engine: Engine, docker: Docker) -> None:
    async with docker.watching() as told:
        await told.until()
        engine.has(container("a", published(1)))
        await told.until(1)
        engine.tell(b"not even JSON\n")
        await told.until(1)


async def test_what_an_event_tells_may_be_listed_later(engine: Engine, docker: Docker) -> None:
    async with docker.watching() as told:
        await told.until()
        engine.tell()  # and lists the same as before, as a daemon does at a death
        before = len(engine.asked("/containers/json"))
        while len(engine.asked("/containers/json")) == before:
            await told.until()
        engine.listed = [container("a", published(1))]
        await told.until(1)


async def test_a_burst_of_events_costs_few_lists(engine: Engine, docker: Docker) -> None:
    async with docker.watching() as told:
        await told.until()
        before = len(engine.asked("/containers/json"))
        for _ in range(200):
            engine.tell()
        engine.has(container("a", published(1)))
        await told.until(1)
        assert len(engine.asked("/containers/json")) - before < 20


async def test_an_event_without_end_is_cut(
    engine: Engine, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LINE_BYTES", 5000)
    async with docker.watching() as told:
        await told.next()
        for _ in range(9):
            engine.tell(b"x" * 1000)
        assert await told.refusal() == f"{engine.url}: an event without an end"


async def test_silence_is_listened_to_anew(
    engine: Engine, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.05)
    async with docker.watching() as told:
        for _ in range(3):
            await told.until()
        assert len(engine.asked("/events")) >= 3


@pytest.mark.parametrize("hangs", ["hangs", "hangs_at_events"])
async def test_a_watch_gives_up_what_hangs(engine: Engine, making: Making, hangs: str) -> None:
    docker = making(engine, timeout="100ms")
    setattr(engine, hangs, True)
    async with docker.watching() as told:
        assert await told.refusal() == f"{engine.url}: no events within 0.1 s"


async def test_a_watch_gives_up_a_list_that_hangs(engine: Engine, making: Making) -> None:
    docker = making(engine, timeout="500ms")
    async with docker.watching() as told:
        await told.next()
        engine.hangs = True
        engine.tell()
        assert await told.refusal() == f"{engine.url}: no answer within 0.5 s"


async def test_where_events_are_forbidden_what_is_stopped_is_gone_all_the_same(
    engine: Engine, docker: Docker
) -> None:
    engine.forbids_events = True
    engine.listed = [container("a", published(1)), container("b", published(2))]
    await docker.ask()
    async with docker.watching() as told:
        assert "status 403" in await told.refusal()
    engine.listed = [container("a", published(1)), container("b", state="exited")]
    assert ports_of(await docker.ask()) == [1]


async def test_hosts_that_hang_hold_up_no_other(making: Making) -> None:
    engines = [Engine() for _ in range(50)]
    async with contextlib.AsyncExitStack() as stack:
        for engine in engines:
            await engine.start()
        stack.push_async_callback(lambda: asyncio.gather(*(one.stop() for one in engines)))
        docker = making(*engines, timeout="1h")
        hanging, well = engines[:5], engines[5:]
        for engine in hanging:
            engine.hangs = True
        waiting = [
            asyncio.create_task(docker.source.discover(docker.part(engine=engine)))
            for engine in hanging
        ]

        async def sees_a_change(engine: Engine) -> None:
            async with docker.watching(engine) as told:
                await told.until()
                engine.has(container("a", published(1)))
                await told.until(1)
                await docker.source.discover(docker.part(engine=engine))

        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*map(sees_a_change, well))
        assert not [task for task in waiting if task.done()]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
