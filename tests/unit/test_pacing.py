from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from registrar.cluster.client import SERVICES, Client, Scope
from registrar.cluster.pacing import Pace, Paced
from registrar.cluster.transport import Reply, Request
from registrar.errors import NotFound
from registrar.model import ApiLimits
from tests.fakes import loop_seconds, pass_time

pytestmark = pytest.mark.looptime

SLOW = ApiLimits(requests_per_second=2, burst=4)


class Missing:
    """The answer to everything: there is no such thing."""

    status, reason = 404, "Not Found"
    headers: Mapping[str, str] = {}

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b""


class Server:
    """A Transport that notes when it was asked what."""

    server = "https://cluster.example"

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.watched: list[float] = []

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[Reply]:
        (self.watched if request.stream else self.asked).append(loop_seconds())
        yield Missing()

    async def aclose(self) -> None:
        """There is nothing to close."""


async def ask(client: Client) -> None:
    with pytest.raises(NotFound):
        await client.get(SERVICES, "shop", "web")


async def watch(client: Client) -> None:
    with pytest.raises(NotFound):
        async with client.watch(SERVICES, Scope("shop"), "1", 300):
            pass


async def test_what_comes_at_once_waits_its_turn_beyond_the_burst() -> None:
    server = Server()
    client = Client(Paced(server, Pace(SLOW)))
    await asyncio.gather(*(ask(client) for _ in range(8)))
    assert server.asked == pytest.approx([0, 0, 0, 0, 0.5, 1, 1.5, 2], abs=0.01)
    await pass_time(60)  # after a rest there may be as many again, and no more
    begun = loop_seconds()
    await asyncio.gather(*(ask(client) for _ in range(5)))
    assert [at - begun for at in server.asked[8:]] == pytest.approx([0, 0, 0, 0, 0.5], abs=0.01)


async def test_watches_and_who_goes_by_another_way_never_wait() -> None:
    server = Server()
    client = Client(server)
    paced = client.through(lambda transport: Paced(transport, Pace(SLOW)))
    waiting = [asyncio.create_task(ask(paced)) for _ in range(100)]
    await pass_time(0.1)
    await watch(paced)
    await ask(client)
    assert loop_seconds() == pytest.approx(0.1, abs=0.01)
    assert len(server.watched) == 1
    await asyncio.gather(*waiting)
    assert loop_seconds() == pytest.approx(48, abs=0.1)


async def test_it_is_changed_while_it_runs() -> None:
    server = Server()
    pace = Pace(SLOW)
    client = Client(Paced(server, pace))
    await asyncio.gather(*(ask(client) for _ in range(4)))
    pace.apply(ApiLimits(requests_per_second=100, burst=50))
    await asyncio.gather(*(ask(client) for _ in range(100)))
    assert loop_seconds() == pytest.approx(0.5, abs=0.05)
    pace.apply(ApiLimits(requests_per_second=100, burst=50))  # the same: nothing begins anew
    begun = loop_seconds()
    await asyncio.gather(*(ask(client) for _ in range(10)))
    assert loop_seconds() - begun == pytest.approx(0.1, abs=0.05)


async def test_who_gives_up_waiting_takes_nobody_s_turn() -> None:
    server = Server()
    client = Client(Paced(server, Pace(SLOW)))
    await asyncio.gather(*(ask(client) for _ in range(4)))
    gone = [asyncio.create_task(ask(client)) for _ in range(10)]
    await pass_time(0.1)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    await ask(client)
    assert loop_seconds() == pytest.approx(0.5, abs=0.01)
