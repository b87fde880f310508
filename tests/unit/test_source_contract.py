"""The contract suite itself: a good source passes it, and one that errs fails the test for that."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from registrar.errors import SourceError
from registrar.model import Answer, Backend, Dropped
from registrar.source import Context, Options, Part, Query, Source, Text
from registrar.testing import SourceContract, asking, contract, dropped, error, leftovers
from tests.fakes import answer


class Place:
    """What lists backends: it answers, fails or hangs, and tells when that has changed."""

    def __init__(self) -> None:
        self.says: Answer | Exception | None = Answer(())
        self.changed = asyncio.Event()

    def say(self, what: Answer | Exception | None) -> None:
        self.says = what
        self.changed.set()
        self.changed = asyncio.Event()

    async def ask(self) -> Answer:
        await asyncio.sleep(0)
        while self.says is None:
            await self.changed.wait()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


PLACE: dict[str, Place] = {}


class GoodOptions(Options):
    place: Text


class Good(Source[GoodOptions, Query]):
    options_class = GoodOptions
    query_class = Query

    def __init__(self, options: GoodOptions, context: Context) -> None:
        super().__init__(options, context)
        self.place = PLACE[options.place]

    async def discover(self, part: Part[Query]) -> Answer:
        del part
        return await self.place.ask()

    def watch(self, part: Part[Query]) -> AsyncGenerator[Answer | SourceError] | None:
        del part
        return self._told()

    async def _told(self) -> AsyncGenerator[Answer | SourceError]:
        while True:
            changed = self.place.changed
            try:
                yield await self.place.ask()
            except SourceError as failed:
                yield failed
            await changed.wait()


class TestGood(SourceContract):
    source_class: ClassVar[type[Source[Any, Any]]] = Good
    secret = "s3cr3t-1"  # noqa: S105  it is the test's own
    hostile = {
        "nonsense": error(SourceError("nonsense"), "nonsense"),
        "one bad": dropped(Answer(answer("10.20.0.1").backends, (Dropped("x", "bad"),)), "bad"),
    }
    invalid_queries = {"{role: web}": "1:2: unknown key 'role'; known: none"}
    invalid_options = {"{place: 5}": "1:9: place: 5 is not text"}

    async def set_up(self) -> None:
        self.place = PLACE["here"] = Place()

    def options(self) -> Mapping[str, object]:
        return {"place": "here"}

    async def serve(self, backends: Sequence[Backend]) -> None:
        self.place.say(Answer(tuple(backends)))

    async def fail(self) -> None:
        self.place.say(SourceError("it is broken"))

    async def hang(self) -> None:
        self.place.say(None)

    async def serve_hostile(self, answer: Answer | Exception) -> None:
        self.place.say(answer)


# --- sources that err --------------------------------------------------------------------------


class CallsFailureEmpty(Good):
    async def discover(self, part: Part[Query]) -> Answer:
        try:
            return await super().discover(part)
        except SourceError:
            return Answer(())


class CutsShort(Good):
    async def discover(self, part: Part[Query]) -> Answer:
        return Answer((await super().discover(part)).backends[:1000])


class RaisesItsOwn(Good):
    async def discover(self, part: Part[Query]) -> Answer:
        try:
            return await super().discover(part)
        except SourceError as failed:
            raise ValueError(str(failed)) from None


class RaisesTimeouts(Good):
    async def discover(self, part: Part[Query]) -> Answer:
        try:
            return await super().discover(part)
        except SourceError:
            raise TimeoutError from None


class HoldsOn(Good):
    async def discover(self, part: Part[Query]) -> Answer:
        while True:
            try:
                return await super().discover(part)
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)


class SwallowsCancellation(Good):
    async def discover(self, part: Part[Query]) -> Answer:
        try:
            return await super().discover(part)
        except asyncio.CancelledError:
            raise SourceError("cancelled") from None


class LeavesATask(Good):
    async def discover(self, part: Part[Query]) -> Answer:
        self.left = asyncio.create_task(asyncio.Event().wait())
        return await super().discover(part)


class LeavesAFile(Good):
    async def discover(self, part: Part[Query]) -> Answer:
        LEFT_OPEN.append(os.open("/dev/zero", os.O_RDONLY))
        return await super().discover(part)


class LeavesAFileWhenCancelled(Good):
    async def discover(self, part: Part[Query]) -> Answer:
        file = os.open("/dev/zero", os.O_RDONLY)
        LEFT_OPEN.append(file)
        answer = await super().discover(part)
        os.close(file)
        LEFT_OPEN.remove(file)
        return answer


class ShowsItsSecret(Good):
    def __repr__(self) -> str:
        return "<s3cr3t-1>"


class WritesNovels(Good):
    async def discover(self, part: Part[Query]) -> Answer:
        try:
            return await super().discover(part)
        except SourceError as failed:
            raise SourceError(f"{failed}\nand so on") from None


class TellsNothingFirst(Good):
    async def _told(self) -> AsyncGenerator[Answer | SourceError]:
        await self.place.changed.wait()
        async for item in super()._told():
            yield item


LEFT_OPEN: list[int] = []


@pytest.mark.parametrize(
    ("source", "test", "said"),
    [
        (CallsFailureEmpty, "a_broken_place_is_not_knowing_and_then_it_answers_again", "answered"),
        (CutsShort, "thousands_are_listed_in_full", "1000"),
        (RaisesItsOwn, "a_broken_place_is_not_knowing_and_then_it_answers_again", "is broken"),
        (RaisesTimeouts, "a_broken_place_is_not_knowing_and_then_it_answers_again", "own: make it"),
        (HoldsOn, "a_place_that_hangs_costs_the_deadline_and_no_more", "holds on"),
        (SwallowsCancellation, "a_question_may_be_cancelled_at_any_await", "swallowed"),
        (LeavesATask, "it_lists_what_the_place_lists", "tasks are left"),
        (LeavesAFile, "it_lists_what_the_place_lists", "/dev/zero"),
        (LeavesAFileWhenCancelled, "a_question_may_be_cancelled_at_any_await", "/dev/zero"),
        (ShowsItsSecret, "a_secret_shows_nowhere", "s3cr3t-1"),
        (WritesNovels, "a_place_that_is_broken_from_the_start", "one line"),
        (TellsNothingFirst, "a_watch_tells_the_present_answer_and_then_each_later_one", "holds on"),
    ],
)
async def test_a_source_that_errs_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    source: type[Source[Any, Any]],
    test: str,
    said: str,
) -> None:
    for module in (asking, contract, leftovers):
        monkeypatch.setattr(module, "GRACE_S", 0.3)

    class TestBad(TestGood):
        source_class: ClassVar[type[Source[Any, Any]]] = source

    more: dict[str, object] = {}
    if "cancelled" in test:
        more["late"] = False
    if "secret" in test:
        more = {name: request.getfixturevalue(name) for name in ("caplog", "capfd")}
    others = asyncio.all_tasks()
    try:
        with pytest.raises((AssertionError, ValueError)) as caught:
            await getattr(TestBad(), f"test_{test}")(tmp_path, **more)
        assert said in str(caught.value)
    finally:
        while LEFT_OPEN:
            os.close(LEFT_OPEN.pop())
        left = asyncio.all_tasks() - others
        for task in left:
            task.cancel()
        PLACE["here"].say(Answer(()))
        await asyncio.gather(*left, return_exceptions=True)
