from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from registrar.cluster.client import ENDPOINTS, Scope
from registrar.cluster.objects import Endpoints, ObjectMeta
from registrar.cluster.watched import Watched
from registrar.embedded import Break, Delay, Refuse
from registrar.errors import ClusterUnreachable, Forbidden
from tests.embedded_cluster import EmbeddedCluster
from tests.fakes import KEY, pass_time

pytestmark = pytest.mark.looptime

TOO_OLD = b'{"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}'


def named(name: str, **labels: str) -> Endpoints:
    return Endpoints(metadata=ObjectMeta(name=name, namespace=KEY.namespace, labels=labels))


class World:
    """Watched Endpoints of the names a, b and c, and a note of what it said had changed."""

    def __init__(self) -> None:
        self.cluster = EmbeddedCluster()
        self.changed: list[str] = []
        rng = Random(1)  # noqa: S311  the same in each run
        self.watched = Watched(
            self.cluster.client,
            ENDPOINTS,
            Scope(KEY.namespace),
            lambda found: found.metadata.name if found.metadata.name in self.wanted else None,
            self.changed.append,
            rng,
        )
        self.wanted = ""
        self.want("abc")

    def want(self, names: str) -> None:
        self.wanted = names
        self.watched.want(frozenset(names))

    @asynccontextmanager
    async def running(self, seconds: float = 1.0) -> AsyncIterator[None]:
        task = asyncio.create_task(self.watched.run())
        await pass_time(seconds)
        yield
        task.cancel()

    def lists(self) -> int:
        return self.cluster.asked("list endpoints")

    def watching(self) -> int:
        return self.cluster.server.watching("endpoints")

    def say(self, line: bytes | None) -> None:
        """Have the watch say a line that the server would not, or (None) end."""
        self.cluster.transport.inject("endpoints", line)

    def labels(self, name: str) -> dict[str, str] | None:
        found = self.watched.get(name)
        return None if found is None else found.metadata.labels


@pytest.fixture
def world() -> World:
    return World()


# --- as it should be -----------------------------------------------------------------------------


async def test_it_knows_what_is_there_and_what_changes(world: World) -> None:
    world.cluster.set(named("a", said="first"))
    async with world.running():
        assert world.watched.synced.is_set()
        assert world.labels("a") == {"said": "first"}
        world.changed.clear()
        world.cluster.set(named("a", said="second"))
        world.cluster.set(named("b", said="new"))
        await pass_time(0.1)
        assert world.labels("a") == {"said": "second"}
        assert world.labels("b") == {"said": "new"}
        world.cluster.drop(Endpoints, "a")
        await pass_time(0.1)
        assert world.labels("a") is None
        assert world.changed == ["a", "b", "a"]
    assert world.lists() == 1


async def test_the_first_list_concerns_also_those_that_are_not_there(world: World) -> None:
    async with world.running():
        assert set(world.changed) == {"a", "b", "c"}


async def test_nobody_is_told_of_what_is_not_wanted(world: World) -> None:
    world.cluster.set(named("other"))
    async with world.running():
        world.changed.clear()
        world.cluster.set(named("other", said="changed"))
        world.cluster.drop(Endpoints, "other")
        await pass_time(0.1)
        assert world.watched.get("other") is None
        assert world.changed == []


async def test_all_pages_are_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registrar.cluster.client.PAGE", 7)
    for number in range(40):
        world.cluster.set(named(f"other-{number}"))
    world.cluster.set(named("c"))
    async with world.running():
        assert world.watched.get("c") is not None
    assert world.lists() == 6


async def test_a_watch_that_ends_goes_on_where_it_was(world: World) -> None:
    async with world.running(100):
        world.say(None)
        world.cluster.set(named("a"))
        await pass_time(1)
        assert world.watched.get("a") is not None
        assert world.watching() == 1
    assert world.lists() == 1


