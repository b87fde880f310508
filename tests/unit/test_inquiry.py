"""One question, asked again and again in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from registrar.errors import SourceError
from registrar.inquiry import LONGEST_RETRY_S, Inquiry
from tests.fakes import LoopSchedule, Steady, pass_time

Said = str | BaseException | None
"""An answer, what is raised, or None for no answer at all."""

Stream = Callable[[], AsyncGenerator[str | SourceError] | None]


def now() -> float:
    return round(asyncio.get_running_loop().time(), 3)


def never() -> None:
    return None


class Asked:
    """The question of a desk, told by `stream` where it can be watched, hinted at by `hint`."""

    timeout = 10.0

    def __init__(self, desk: Desk, stream: Stream, interval: float) -> None:
        self._desk = desk
        self.watch = stream
        self.interval = interval
        self.ask = desk.ask
        self.hints: list[Callable[[], None]] = []

    def listen(self, changed: Callable[[], None]) -> Callable[[], None]:
        self.hints.append(changed)
        return self.hints.clear

    def hint(self) -> None:
        for changed in self.hints:
            changed()

    def fresh_for(self, _: str) -> float | None:
        return self._desk.fresh_for

    def accept(self, answer: str) -> None:
        self._desk.heard.append((now(), answer.upper()))

    def fail(self, error: str) -> None:
        self._desk.failed.append((now(), error))

    def measured(self, result: str, seconds: float) -> None: ...

    def log(self) -> FilteringBoundLogger:
        said: FilteringBoundLogger = structlog.get_logger()
        return said


class Desk:
    """Runs a question: what it is told and when, what it hears, what it is told by watching."""

    def __init__(self) -> None:
        self.says: list[Said] = ["hello"]
        self.asked: list[float] = []
        self.heard: list[tuple[float, str]] = []
        self.failed: list[tuple[float, str]] = []
        self.told: asyncio.Queue[str | BaseException | None] = asyncio.Queue()
        self.watched: list[float] = []
        self.ended: list[str] = []
        self.fresh_for: float | None = None
        self._running: list[Inquiry[str]] = []

    def start(
        self, watch: Stream = never, rng: Random | None = None, interval: float = 30.0
    ) -> Inquiry[str]:
        """Ask every 30 s unless said otherwise, for 10 s at most."""
        self.question = Asked(self, watch, interval)
        inquiry = Inquiry(self.question, LoopSchedule(), rng or Steady())
        inquiry.start()
        self._running.append(inquiry)
        return inquiry

    async def stop(self) -> None:
        for inquiry in self._running:
            await inquiry.stop()

    async def ask(self) -> str:
        self.asked.append(now())
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        try:
            if said is None:
                await asyncio.Event().wait()
        finally:
            self.ended.append("question")
        if isinstance(said, BaseException):
            raise said
        assert said is not None
        return said

    async def watch(self) -> AsyncGenerator[str | SourceError]:
        self.watched.append(now())
        try:
            while (item := await self.told.get()) is not None:
                if isinstance(item, BaseException) and not isinstance(item, SourceError):
                    raise item
                yield item
        finally:
            self.ended.append("watch")


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.stop()


@pytest.mark.looptime
@pytest.mark.parametrize("interval", [3600.0, math.inf])
async def test_what_failed_is_asked_again_soon_however_long_the_interval_is(
    desk: Desk, interval: float
) -> None:
    desk.says = [SourceError("refused")]
    desk.start(interval=interval)
    await pass_time(1800)
    pauses = [after - before for before, after in pairwise(desk.asked)]
    assert max(pauses) <= LONGEST_RETRY_S


# --- polling -------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_it_asks_at_once_and_then_at_every_interval(desk: Desk) -> None:
    desk.start()
    await pass_time(100)
    assert desk.asked == [0, 30, 60, 90]
    assert desk.heard == [(time, "HELLO") for time in desk.asked]


@pytest.mark.looptime
async def test_questions_drift_apart_by_a_tenth_of_the_interval_at_most(desk: Desk) -> None:
    desk.start(rng=Random(1))  # noqa: S311  a seed, to repeat it
    await pass_time(3000)
    gaps = [after - before for before, after in zip(desk.asked, desk.asked[1:], strict=False)]
    assert all(27 <= gap <= 30 for gap in gaps)
    assert max(gaps) - min(gaps) > 1


@pytest.mark.looptime
async def test_failures_are_asked_again_after_doubling_delays_until_one_succeeds(
    desk: Desk,
) -> None:
    desk.says = [*[SourceError("refused")] * 7, "hello", SourceError("refused"), "hello"]
    desk.start()
    await pass_time(200)
    assert desk.asked[:8] == [0, 1, 3, 7, 15, 31, 61, 91]
    assert desk.failed[:7] == [(time, "refused") for time in desk.asked[:7]]
    assert desk.asked[8:] == [121, 122, 152, 182]


@pytest.mark.looptime
async def test_it_does_not_ask_before_the_time_that_the_source_named(desk: Desk) -> None:
    desk.says = [SourceError("busy", retry_after=300), "hello"]
    desk.start()
    await pass_time(320)
    assert desk.asked == [0, 300]


@pytest.mark.looptime
@pytest.mark.parametrize("nonsense", [float("inf"), 1e15, float("nan"), -5.0])
async def test_a_source_cannot_name_a_time_that_never_comes(desk: Desk, nonsense: float) -> None:
    desk.says = [SourceError("busy", retry_after=nonsense), "hello"]
    desk.start()
    await pass_time(86_401)
    assert desk.asked[1] in {1, 86_400}


@pytest.mark.looptime
async def test_a_question_without_an_answer_ends_at_its_deadline(desk: Desk) -> None:
    desk.says = [None, "hello"]
    desk.start()
    await pass_time(10.5)
    assert desk.failed == [(10, "no answer within 10 s")]
    assert desk.ended == ["question"]
    await pass_time(10)
    assert desk.heard == [(11, "HELLO")]


@pytest.mark.looptime
@pytest.mark.parametrize(
    "error",
    [
        ValueError("the token is hunter2"),
        TimeoutError("hunter2"),
        asyncio.CancelledError("hunter2"),
        ExceptionGroup("hunter2", [KeyError("hunter2")]),
    ],
)
async def test_whatever_a_plugin_raises_is_not_knowing_and_is_told_without_its_text(
    desk: Desk, error: BaseException
) -> None:
    desk.says = [error, "hello"]
    desk.start()
    await pass_time(5)
    [(_, told)] = desk.failed
    assert told.startswith(f"the source plugin failed with {type(error).__name__} at test_inquiry")
    assert "hunter2" not in told
    assert desk.heard == [(1, "HELLO")]


@pytest.mark.looptime
async def test_an_answer_that_is_none_is_a_failure_too(desk: Desk) -> None:
    nonsense: Any = 42
    desk.says = [nonsense, "hello"]
    desk.start()
    await pass_time(5)
    assert [time for time, _ in desk.failed] == [0]
    assert desk.heard == [(1, "HELLO")]


@pytest.mark.looptime
async def test_asking_now_takes_the_place_of_the_next_question(desk: Desk) -> None:
    inquiry = desk.start()
    await pass_time(10)
    inquiry.ask_now()
    await pass_time(65)
    assert desk.asked == [0, 10, 40, 70]


@pytest.mark.looptime
async def test_asking_now_does_not_ask_a_second_time_at_once(desk: Desk) -> None:
    desk.says = [None, "hello"]
    inquiry = desk.start()
    await pass_time(5)
    inquiry.ask_now()
    await pass_time(4)
    assert desk.asked == [0]


@pytest.mark.looptime
async def test_in_a_hurry_it_asks_sooner_and_then_at_its_interval_again(desk: Desk) -> None:
    inquiry = desk.start()
    await pass_time(5)
    inquiry.hurry(10)
    inquiry.hurry(20)  # it is sooner already
    await pass_time(50)
    assert desk.asked == [0, 15, 45]


@pytest.mark.looptime
async def test_a_hurry_does_not_cut_short_what_a_failure_has_to_wait(desk: Desk) -> None:
    desk.says = [SourceError("busy", retry_after=300), "hello"]
    inquiry = desk.start()
    await pass_time(5)
    inquiry.hurry(1)
    await pass_time(290)
    assert desk.asked == [0]


@pytest.mark.looptime
async def test_an_answer_that_holds_for_a_while_is_asked_for_again_when_it_ends(
    desk: Desk,
) -> None:
    desk.fresh_for = 5.0
    desk.start()
    await pass_time(12)
    assert desk.asked == [0, 5, 10]
    desk.fresh_for = None
    await pass_time(50)
    assert desk.asked[3:] == [15, 45]


@pytest.mark.looptime
async def test_an_answer_that_holds_for_long_is_asked_for_at_the_interval(desk: Desk) -> None:
    desk.fresh_for = 3600.0
    desk.start()
    await pass_time(70)
    assert desk.asked == [0, 30, 60]


@pytest.mark.looptime
@pytest.mark.parametrize("nothing", [0.0, -1.0, float("nan")])
async def test_an_answer_that_does_not_hold_at_all_is_no_busy_loop(
    desk: Desk, nothing: float
) -> None:
    desk.fresh_for = nothing
    desk.start()
    await pass_time(1.9)
    assert desk.asked == [0, 0.5, 1, 1.5]


@pytest.mark.looptime
async def test_how_long_an_answer_holds_does_not_cut_short_what_a_failure_has_to_wait(
    desk: Desk,
) -> None:
    desk.fresh_for = 5.0
    desk.says = ["hello", SourceError("busy", retry_after=300)]
    desk.start()
    await pass_time(100)
    assert desk.asked == [0, 5]


@pytest.mark.looptime
async def test_what_is_watched_may_end_before_the_next_question_too(desk: Desk) -> None:
    desk.start(desk.watch)
    await pass_time(5)
    desk.fresh_for = 2.0
    desk.told.put_nowait("news")
    await pass_time(3)
    assert desk.asked == [0, 7]


# --- watching ------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_what_is_watched_is_heard_at_once_and_polling_goes_on_beneath(desk: Desk) -> None:
    desk.start(desk.watch)
    await pass_time(12)
    desk.told.put_nowait("news")
    await pass_time(30)
    assert desk.heard == [(0, "HELLO"), (12, "NEWS"), (30, "HELLO")]


@pytest.mark.looptime
async def test_an_error_that_is_watched_is_told_and_watching_goes_on(desk: Desk) -> None:
    desk.start(desk.watch)
    await pass_time(5)
    desk.told.put_nowait(SourceError("half-written"))
    desk.told.put_nowait("news")
    await pass_time(5)
    assert desk.failed == [(5, "half-written")]
    assert desk.heard == [(0, "HELLO"), (5, "NEWS")]
    assert desk.watched == [0]


@pytest.mark.looptime
async def test_an_older_answer_does_not_replace_what_was_watched_meanwhile(desk: Desk) -> None:
    async def slow() -> str:
        await pass_time(4)
        return "old"

    desk.ask = slow  # type: ignore[method-assign]
    desk.start(desk.watch)
    await pass_time(2)
    desk.told.put_nowait("new")
    await pass_time(10)
    assert desk.heard == [(2, "NEW")]
    await pass_time(30)
    assert [said for _, said in desk.heard] == ["NEW", "OLD"]


# --- hints ---------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_hint_has_it_asked_at_once_and_polled_from_then_on(desk: Desk) -> None:
    desk.start()
    await pass_time(12)
    desk.question.hint()
    await pass_time(40)
    assert desk.asked == [0, 12, 42]


@pytest.mark.looptime
async def test_a_hint_after_a_failure_does_not_wait_for_the_retry(desk: Desk) -> None:
    desk.says = [SourceError("refused")] * 6 + ["hello"]
    desk.start()
    await pass_time(20)
    before = len(desk.asked)
    desk.question.hint()
    await pass_time(0.1)
    assert desk.asked[before:] == [20]


@pytest.mark.looptime
async def test_hints_while_it_is_asked_have_it_asked_once_more(desk: Desk) -> None:
    answered = asyncio.Event()

    async def slow() -> str:
        desk.asked.append(now())
        await answered.wait()
        return "hello"

    desk.ask = slow  # type: ignore[method-assign]
    desk.start()
    await pass_time(3)
    desk.question.hint()
    desk.question.hint()
    assert desk.asked == [0]
    answered.set()
    await pass_time(20)
    assert desk.asked == [0, 3]
    assert len(desk.heard) == 2


@pytest.mark.looptime
async def test_nothing_hints_after_the_end(desk: Desk) -> None:
    inquiry = desk.start()
    await pass_time(1)
    await inquiry.stop()
    assert desk.question.hints == []


@pytest.mark.looptime
async def test_a_watch_that_ends_is_begun_again_later_and_later(desk: Desk) -> None:
    desk.start(desk.watch)
    for _ in range(4):
        desk.told.put_nowait(None)
    await pass_time(20)
    assert desk.watched == [0, 1, 3, 7, 15]
    desk.told.put_nowait("news")
    desk.told.put_nowait(None)
    await pass_time(10)
    assert desk.watched[5:] == [21]
    assert desk.failed == []


@pytest.mark.looptime
async def test_a_watch_that_is_lost_leaves_the_answer_to_the_poll_and_is_logged_once(
    desk: Desk,
) -> None:
    with capture_logs() as logs:
        desk.start(desk.watch)
        await pass_time(5)
        for _ in range(3):
            desk.told.put_nowait(ConnectionError("hunter2"))
        await pass_time(20)
        assert desk.watched == [0, 6, 8, 12]
        assert desk.asked == [0, 5]
        desk.told.put_nowait("news")
        await pass_time(1)
    assert desk.failed == []
    assert [line["event"] for line in logs] == ["watch-lost", "watch-recovered"]
    assert "failed with ConnectionError" in logs[0]["error"]
    assert "hunter2" not in str(logs)


@pytest.mark.looptime
async def test_a_watch_that_cannot_be_begun_is_tried_again(desk: Desk) -> None:
    tries: list[float] = []

    def broken() -> AsyncGenerator[str | SourceError]:
        tries.append(now())
        if len(tries) == 1:
            raise ValueError
        if len(tries) == 2:
            raise asyncio.CancelledError
        return desk.watch()

    desk.start(broken)
    desk.told.put_nowait("news")
    await pass_time(10)
    assert tries == [0, 1, 3]
    assert (3, "NEWS") in desk.heard


# --- the end -------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_nothing_is_under_way_after_the_stop(desk: Desk) -> None:
    desk.says = [None]
    inquiry = desk.start(desk.watch)
    await pass_time(5)
    await inquiry.stop()
    assert sorted(desk.ended) == ["question", "watch"]
    await pass_time(100)
    assert desk.asked == [0]
    assert desk.failed == []


@pytest.mark.looptime
async def test_nothing_is_asked_after_the_stop(desk: Desk) -> None:
    inquiry = desk.start()
    await pass_time(5)
    await inquiry.stop()
    await pass_time(100)
    assert desk.asked == [0]
