"""The embedded API server in virtual time: what a test can make it do, and what it remembers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from ipaddress import ip_address
from random import Random
from typing import Any

import pytest

from registrar.embedded import (
    ApiServer,
    Break,
    ConnectionLost,
    Deaf,
    Delay,
    Fault,
    Refuse,
    Request,
    Response,
    Silence,
)
from tests.contract.objects import Item, endpoints, lease, service

ALL = "/api/v1/namespaces/default/endpoints"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def ask(server: ApiServer, method: str, path: str, body: Item | None = None) -> Response:
    headers = {"user-agent": "registrar/1"}
    return await server.handle(Request.to(method, path, body, headers))


async def write(server: ApiServer, name: str, *ips: str) -> Response:
    return await ask(server, "PUT", f"{ALL}/{name}", endpoints(name, *ips))


def message(response: Response) -> str:
    return str(json.loads(response.data)["message"])


class Reader:
    """Reads a watch, and notes when each event came."""

    def __init__(self, body: AsyncGenerator[bytes]) -> None:
        self._body = body

    async def next(self) -> tuple[float, str, str]:
        """Return time, type, and name or version of the next event; END at the end."""
        line = await anext(self._body, None)
        seconds = round(asyncio.get_running_loop().time(), 3)
        if line is None:
            return seconds, "END", ""
        event = json.loads(line)
        meta = event["object"]["metadata"]
        return seconds, event["type"], meta.get("name") or meta.get("resourceVersion", "")


@contextlib.asynccontextmanager
async def watch(server: ApiServer, query: str = "", path: str = ALL) -> AsyncIterator[Reader]:
    version = "" if "resourceVersion" in query else f"&resourceVersion={server.version}"
    response = await ask(server, "GET", f"{path}?watch=true{version}&{query}")
    assert not isinstance(response.body, bytes)
    async with contextlib.aclosing(response.body) as body:
        yield Reader(body)


async def soon(reader: Reader) -> asyncio.Task[tuple[float, str, str]]:
    """Return a read that has begun, and has nothing yet."""
    task = asyncio.ensure_future(reader.next())
    await asyncio.sleep(0.001)
    assert not task.done()
    return task


@pytest.fixture
def server() -> ApiServer:
    return ApiServer(now=lambda: NOW)


# --- watches -----------------------------------------------------------------------------------


@pytest.mark.looptime(start=0)
async def test_bookmarks_come_every_minute_and_before_the_end(server: ApiServer) -> None:
    version = str(server.version)
    async with watch(server, "allowWatchBookmarks=true&timeoutSeconds=150") as reader:
        assert [await reader.next() for _ in range(4)] == [
            (60, "BOOKMARK", version),
            (120, "BOOKMARK", version),
            (148, "BOOKMARK", version),
            (150, "END", ""),
        ]


@pytest.mark.looptime(start=0)
async def test_a_bookmark_passes_over_what_the_watch_does_not_say(server: ApiServer) -> None:
    async with watch(server, "allowWatchBookmarks=true") as reader:
        await ask(server, "POST", "/api/v1/namespaces/default/services", service("a", {"port": 80}))
        assert await reader.next() == (60, "BOOKMARK", str(server.version))


@pytest.mark.looptime(start=0)
async def test_without_bookmarks_a_quiet_watch_is_quiet(server: ApiServer) -> None:
    async with watch(server, "timeoutSeconds=600") as reader:
        assert await reader.next() == (600, "END", "")


@pytest.mark.looptime(start=0)
async def test_a_watch_hears_at_once(server: ApiServer) -> None:
    async with watch(server) as reader:
        task = await soon(reader)
        await write(server, "a")
        assert (await task)[1:] == ("ADDED", "a")
        assert server.watching("endpoints") == 1
    assert server.watching() == 0


async def test_compaction_leaves_open_watches_alone(server: ApiServer) -> None:
    old = server.version
    async with watch(server) as reader:
        await write(server, "a")
        server.compact()
        await write(server, "b")
        assert (await reader.next())[1:] == ("ADDED", "a")
        assert (await reader.next())[1:] == ("ADDED", "b")
    async with watch(server, f"resourceVersion={old}") as reader:
        assert (await reader.next())[1] == "ERROR"
        assert (await reader.next())[1] == "END"
    async with watch(server, f"resourceVersion={server.version - 1}") as reader:
        assert (await reader.next())[1:] == ("ADDED", "b")


async def test_a_slow_reader_is_left_behind() -> None:
    server = ApiServer(changes=100)
    async with watch(server) as slow, watch(server) as quick:
        await write(server, "first")
        assert (await slow.next())[1:] == ("ADDED", "first")
        assert (await quick.next())[1:] == ("ADDED", "first")
        for number in range(500):
            await write(server, "a", f"10.1.{number // 250}.{number % 250 + 1}")
            assert (await quick.next())[1] in {"ADDED", "MODIFIED"}
        assert len(server.history) <= 125
        assert (await slow.next())[1] == "END"


async def test_versions_that_are_forgotten_are_too_old() -> None:
    server = ApiServer(changes=10)
    for number in range(50):
        await write(server, "a", f"10.1.1.{number + 1}")
    for version, kind in ((2, "ERROR"), (server.version - 5, "MODIFIED")):
        async with watch(server, f"resourceVersion={version}") as reader:
            assert (await reader.next())[1] == kind


@pytest.mark.looptime(start=0)
async def test_watches_are_cut(server: ApiServer) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    async with watch(server) as reader, watch(server, path=leases) as other:
        task, untouched = await soon(reader), await soon(other)
        assert server.cut_watches("endpoints") == 1
        with pytest.raises(ConnectionLost):
            await task
        await ask(server, "POST", leases, lease("a"))
        assert (await untouched)[1:] == ("ADDED", "a")


@pytest.mark.looptime(start=0)
async def test_a_deaf_watch_says_nothing_until_it_hears_again(server: ApiServer) -> None:
    async with watch(server, "allowWatchBookmarks=true") as reader:
        deaf = server.faults.add(Deaf(), resource="endpoints")
        task = asyncio.ensure_future(reader.next())
        await write(server, "a")
        await asyncio.sleep(300)
        assert not task.done()
        deaf.end()
        assert await task == (300, "ADDED", "a")


@pytest.mark.looptime(start=0)
async def test_a_deaf_watch_still_ends(server: ApiServer) -> None:
    server.faults.add(Deaf())
    async with watch(server, "timeoutSeconds=30&resourceVersion=0") as reader:
        await write(server, "a")
        assert await reader.next() == (30, "END", "")


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.looptime(start=0)
async def test_a_late_answer(server: ApiServer) -> None:
    server.faults.add(Delay(2.5), verb="update", times=1)
    await write(server, "a")
    assert asyncio.get_running_loop().time() == pytest.approx(2.5)
    assert server.history[-1].seconds == pytest.approx(2.5)
    await write(server, "b")
    assert asyncio.get_running_loop().time() == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Refuse(409), 'Operation cannot be fulfilled on endpoints "a": the object has been'),
        (Refuse(410), "The resourceVersion for the provided watch is too old."),
        (Refuse(429, retry_after=7), "Too many requests, please try again later."),
        (Refuse(500), "Internal error occurred: "),
        (
            Refuse(403),
            'endpoints "a" is forbidden: User "embedded" cannot update resource "endpoints"',
        ),
        (Refuse(503, message="not now"), "not now"),
    ],
)
async def test_refusals(server: ApiServer, fault: Refuse, said: str) -> None:
    rule = server.faults.add(fault, verb="update", resource="endpoints", name="a", times=2)
    assert (await write(server, "b")).status == 201
    for _ in range(2):
        refused = await write(server, "a")
        assert refused.status == fault.code
        assert message(refused).startswith(said)
        assert refused.headers.get("retry-after") == ("7" if fault.retry_after else None)
    assert server.get("endpoints", "default", "a") is None
    assert (await write(server, "a")).status == 201
    assert rule.hits == 2


async def test_a_refusal_until_it_ends(server: ApiServer) -> None:
    rule = server.faults.add(Refuse(500), namespace="default", user_agent="registrar/")
    assert [(await write(server, "a")).status for _ in range(3)] == [500] * 3
    other = await server.handle(Request.to("GET", ALL, headers={"user-agent": "kubectl"}))
    assert other.status == 200
    rule.end()
    assert (await write(server, "a")).status == 201
    server.faults.add(Refuse(500))
    server.faults.clear()
    assert (await write(server, "a")).status == 200


@pytest.mark.looptime(start=0)
@pytest.mark.parametrize(("fault", "applied"), [(Silence(), False), (Silence(applied=True), True)])
async def test_no_answer(server: ApiServer, fault: Fault, applied: bool) -> None:  # noqa: FBT001  a parameter
    server.faults.add(fault, verb="update", times=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3600):
            await write(server, "a")
    assert (server.get("endpoints", "default", "a") is not None) is applied
    assert server.requests[-1].status == 0


@pytest.mark.parametrize(("fault", "applied"), [(Break(), False), (Break(applied=True), True)])
async def test_a_broken_connection(server: ApiServer, fault: Fault, applied: bool) -> None:  # noqa: FBT001  a parameter
    server.faults.add(fault, verb="update", times=1)
    with pytest.raises(ConnectionLost):
        await write(server, "a")
    assert (server.get("endpoints", "default", "a") is not None) is applied


# --- what is remembered ------------------------------------------------------------------------


async def test_every_request_is_noted(server: ApiServer) -> None:
    await write(server, "a")
    await write(server, "b", "127.0.0.1")
    await ask(server, "GET", "/version")
    noted = [(r.method, r.verb, r.resource, r.namespace, r.name, r.status) for r in server.requests]
    assert noted == [
        ("PUT", "update", "endpoints", "default", "a", 201),
        ("PUT", "update", "endpoints", "default", "b", 422),
        ("GET", "", "", "", "", 200),
    ]
    assert {r.user_agent for r in server.requests} == {"registrar/1"}


async def test_every_version_is_remembered_as_it_was(server: ApiServer) -> None:
    before = len(server.history)
    await write(server, "a", "10.1.1.1")
    await write(server, "a", "10.1.1.2")
    await ask(server, "DELETE", f"{ALL}/a")
    changes = list(server.history)[before:]
    assert [change.type for change in changes] == ["ADDED", "MODIFIED", "DELETED"]
    assert [change.version for change in changes] == list(
        range(changes[0].version, changes[0].version + 3)
    )
    assert {(c.resource, c.namespace, c.name, c.at) for c in changes} == {
        ("endpoints", "default", "a", NOW)
    }
    assert [change.object["subsets"] for change in changes] == [
        expected("10.1.1.1"),
        expected("10.1.1.2"),
        expected("10.1.1.2"),
    ]
    assert changes[1].before == changes[0].object


def expected(ip: str) -> list[Any]:
    return [{"addresses": [{"ip": ip}], "ports": [{"port": 80, "protocol": "TCP"}]}]


async def test_without_controllers_nothing_goes_by_itself(server: ApiServer) -> None:
    services = "/api/v1/namespaces/default/services"
    await ask(server, "POST", services, service("a", {"port": 80}))
    await write(server, "a")
    await ask(server, "DELETE", f"{services}/a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert server.get("endpoints", "default", "a") is not None


async def test_the_same_seed_gives_the_same_cluster() -> None:

    uids = []
    for _ in range(2):
        server = ApiServer(now=lambda: NOW, rng=Random(7))  # noqa: S311  uids are no secrets
        await write(server, "a")
        uids.append(server.get("endpoints", "default", "a"))
    assert uids[0] == uids[1]


async def test_the_next_address_is_one_that_nobody_asked_for(server: ApiServer) -> None:
    services = "/api/v1/namespaces/default/services"

    async def address(name: str, **spec: object) -> str:
        made = await ask(server, "POST", services, service(name, {"port": 80}, **spec))
        return str(json.loads(made.data)["spec"]["clusterIP"])

    first = ip_address(await address("a"))
    asked = await address("b", clusterIP=str(first + 1))
    assert asked == str(first + 1)
    assert await address("c") not in {str(first), asked}


@pytest.mark.looptime
async def test_whoever_listens_hears_of_each_change_and_of_who_asked_for_it() -> None:
    server = ApiServer(controllers=True)
    heard: list[tuple[str, str, str]] = []
    server.listen(lambda change: heard.append((change.type, change.name, change.by)))
    await write(server, "web", "10.0.0.1")
    assert heard == [("ADDED", "web", "registrar/1")]
    await ask(server, "POST", "/api/v1/namespaces/default/services", service("web", {"port": 80}))
    await ask(server, "DELETE", "/api/v1/namespaces/default/services/web")
    await asyncio.sleep(0)
    assert heard[-1] == ("DELETED", "web", "")