async def test_quiet_watches_that_end_in_their_time_are_no_failures(world: World) -> None:
    async with world.running(6000):
        opened = [r.seconds for r in world.cluster.requests if r.verb == "watch"]
        assert 16 <= len(opened) <= 26
        assert max(after - before for before, after in pairwise(opened)) < 361
        assert world.watching() == 1
        assert world.watched.error is None
    assert world.lists() == 1


async def test_watches_that_say_something_before_they_are_cut_are_opened_again_soon(
    world: World,
) -> None:
    async with world.running():
        for number in range(20):
            world.cluster.set(named("a", number=str(number)))
            await pass_time(0.1)
            assert world.cluster.server.cut_watches() == 1
            await pass_time(0.5)
            assert world.watching() == 1
            assert world.labels("a") == {"number": str(number)}


async def test_bookmarks_move_on_where_a_watch_would_continue(world: World) -> None:
    async with world.running():
        world.cluster.service()  # of which this watch says nothing
        await pass_time(61)
        world.cluster.server.compact()
        world.say(None)
        await pass_time(1)
    assert world.lists() == 1


# --- silence and failures ------------------------------------------------------------------------


async def test_silence_is_never_deletion(world: World) -> None:
    world.cluster.set(named("a"))
    async with world.running():
        world.changed.clear()
        world.cluster.fault(Break(), "watch")
        world.cluster.server.cut_watches()
        await pass_time(3600)
        assert isinstance(world.watched.error, ClusterUnreachable)
        assert world.watched.get("a") is not None


async def test_what_went_while_it_could_not_be_heard_is_found_by_the_list(world: World) -> None:
    world.cluster.set(named("a"))
    world.cluster.set(named("b"))
    async with world.running():
        world.changed.clear()
        world.cluster.fault(Break(), "watch", times=3)
        world.cluster.server.cut_watches()
        world.cluster.drop(Endpoints, "a")
        world.cluster.set(named("c"))
        world.cluster.server.compact()
        await pass_time(60)
        assert world.watched.get("a") is None
        assert world.watched.get("b") is not None
        assert world.watched.get("c") is not None
        assert {"a", "c"} <= set(world.changed)
    assert world.lists() == 2


@pytest.mark.parametrize(
    "line",
    [
        TOO_OLD,
        b'{"type": "MODIFIED", "object": {"metadata": {"labels": 5}}}',
        b'{"type": "SURPRISE", "object": {}}',
        b"garbage",
    ],
)
async def test_an_event_that_ends_the_story_or_makes_no_sense_leads_to_a_list(
    world: World, line: bytes
) -> None:
    world.cluster.set(named("a"))
    async with world.running():
        deaf = world.cluster.deafen()
        world.cluster.drop(Endpoints, "a")
        world.say(line)
        await pass_time(1)
        assert world.watched.get("a") is None
        assert world.watched.error is None
        assert world.watching() == 1
        deaf.end()
    assert world.lists() == 2


async def test_an_error_event_of_another_kind_leads_to_no_list(world: World) -> None:
    async with world.running():
        world.say(b'{"type": "ERROR", "object": {"code": 500, "message": "etcd is away"}}')
        await pass_time(1)
        assert world.watched.error is None
        assert world.watching() == 1
    assert world.lists() == 1


async def test_a_list_that_takes_too_long_for_its_pages_begins_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registrar.cluster.client.PAGE", 1)
    for name in "abc":
        world.cluster.set(named(name))
    world.cluster.fault(Delay(1.0), "list", times=2)
    async with world.running(1.5):
        world.cluster.set(named("other"))
        world.cluster.server.compact()
        await pass_time(2)
        assert [r.status for r in world.cluster.requests[:2]] == [200, 410]
        assert world.watched.synced.is_set()
        assert world.watched.error is None
        assert {name for name in "abc" if world.watched.get(name)} == set("abc")


