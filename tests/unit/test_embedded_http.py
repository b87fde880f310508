"""The embedded API server on HTTP: registrar's own client against it, and broken connections."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from registrar.embedded import ApiServer, Break, serve
from tests.contract.objects import endpoints

ALL = "/api/v1/namespaces/default/endpoints"


@pytest.fixture
def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
async def http(server: ApiServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with serve(server) as url, aiohttp.ClientSession(url) as session:
        yield session


async def test_an_object_goes_in_and_comes_out(http: aiohttp.ClientSession) -> None:
    async with http.post(ALL, json=endpoints("a")) as made:
        assert made.status == 201
        body = await made.json()
    async with http.get(ALL, params={"fieldSelector": "metadata.name=a"}) as found:
        assert (await found.json())["items"][0]["metadata"] == body["metadata"]
    async with http.delete(f"{ALL}/a", json={"preconditions": {"uid": "x"}}) as refused:
        assert refused.status == 409


async def test_a_large_object(http: aiohttp.ClientSession) -> None:
    body = endpoints(
        "a", *(f"10.{n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(1, 60_000))
    )
    data = json.dumps(body).encode()
    assert len(data) > 1024 * 1024  # which aiohttp would refuse by itself
    headers = {"Content-Type": "application/json"}
    async with http.post(ALL, data=io.BytesIO(data), headers=headers) as made:
        assert made.status == 201


async def test_a_watch_comes_line_by_line(http: aiohttp.ClientSession, server: ApiServer) -> None:
    async with http.get(ALL, params={"watch": "true"}) as stream:
        for name in ("a", "b"):
            await (await http.post(ALL, json=endpoints(name))).read()
            event = json.loads(await stream.content.readline())
            assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", name)
    # The server notices that nobody listens any more.
    async with asyncio.timeout(10):
        while server.watching():  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0.01)


async def test_a_cut_watch_breaks_off(http: aiohttp.ClientSession, server: ApiServer) -> None:
    async with http.get(ALL, params={"watch": "true"}) as stream:
        await (await http.post(ALL, json=endpoints("a"))).read()
        await stream.content.readline()
        server.cut_watches()
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.content.readline()


async def test_an_answer_is_lost(http: aiohttp.ClientSession, server: ApiServer) -> None:
    server.faults.add(Break(applied=True), verb="create", times=1)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await http.post(ALL, json=endpoints("a"))
    assert server.get("endpoints", "default", "a") is not None


async def test_the_end_breaks_open_watches() -> None:
    server = ApiServer()
    async with aiohttp.ClientSession() as session:
        async with serve(server) as url:
            stream = await session.get(f"{url}{ALL}", params={"watch": "true"})
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.content.read()
        stream.close()


async def test_a_port_is_taken_once(server: ApiServer) -> None:
    async with serve(server) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with serve(server, port):
                pass
