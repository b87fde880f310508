"""Requests to the API server are told as what they were, however they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from registrar.cluster.metered import Asked, Metered
from registrar.cluster.transport import Reply, Request
from registrar.errors import ClusterUnreachable, Expired


class Answer:
    """An answer without a body."""

    reason = ""
    headers: Mapping[str, str] = {}

    def __init__(self, status: int) -> None:
        self.status = status

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b""


class World:
    """The API server's end, and who is told."""

    server = "https://cluster.example"

    def __init__(self) -> None:
        self.status: int | None = 200
        self.told: list[tuple[str, str, str]] = []
        self.broken: list[str] = []
        self.metered = Metered(self, self)

    async def aclose(self) -> None:
        """There is nothing to close."""

    @asynccontextmanager
    async def send(self, _request: Request) -> AsyncGenerator[Reply]:
        if self.status is None:
            raise ClusterUnreachable("no answer in time")
        yield Answer(self.status)

    def asked(self, one: Asked) -> None:
        assert one.seconds >= 0
        self.told.append((one.verb, one.resource, one.code))

    def watch_broken(self, resource: str) -> None:
        self.broken.append(resource)


SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"


@pytest.mark.parametrize(
    ("method", "target", "told"),
    [
        ("GET", "/api/v1/namespaces/shop/services?limit=500", ("list", "services")),
        ("GET", "/api/v1/namespaces/shop/services/web", ("get", "services")),
        ("GET", "/api/v1/nodes", ("list", "nodes")),
        ("POST", SLICES, ("create", "endpointslices")),
        ("PUT", f"{SLICES}/web-1", ("replace", "endpointslices")),
        ("DELETE", f"{SLICES}/web-1", ("delete", "endpointslices")),
        ("PATCH", "/api/v1/namespaces/shop/events/web.1", ("merge", "events")),
    ],
)
@pytest.mark.parametrize("status", [200, 409, 429, None])
async def test_a_request_is_told_by_what_it_asks_and_its_answer(
    method: str, target: str, told: tuple[str, str], status: int | None
) -> None:
    world = World()
    world.status = status
    try:
        async with world.metered.send(Request(method, target)):
            assert world.told == []
    except ClusterUnreachable:
        assert status is None
    assert world.told == [(*told, str(status or "none"))]


async def test_a_watch_is_told_when_it_begins_and_when_it_breaks() -> None:
    world = World()
    request = Request("GET", f"{SLICES}?watch=true", stream=True)
    async with world.metered.send(request):
        assert world.told == [("watch", "endpointslices", "200")]
    assert world.broken == []
    with pytest.raises(ClusterUnreachable):
        async with world.metered.send(request):
            raise ClusterUnreachable("reset")
    assert world.broken == ["endpointslices"]
    assert len(world.told) == 2


async def test_a_watch_that_does_not_begin_or_is_cancelled_is_not_broken() -> None:
    world = World()
    request = Request("GET", f"{SLICES}?watch=true", stream=True)
    with pytest.raises(asyncio.CancelledError):
        async with world.metered.send(request):
            raise asyncio.CancelledError
    world.status = 410
    with pytest.raises(Expired):
        async with world.metered.send(request):
            raise Expired("too old")
    world.status = None
    with pytest.raises(ClusterUnreachable):
        async with world.metered.send(request):
            pass
    assert world.broken == []
    assert [code for _, _, code in world.told] == ["200", "410", "none"]
