"""One query of one source: its parts, their last good answers, and what is logged of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from registrar.errors import SourceError
from registrar.feed import Feed
from registrar.model import Answer, Dropped, Observation, PartState, QueryRef
from registrar.part_feed import LOGGED_DROPS, MOST_BACKENDS, VANISHED_S
from registrar.source import Context, Part, Source
from registrar.threads import in_thread
from tests.fakes import (
    FakeOptions,
    FakeQuery,
    LoopSchedule,
    NoFiles,
    Said,
    ScriptedSource,
    Steady,
    answer,
    pass_time,
)

pytestmark = pytest.mark.looptime

ONE, TWO = answer("10.0.0.1"), answer("10.0.0.2")
NOTHING = Answer(())

Logs = list[MutableMapping[str, Any]]


class Fed:
    """A feed that polls a scripted source, for 10 s at most."""

    def __init__(self, context: Context, interval: float, **says: Said) -> None:
        options = FakeOptions.model_construct(interval=interval, timeout=10.0)
        self.source = ScriptedSource(options, context)
        self.source.script(**says)
        self.changes = 0
        ref = QueryRef("racks", FakeQuery())
        self.feed = Feed(ref, self.source, LoopSchedule(), Steady(), self._changed)

    def _changed(self, _: QueryRef) -> None:
        self.changes += 1

    @property
    def seen(self) -> Observation:
        return self.feed.observation

    def part(self, name: str) -> PartState:
        return next(part for part in self.seen.parts if part.name == name)


Feeding = Callable[..., Fed]


@pytest.fixture
async def feeding(tmp_path: Path) -> AsyncIterator[Feeding]:
    started: list[Fed] = []

    def feeding(interval: float = 30.0, **says: Said) -> Fed:
        started.append(Fed(Context(tmp_path, NoFiles(), in_thread), interval, **says))
        started[-1].feed.start()
        return started[-1]

    yield feeding
    for fed in started:
        await fed.feed.stop()


@pytest.fixture
def logs() -> Iterator[Logs]:
    with capture_logs() as logs:
        yield logs


def events(logs: Logs) -> list[tuple[str, str | None]]:
    return [(line["event"], line.get("part")) for line in logs]


# --- what is known -------------------------------------------------------------------------------


async def test_before_the_first_answer_nothing_is_known(feeding: Feeding) -> None:
    fed = feeding(a=None)
    assert not fed.seen.heard_all
    await pass_time(5)
    assert not fed.feed.asked
    assert not fed.seen.heard_all
    assert not fed.seen.errors


async def test_the_answers_of_all_parts_are_joined(feeding: Feeding) -> None:
    fed = feeding(a=ONE, b=TWO)
    await pass_time(5)
    assert fed.feed.asked
    assert fed.seen.heard_all
    assert fed.seen.backends == answer("10.0.0.1", "10.0.0.2").backends


async def test_one_part_that_hangs_or_fails_holds_up_no_other(feeding: Feeding) -> None:
    fed = feeding(a=None, b=SourceError("refused"), c=ONE)
    await pass_time(1)
    assert fed.seen.backends == ONE.backends
    assert fed.part("b").error == "refused"
    assert not fed.feed.asked
    await pass_time(10)
    assert fed.part("a").error == "no answer within 10 s"
    assert fed.feed.asked
    assert not fed.seen.heard_all


async def test_an_error_keeps_the_last_answer_and_its_age(feeding: Feeding) -> None:
    fed = feeding(a=ONE)
    await pass_time(5)
    fed.source.says["a"] = SourceError("refused")
    await pass_time(100)
    assert fed.part("a") == PartState("a", ONE, 0.0, "refused", 1)


async def test_an_empty_answer_is_an_answer(feeding: Feeding) -> None:
    fed = feeding(a=ONE)
    await pass_time(5)
    fed.source.says["a"] = NOTHING
    await pass_time(30)
    assert fed.part("a") == PartState("a", NOTHING, 30.0, None, 2)


async def test_records_none_of_which_can_be_used_are_no_empty_answer(feeding: Feeding) -> None:
    fed = feeding(a=ONE)
    await pass_time(5)
    fed.source.says["a"] = Answer((), (Dropped("db1", "'db1' is not an IP address"),))
    await pass_time(30)
    assert fed.part("a").answer == ONE
    assert fed.part("a").error == "no record can be used: 'db1' is not an IP address"


async def test_more_backends_than_anybody_has_are_no_answer(feeding: Feeding) -> None:
    fed = feeding(a=ONE)
    await pass_time(5)
    fed.source.says["a"] = Answer(ONE.backends * (MOST_BACKENDS + 1))
    await pass_time(30)
    assert fed.part("a").answer == ONE
    assert fed.part("a").error == "it lists 100,001 backends, and 100,000 are the most"


@pytest.mark.parametrize("error", [ValueError("hunter2"), asyncio.CancelledError("hunter2")])
async def test_whatever_a_plugin_raises_keeps_the_last_answer_and_its_text_is_not_shown(
    feeding: Feeding, logs: Logs, error: BaseException
) -> None:
    fed = feeding(a=ONE)
    await pass_time(5)
    fed.source.says["a"] = error
    fed.source.split_error = error
    await pass_time(100)
    assert fed.seen.backends == ONE.backends
    assert len(fed.seen.errors) == 2
    assert type(error).__name__ in str(fed.seen.errors)
    assert "hunter2" not in str(fed.seen) + str(logs)
    fed.source.says["a"], fed.source.split_error = TWO, None
    await pass_time(30)
    assert not fed.seen.errors
    assert fed.seen.backends == TWO.backends


async def test_nonsense_for_an_answer_keeps_the_last_one(feeding: Feeding) -> None:
    fed = feeding(a=ONE)
    await pass_time(5)
    nonsense: Any = 42
    fed.source.says["a"] = nonsense
    await pass_time(100)
    assert fed.part("a").answer == ONE
    assert "the source plugin failed" in str(fed.part("a").error)


async def test_a_part_is_asked_less_often_while_it_fails_and_not_before_it_wants(
    feeding: Feeding,
) -> None:
    fed = feeding(a=SourceError("refused"), b=SourceError("busy", retry_after=200))
    await pass_time(100)
    assert fed.source.asked.count("a") == 8
    assert fed.source.asked.count("b") == 1
    await pass_time(105)
    assert fed.source.asked.count("b") == 2


async def test_what_is_watched_is_known_at_once_and_lasts_through_an_error(
    feeding: Feeding,
) -> None:
    fed = feeding(a=ONE)
    fed.source.streams["a"] = asyncio.Queue()
    await pass_time(5)
    fed.source.streams["a"].put_nowait(TWO)
    await pass_time(0)
    assert fed.part("a") == PartState("a", TWO, 5.0, None, 2)
    fed.source.streams["a"].put_nowait(SourceError("half-written"))
    await pass_time(0)
    assert fed.part("a") == PartState("a", TWO, 5.0, "half-written", 2)
    fed.source.streams["a"].put_nowait(RuntimeError("hunter2"))
    await pass_time(1)
    assert fed.part("a") == PartState("a", ONE, 5.0, None, 3)  # the poll has the last word


# --- the parts themselves ------------------------------------------------------------------------


async def test_a_new_part_is_asked_at_once(feeding: Feeding) -> None:
    fed = feeding(a=ONE)
    await pass_time(5)
    fed.source.says["b"] = TWO
    fed.source.listed.append("b")
    await pass_time(26)
    assert fed.seen.backends == ONE.backends + TWO.backends


async def test_a_part_that_vanished_is_kept_for_30_s(feeding: Feeding, logs: Logs) -> None:
    fed = feeding(a=ONE, b=TWO)
    await pass_time(5)
    fed.source.listed = ["a"]
    await pass_time(25 + VANISHED_S - 1)
    assert fed.seen.backends == ONE.backends + TWO.backends
    changes = fed.changes
    await pass_time(2)
    assert fed.seen.backends == ONE.backends
    assert fed.changes == changes + 1
    assert events(logs) == [("part-gone", "b")]
    asked = fed.source.asked.count("b")
    await pass_time(300)
    assert fed.source.asked.count("b") == asked


async def test_a_part_that_comes_back_in_time_was_never_gone(feeding: Feeding) -> None:
    fed = feeding(interval=10.0, a=ONE, b=TWO)
    await pass_time(5)
    fed.source.listed = ["a"]  # seen at 10 s
    await pass_time(20)
    fed.source.listed = ["a", "b"]  # seen at 30 s
    await pass_time(10)
    fed.source.listed = ["a"]  # seen at 40 s
    await pass_time(VANISHED_S)
    assert fed.seen.backends == ONE.backends + TWO.backends
    await pass_time(6)
    assert fed.seen.backends == ONE.backends


async def test_no_part_goes_while_the_parts_are_not_known(feeding: Feeding) -> None:
    fed = feeding(interval=10.0, a=ONE, b=TWO)
    await pass_time(5)
    fed.source.listed = ["a"]  # seen at 10 s
    await pass_time(20)
    fed.source.split_error = SourceError("not mounted")
    await pass_time(600)
    assert fed.seen.backends == ONE.backends + TWO.backends
    assert fed.seen.error == "not mounted"
    fed.source.split_error = None
    await pass_time(10 + VANISHED_S + 1)
    assert fed.seen.backends == ONE.backends
    assert fed.seen.error is None


async def test_parts_that_were_never_known_are_not_an_empty_answer(feeding: Feeding) -> None:
    fed = feeding()
    fed.source.split_error = SourceError("not mounted")
    await pass_time(5)
    assert fed.feed.asked
    assert not fed.seen.heard_all
    assert fed.seen.errors == ("not mounted",)


# --- what is told --------------------------------------------------------------------------------


def rotating(address: str) -> Answer:
    return replace(answer(address), window=60.0)


async def test_answers_that_rotate_are_joined_over_their_window(feeding: Feeding) -> None:
    fed = feeding(a=rotating("10.0.0.1"))
    await pass_time(5)
    fed.source.says["a"] = rotating("10.0.0.2")
    await pass_time(30)
    assert fed.seen.backends == answer("10.0.0.1", "10.0.0.2").backends
    await pass_time(30)
    assert fed.seen.backends == answer("10.0.0.2").backends


async def test_the_window_of_rotating_answers_stands_still_while_there_are_none(
    feeding: Feeding,
) -> None:
    fed = feeding(a=rotating("10.0.0.1"))
    await pass_time(5)
    fed.source.says["a"] = SourceError("refused")
    await pass_time(300)
    fed.source.says["a"] = rotating("10.0.0.2")
    await pass_time(30)
    assert fed.seen.backends == answer("10.0.0.1", "10.0.0.2").backends


async def test_what_a_whole_answer_has_named_stays_for_the_window_of_rotating_ones(
    feeding: Feeding,
) -> None:
    fed = feeding(a=answer("10.0.0.1"))
    await pass_time(295)  # last asked at 270 s
    fed.source.says["a"] = rotating("10.0.0.2")
    await pass_time(30)
    assert fed.seen.backends == answer("10.0.0.1", "10.0.0.2").backends
    await pass_time(30)
    assert fed.seen.backends == answer("10.0.0.2").backends


async def test_of_rotating_answers_absence_means_nothing_before_the_window_has_passed(
    feeding: Feeding,
) -> None:
    fed = feeding(a=rotating("10.0.0.1"))
    await pass_time(55)
    assert not fed.seen.heard_all
    changes = fed.changes
    await pass_time(30)
    assert fed.seen.heard_all
    assert fed.changes == changes + 1


async def test_an_answer_is_asked_for_again_when_it_ends(feeding: Feeding) -> None:
    fed = feeding(a=replace(ONE, fresh_for=5.0))
    await pass_time(12)
    assert fed.source.asked == ["a"] * 3
    changes = fed.changes
    fed.source.says["a"] = replace(ONE, fresh_for=4.0)
    await pass_time(12)
    assert fed.changes == changes, "a TTL that counts down is no change"
    fed.source.says["a"] = replace(TWO, fresh_for=4.0)
    await pass_time(4)
    assert fed.seen.backends == TWO.backends


async def test_only_a_change_marks(feeding: Feeding) -> None:
    fed = feeding(a=ONE)
    await pass_time(5)
    changes = fed.changes
    await pass_time(300)
    assert fed.changes == changes
    fed.source.says["a"] = SourceError("refused")
    await pass_time(300)
    assert fed.changes == changes + 1
    fed.source.says["a"] = ONE
    await pass_time(300)
    assert fed.changes == changes + 2
    fed.source.split_error = SourceError("not mounted")
    await pass_time(300)
    assert fed.changes == changes + 3
    fed.source.split_error = None
    await pass_time(300)
    assert fed.changes == changes + 4


async def test_one_log_line_for_a_transition_and_none_for_a_poll(
    feeding: Feeding, logs: Logs
) -> None:
    fed = feeding(a=ONE)
    await pass_time(300)
    assert logs == []
    fed.source.says["a"] = SourceError("refused")
    await pass_time(300)
    fed.source.says["a"] = KeyError("hunter2")
    await pass_time(300)
    fed.source.says["a"] = ONE
    await pass_time(300)
    assert events(logs) == [
        ("source-unknown", "a"),
        ("source-unknown", "a"),
        ("source-recovered", "a"),
    ]
    assert {line["source"] for line in logs} == {"racks"}
    assert logs[0]["error"] == "refused"


async def test_a_split_that_fails_and_recovers_is_told_once_each(
    feeding: Feeding, logs: Logs
) -> None:
    fed = feeding(a=ONE)
    fed.source.split_error = SourceError("not mounted")
    await pass_time(300)
    fed.source.split_error = None
    await pass_time(300)
    assert events(logs) == [("source-unknown", None), ("source-recovered", None)]


async def test_dropped_records_are_told_when_they_change(feeding: Feeding, logs: Logs) -> None:
    drops = tuple(Dropped(f"db{n}", "is not an IP address") for n in range(LOGGED_DROPS + 5))
    fed = feeding(a=Answer(ONE.backends, drops[:1]))
    await pass_time(100)
    assert [(line["event"], line["record"]) for line in logs] == [("record-dropped", "db0")]
    logs.clear()
    fed.source.says["a"] = Answer(ONE.backends, drops)
    await pass_time(100)
    assert len(logs) == LOGGED_DROPS + 1
    assert logs[-1]["count"] == LOGGED_DROPS + 5


async def test_nothing_is_under_way_after_the_stop(feeding: Feeding) -> None:
    fed = feeding(a=ONE, b=None)
    await pass_time(5)
    fed.source.listed = ["b"]
    await pass_time(30)
    await fed.feed.stop()
    asked, changes = list(fed.source.asked), fed.changes
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await pass_time(300)
    assert (fed.source.asked, fed.changes) == (asked, changes)


class Whole(Source[FakeOptions, FakeQuery]):
    """Asks each query as it is, in one part."""

    options_class = FakeOptions
    query_class = FakeQuery

    async def discover(self, part: Part[FakeQuery]) -> Answer:
        del part
        return ONE


async def test_a_query_that_is_its_own_only_part_is_not_asked_for_parts_again(
    tmp_path: Path,
) -> None:
    asked: list[str] = []
    options = FakeOptions.model_construct(interval=30.0, timeout=10.0)
    source = Whole(options, Context(tmp_path, NoFiles(), in_thread))
    ref = QueryRef("racks", FakeQuery())
    feed = Feed(
        ref, source, LoopSchedule(), Steady(), lambda _: None, lambda _, how, __: asked.append(how)
    )
    feed.start()
    await pass_time(1)
    assert len(asked) == 1  # of the one that there is
    await pass_time(300)
    polls = len(asked) - 1
    assert 10 <= polls <= 12
    await feed.renew()
    assert len(asked) == 1 + polls + 1
    await feed.stop()


class Broken(Whole):
    """A plugin with a defect."""

    def parts(self, query: FakeQuery) -> Sequence[Part[FakeQuery]]:
        raise RuntimeError(query)


async def test_a_plugin_that_fails_to_say_its_parts_is_not_known(tmp_path: Path) -> None:
    options = FakeOptions.model_construct(interval=30.0, timeout=10.0)
    source = Broken(options, Context(tmp_path, NoFiles(), in_thread))
    feed = Feed(QueryRef("racks", FakeQuery()), source, LoopSchedule(), Steady(), lambda _: None)
    feed.start()
    await pass_time(1)
    (error,) = feed.observation.errors
    assert "the source plugin failed with RuntimeError" in error
    await feed.stop()