async def test_why_it_is_not_heard_is_told_and_logged_once(world: World) -> None:
    with capture_logs() as logs:
        world.cluster.fault(Refuse(403, message="endpoints is forbidden"), "list", times=5)
        async with world.running(3):
            assert not world.watched.synced.is_set()
            assert isinstance(world.watched.error, Forbidden)
            assert sorted(world.changed) == ["a", "b", "c"]
            await pass_time(60)
            assert world.watched.synced.is_set()
            assert world.watched.error is None
    assert [line["event"] for line in logs] == ["cluster-unheard", "cluster-recovered"]
    assert logs[0]["error"] == "endpoints is forbidden"


async def test_failures_in_a_row_are_met_with_patience(world: World) -> None:
    world.cluster.fault(Break(), "list")
    async with world.running(600):
        assert 20 <= world.lists() <= 60
    assert len(world.cluster.requests) == world.lists()


async def test_a_list_that_works_does_not_hide_that_the_watch_never_does(world: World) -> None:
    world.cluster.fault(Refuse(410), "watch")
    async with world.running(600):
        assert world.lists() <= 60


async def test_a_busy_api_server_is_asked_again_when_it_said(world: World) -> None:
    world.cluster.fault(Refuse(429, retry_after=20), "list", times=1)
    async with world.running(19):
        assert world.lists() == 1
        await pass_time(2)
        assert world.watched.synced.is_set()


# --- what is older than what is known ------------------------------------------------------------


async def test_what_was_just_written_is_not_undone_by_an_older_event(world: World) -> None:
    old = world.cluster.set(named("a", said="old"))
    async with world.running():
        version = str(int(old.metadata.resource_version) + 10)
        newer = named("a", said="written")
        newer = replace(newer, metadata=replace(newer.metadata, resource_version=version))
        world.watched.put(newer)
        world.cluster.set(named("a", said="older"))
        await pass_time(0.1)
        assert world.labels("a") == {"said": "written"}
        world.say(TOO_OLD)
        await pass_time(1)
        assert world.lists() == 2
        assert world.labels("a") == {"said": "written"}


async def write_ours(world: World) -> Endpoints:
    """Write an object, whose news the watch brings; return the answer, which comes later."""
    answer = world.cluster.set(named("a", said="ours"))
    await pass_time(0.1)
    assert world.labels("a") == {"said": "ours"}
    return answer


async def test_nobody_is_told_of_our_own_write_though_the_watch_is_quicker(world: World) -> None:
    world.cluster.set(named("a"))
    async with world.running():
        world.changed.clear()
        with world.watched.writing("a"):
            answer = await write_ours(world)
            world.watched.put(answer)
        assert world.changed == []


@pytest.mark.parametrize("answered", [True, False])
async def test_what_others_write_beside_ours_is_told_after_it(
    world: World, *, answered: bool
) -> None:
    world.cluster.set(named("a"))
    async with world.running():
        world.changed.clear()
        with world.watched.writing("a"):
            answer = await write_ours(world)
            world.cluster.set(named("a", said="theirs"))
            await pass_time(0.1)
            assert world.changed == []
            if answered:
                world.watched.put(answer)
        assert world.changed == ["a"]
        assert world.labels("a") == {"said": "theirs"}


async def test_what_is_deleted_while_we_write_it_is_told(world: World) -> None:
    world.cluster.set(named("a"))
    async with world.running():
        world.changed.clear()
        with world.watched.writing("a"):
            answer = await write_ours(world)
            world.cluster.drop(Endpoints, "a")
            await pass_time(0.1)
            world.watched.put(answer)
        assert world.changed == ["a"]
        assert world.watched.get("a") is None


async def test_what_is_gone_does_not_come_back_by_a_late_answer(world: World) -> None:
    written = world.cluster.set(named("a"))
    async with world.running():
        world.cluster.drop(Endpoints, "a")
        await pass_time(0.1)
        world.watched.put(written)  # the answer to the write, overtaken by the watch
        assert world.watched.get("a") is None
        made_again = world.cluster.set(named("a", said="again"))
        await pass_time(0.1)
        assert world.watched.get("a") == made_again


