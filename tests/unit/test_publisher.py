from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from msgspec.structs import replace

from registrar.cluster.endpoints import decode, encode
from registrar.cluster.forms import Action, Write
from registrar.cluster.objects import Endpoints
from registrar.cluster.publisher import ClusterPublisher, DryPublisher
from registrar.cluster.term import Alone
from registrar.cluster.view import ClusterView, Held
from registrar.errors import Conflict
from tests.embedded_cluster import EmbeddedCluster
from tests.fakes import KEY, endpoint, pass_time

pytestmark = pytest.mark.looptime


def said(current: Endpoints | None, *addresses: str) -> Endpoints:
    wanted = frozenset(endpoint(address) for address in addresses)
    return encode(KEY, "office", wanted, current, mirrored=True)


class World:
    def __init__(self) -> None:
        self.cluster = EmbeddedCluster()
        rng = Random(1)  # noqa: S311  the same in each run
        self.view = ClusterView(self.cluster.client, "office", [KEY], lambda _: None, rng)
        self.publisher = ClusterPublisher(self.cluster.client, self.view, Alone())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.view.run())
        await pass_time(1)
        self.cluster.deafen()  # the watch tells of nothing: what is known was noted
        yield
        task.cancel()

    async def write(self, action: Action, item: Endpoints) -> Held:
        return await self.publisher.carry_out(KEY, self.view.held(KEY), [Write(action, item)])


async def test_what_it_writes_is_what_the_cluster_then_holds_and_is_known_at_once() -> None:
    world = World()
    async with world.running():
        first = await world.write(Action.CREATE, said(None, "10.0.0.1"))
        second = await world.write(Action.REPLACE, said(first.endpoints, "10.0.0.2"))
        assert second.endpoints == world.cluster.find(Endpoints, KEY.name)
        assert second.endpoints is not None
        assert decode(second.endpoints) == {endpoint("10.0.0.2")}
        third = await world.write(Action.DELETE, second.endpoints)
        assert third.endpoints is None
        assert world.cluster.find(Endpoints, KEY.name) is None


async def test_it_never_writes_over_nor_deletes_what_it_has_not_seen() -> None:
    world = World()
    async with world.running():
        seen = (await world.write(Action.CREATE, said(None, "10.0.0.1"))).endpoints
        assert seen is not None
        changed = world.cluster.set(replace(seen, subsets=()))
        for action, item in (
            (Action.REPLACE, said(seen, "10.0.0.2")),
            (Action.CREATE, said(None, "10.0.0.2")),
            (Action.DELETE, seen),
        ):
            with pytest.raises(Conflict):
                await world.write(action, item)
        assert world.cluster.find(Endpoints, KEY.name) == changed
        assert world.view.held(KEY).endpoints == changed  # it was read again


async def test_it_never_writes_over_what_was_made_again() -> None:
    world = World()
    async with world.running():
        seen = (await world.write(Action.CREATE, said(None, "10.0.0.1"))).endpoints
        world.cluster.drop(Endpoints, KEY.name)
        with pytest.raises(Conflict):  # the API server compares its uid with that of nothing
            await world.write(Action.REPLACE, said(seen, "10.0.0.2"))
        assert world.view.held(KEY).endpoints is None
        again = (await world.write(Action.CREATE, said(None, "10.0.0.1"))).endpoints
        with pytest.raises(Conflict):
            await world.write(Action.REPLACE, said(seen, "10.0.0.2"))
        assert world.cluster.find(Endpoints, KEY.name) == again


async def test_a_dry_one_says_what_there_would_be() -> None:
    new = said(None, "10.0.0.1")
    held = await DryPublisher().carry_out(KEY, Held(), [Write(Action.CREATE, new)])
    assert held.endpoints == new
    held = await DryPublisher().carry_out(KEY, held, [Write(Action.DELETE, new)])
    assert held == Held()