async def test_what_a_list_did_not_show_does_not_come_back_by_a_late_answer(world: World) -> None:
    world.cluster.set(named("a"))
    async with world.running():
        world.cluster.deafen()
        written = world.cluster.set(named("a", said="written"))
        world.cluster.drop(Endpoints, "a")
        world.cluster.server.compact()
        world.say(None)
        await pass_time(1)
        assert world.lists() == 2
        world.watched.put(written)
        assert world.watched.get("a") is None


async def test_a_deletion_older_than_what_is_known_is_ignored(world: World) -> None:
    known = world.cluster.set(named("a"))
    async with world.running():
        version = str(int(known.metadata.resource_version) - 1)
        older = replace(known.metadata, resource_version=version)
        world.watched.remove(replace(known, metadata=older))
        assert world.watched.get("a") is not None


# --- what is wanted changes ----------------------------------------------------------------------


async def test_what_is_wanted_later_is_listed_beside_the_watch(world: World) -> None:
    for name in "abd":
        world.cluster.set(named(name))
    async with world.running():
        world.changed.clear()
        world.want("abcde")
        assert world.watched.is_listed("a")
        assert not world.watched.is_listed("d")
        await pass_time(0.1)
        assert world.watched.is_listed("d")
        assert world.labels("d") == {}
        assert world.labels("e") is None
        assert set(world.changed) == {"d", "e"}
        assert world.cluster.asked("watch endpoints") == 1
        world.cluster.set(named("d", said="second"))
        await pass_time(0.1)
        assert world.labels("d") == {"said": "second"}
        world.want("abcd")  # which is nothing new
        await pass_time(10)
    assert world.lists() == 2


async def test_what_goes_while_one_lists_beside_the_watch_does_not_come_back(world: World) -> None:
    world.cluster.set(named("d"))
    async with world.running():
        world.cluster.transport.late_s = 5.0  # the list, which still has it, takes its time
        world.want("abcd")
        await pass_time(1)
        world.cluster.drop(Endpoints, "d")
        world.cluster.set(named("a"))
        await pass_time(10)
        assert world.watched.is_listed("d")
        assert world.labels("d") is None


async def test_what_can_not_be_listed_is_said_and_tried_again(world: World) -> None:
    world.cluster.set(named("d"))
    async with world.running():
        world.cluster.fault(Refuse(403, message="endpoints is forbidden"), "list", times=3)
        world.want("abcd")
        await pass_time(0.05)
        assert isinstance(world.watched.error, Forbidden)
        assert not world.watched.is_listed("d")
        assert world.watched.is_listed("a")
        await pass_time(60)
        assert world.watched.error is None
        assert world.labels("d") == {}
        assert world.cluster.asked("watch endpoints") == 1


async def test_what_is_wanted_during_the_first_list_is_listed_too(world: World) -> None:
    world.cluster.set(named("d"))
    world.cluster.transport.late_s = 5.0
    async with world.running(1):
        world.want("abcd")
        await pass_time(5)
        assert world.watched.is_listed("a")
        await pass_time(30)
        assert world.watched.is_listed("d")
        assert world.labels("d") == {}


async def test_what_was_not_wanted_for_a_moment_is_not_known_until_it_is_listed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registrar.cluster.client.PAGE", 1)
    for name in "ad":
        world.cluster.set(named(name))
    async with world.running():
        world.cluster.transport.late_s = 5.0
        world.want("abcd")
        await pass_time(7)  # the second page, which has d, is under way
        world.want("abc")
        await pass_time(5)
        world.want("abcd")
        await pass_time(0.1)
        assert not world.watched.is_listed("d")
        await pass_time(30)
        assert world.watched.is_listed("d")
        assert world.labels("d") == {}


async def test_what_is_not_wanted_any_more_is_let_go(world: World) -> None:
    world.cluster.set(named("a"))
    world.cluster.set(named("b"))
    async with world.running():
        world.want("b")
        assert world.watched.services == {"b"}
        assert world.labels("a") is None
        world.cluster.set(named("a", said="second"))
        await pass_time(0.1)
        assert world.labels("a") is None
        world.want("ab")
        await pass_time(0.1)
        assert world.labels("a") == {"said": "second"}
