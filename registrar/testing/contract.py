"""The tests themselves: what registrar relies on, whatever a source asks and however it fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

import pytest

from registrar.errors import SourceError
from registrar.model import Answer, Backend
from registrar.source import Source
from registrar.testing.asking import (
    Asking,
    ask_all,
    assert_one_line,
    awaited,
    closing,
    hinted,
    ids,
    said,
)
from registrar.testing.hostile import Hostile
from registrar.testing.leftovers import GRACE_S, CancelledAt, open_files, until_none

SHORT = "300ms"
LONG = "30s"

_MOST_AWAITS = 500


class SourceContract:
    """Extend it as `class TestMySource(SourceContract)` and write what stands in this part."""

    source_class: ClassVar[type[Source[Any, Any]]]
    """The source."""

    query: ClassVar[Mapping[str, object]] = {}
    """A valid query, as a mapping of the configuration has it (without `source`)."""

    hostile: ClassVar[Mapping[str, Hostile]] = {}
    """Answers that a place shouldn't give, by name: `error(ANSWER)` or `dropped(ANSWER)`.

    One of which records are dropped is to list a good one too.
    """

    invalid_options: ClassVar[Mapping[str, str]] = {}
    """Options in YAML, and what the message about them says, its place first: `1:7: url: ...`"""

    invalid_queries: ClassVar[Mapping[str, str]] = {}
    """The same for queries."""

    secret: ClassVar[str | None] = None
    """A secret that the options lead to; it must show nowhere."""

    many: ClassVar[int] = 5000
    """How many backends the place can list at once."""

    base: Path
    """A directory of the test's own, where the relative paths of options start."""

    async def set_up(self) -> None:
        """Make the place, with a server perhaps."""

    async def tear_down(self) -> None:
        """End it."""

    def options(self) -> Mapping[str, object]:
        """Return valid options that lead to the place."""
        raise NotImplementedError

    async def serve(self, backends: Sequence[Backend]) -> None:
        """Have the place list exactly these, whatever it did before."""
        raise NotImplementedError

    async def fail(self) -> None:
        """Break the place: refused, an error of its own, gone."""
        raise NotImplementedError

    async def hang(self) -> None:
        """Have the place accept a question, and say nothing."""
        pytest.skip("this place can't hang")

    async def serve_hostile(self, answer: Any) -> None:  # noqa: ANN401  only the author knows it
        """Have the place answer so."""
        raise NotImplementedError

    def backend(self, number: int) -> Backend:
        """Return one of many backends that the place can list. Address and port count."""
        return Backend(ip_address("10.20.0.0") + number, 8080)

    # --- what it answers -------------------------------------------------------------------------

    @pytest.mark.asyncio
    async def test_it_lists_what_the_place_lists(self, tmp_path: Path) -> None:
        """All of it, and the same again when asked again."""
        async with self._asking(tmp_path) as asking:
            listed = self._backends(3)
            await self.serve(listed)
            first = await asking.ask()
            assert ids(first.backends) == ids(listed)
            assert not first.dropped
            assert said(await asking.ask()) == said(first)

    @pytest.mark.asyncio
    async def test_empty_is_an_answer(self, tmp_path: Path) -> None:
        """A place that lists nothing says that there is nothing."""
        async with self._asking(tmp_path) as asking:
            await self.serve(self._backends(2))
            await asking.ask()
            await self.serve([])
            found = await asking.ask()
            assert (found.backends, found.dropped) == ((), ())

    @pytest.mark.asyncio
    async def test_thousands_are_listed_in_full(self, tmp_path: Path) -> None:
        """However many there are, none is left out."""
        async with self._asking(tmp_path) as asking:
            listed = self._backends(self.many)
            await self.serve(listed)
            found = await asking.ask()
            assert len(ids(found.backends)) == self.many
            assert ids(found.backends) == ids(listed)

    @pytest.mark.asyncio
    async def test_a_backend_listed_twice_is_no_other(self, tmp_path: Path) -> None:
        """Doubles may stay or go; they add nothing and take nothing."""
        async with self._asking(tmp_path) as asking:
            one, two = self._backends(2)
            await self.serve([one, two, one])
            assert ids((await asking.ask()).backends) == ids([one, two])

    @pytest.mark.asyncio
    async def test_many_may_ask_at_once(self, tmp_path: Path) -> None:
        """Each Service asks on its own."""
        async with self._asking(tmp_path) as asking:
            listed = self._backends(3)
            await self.serve(listed)
            found = await asyncio.gather(*(asking.ask() for _ in range(10)))
            assert all(ids(one.backends) == ids(listed) for one in found)

    # --- not knowing -----------------------------------------------------------------------------

    @pytest.mark.asyncio
    async def test_a_broken_place_is_not_knowing_and_then_it_answers_again(
        self, tmp_path: Path
    ) -> None:
        """It is a SourceError each time; never an empty answer, and no other exception."""
        async with self._asking(tmp_path) as asking:
            listed = self._backends(2)
            await self.serve(listed)
            await asking.ask()
            await self.fail()
            for _ in range(2):
                assert await asking.refusal()
            await self.serve(listed)
            assert ids((await asking.ask()).backends) == ids(listed)

    @pytest.mark.asyncio
    async def test_a_place_that_is_broken_from_the_start(self, tmp_path: Path) -> None:
        """A source is made before anything is known of its place."""
        async with self._asking(tmp_path) as asking:
            await self.fail()
            assert await asking.refusal()

    @pytest.mark.asyncio
    async def test_a_place_that_hangs_costs_the_deadline_and_no_more(self, tmp_path: Path) -> None:
        """It is told by a SourceError or ended by registrar; then it answers again."""
        async with self._asking(tmp_path, within=SHORT) as asking:
            await self.hang()
            begun = time.monotonic()
            assert await asking.refusal()
            assert time.monotonic() - begun < GRACE_S
        async with self._asking(tmp_path) as asking:
            await self.hang()
            task = asking.tasks.begin(asking.ask())
            await asyncio.sleep(0.05)
            await asking.cancel(task)
            listed = self._backends(2)
            await self.serve(listed)
            assert ids((await asking.ask()).backends) == ids(listed)

    @pytest.mark.asyncio
    async def test_hostile_answers(self, tmp_path: Path, hostile_name: str) -> None:
        """A wrong answer is not knowing; a wrong record of a good one is dropped alone."""
        hostile = self.hostile[hostile_name]
        async with self._asking(tmp_path, within="2s") as asking:
            await self.serve_hostile(hostile.answer)
            if hostile.drops is None:
                assert hostile.words in await asking.refusal()
                return
            found = await asking.ask()
            assert found.backends, "let a hostile answer that is dropped list a good backend too"
            assert len(found.dropped) == hostile.drops, found.dropped
            for drop in found.dropped:
                assert hostile.words in drop.reason
                assert_one_line(drop.reason)
                assert_one_line(drop.record)

    @pytest.mark.asyncio
    async def test_an_address_is_passed_on_as_it_is_or_dropped(self, tmp_path: Path) -> None:
        """An IPv4-mapped address is not to become another, which nobody has listed."""
        async with self._asking(tmp_path) as asking:
            good, other = self._backends(2)
            if other.address.version != 4:
                return
            mapped = Backend(ip_address(f"::ffff:{other.address}"), other.port)
            await self.serve([good, mapped])
            try:
                found = await asking.ask()
            except SourceError:
                return
            assert ids([good]) <= ids(found.backends) <= ids([good, mapped])

    # --- cancellation ----------------------------------------------------------------------------

    @pytest.mark.asyncio
    @pytest.mark.parametrize("late", [False, True], ids=["waiting", "just-answered"])
    async def test_a_question_may_be_cancelled_at_any_await(
        self, tmp_path: Path, *, late: bool
    ) -> None:
        """It ends at once, leaves nothing open, and the source answers afterwards."""
        async with self._asking(tmp_path) as asking:
            listed = self._backends(2)
            await self.serve(listed)
            first = await asking.ask()
            held = len(open_files())
            for number in range(1, _MOST_AWAITS):
                for fresh in (False, True):
                    source = asking.make() if fresh else asking.source
                    question = CancelledAt(ask_all(source, asking.query), number, late=late)
                    task = asking.tasks.begin(awaited(question))
                    await asking.ended(task)
                    assert task.cancelled() or question.waits < number, "it was swallowed"
                    if fresh:
                        await source.aclose()
                if question.waits < number:
                    break
            assert said(await asking.ask()) == said(first)
            await until_none(
                lambda: len(open_files()) > held and open_files(),
                "cancelled questions have left open",
            )

    @pytest.mark.asyncio
    async def test_a_source_that_was_never_asked_can_be_closed(self, tmp_path: Path) -> None:
        """It leaves nothing."""
        async with self._asking(tmp_path):
            pass

    # --- watching --------------------------------------------------------------------------------

    @pytest.mark.asyncio
    async def test_a_watch_tells_the_present_answer_and_then_each_later_one(
        self, tmp_path: Path
    ) -> None:
        """Where there is a watch; errors are told too, and it goes on, or ends with one."""
        async with self._asking(tmp_path) as asking:
            one, two = self._backends(2)
            await self.serve([one])
            async with asking.watch() as told:
                if told is None:
                    return
                assert ids(_an_answer(await asking.next(told)).backends) == ids([one])
                for listed in ([one, two], [two], []):
                    await self.serve(listed)
                    await asking.until(told, listed)

    @pytest.mark.asyncio
    async def test_a_watch_tells_of_a_broken_place_and_a_later_one_goes_on(
        self, tmp_path: Path
    ) -> None:
        """A watch never tells of nothing where it doesn't know."""
        async with self._asking(tmp_path) as asking:
            listed = self._backends(2)
            await self.serve(listed)
            async with asking.watch() as told:
                if told is None:
                    return
                await asking.next(told)
                await self.fail()
                with contextlib.suppress(SourceError, StopAsyncIteration):
                    while not isinstance(item := await asking.next(told), SourceError):
                        assert ids(item.backends) == ids(listed)
            await self.serve(listed)
            async with asking.watch() as told:
                assert told is not None
                await asking.until(told, listed)

    @pytest.mark.asyncio
    async def test_a_watch_may_be_closed_at_any_time(self, tmp_path: Path) -> None:
        """Before it began, at any await, and while it waits for news."""
        async with self._asking(tmp_path) as asking:
            await self.serve(self._backends(2))
            async with asking.watch() as told:
                if told is None:
                    return
            for number in range(1, _MOST_AWAITS):
                async with asking.watch() as told:
                    assert told is not None
                    question = CancelledAt(anext(told), number, late=False)
                    await asking.ended(asking.tasks.begin(awaited(question)))
                if question.waits < number:
                    break
            async with asking.watch() as told:
                assert told is not None
                await asking.next(told)
                waiting = asking.tasks.begin(awaited(anext(told)))
                await asyncio.sleep(0.05)
                await asking.cancel(waiting)
            source, query = asking.source, asking.query
            parts = hinted(partial(source.listen_split, query), partial(source.split, query))
            async with closing(parts) as told_parts:
                if told_parts is not None:
                    first = await asking.in_time(anext(told_parts))
                    assert first == await source.split(query)

    # --- settings --------------------------------------------------------------------------------

    @pytest.mark.asyncio
    async def test_unknown_keys_are_errors_with_their_place(self, tmp_path: Path) -> None:
        """A misspelt key is told, with file, line and column."""
        async with self._asking(tmp_path) as asking:
            for model, valid in (
                (self.source_class.options_class, self.options()),
                (self.source_class.query_class, self.query),
            ):
                said = asking.invalid(model, json.dumps({**valid, "noSuchKey": 1}, indent=1))
                assert "unknown key 'noSuchKey'" in said

    @pytest.mark.asyncio
    async def test_a_query_can_be_compared_and_hashed(self, tmp_path: Path) -> None:
        """Mappings that ask the same share the answer."""
        async with self._asking(tmp_path) as asking:
            again = asking.read(self.source_class.query_class, json.dumps(dict(self.query)))
            assert {asking.query: 1}[again] == 1

    @pytest.mark.asyncio
    async def test_invalid_options(self, tmp_path: Path, invalid_option: str) -> None:
        """They are told with their place, their value and a remedy."""
        async with self._asking(tmp_path) as asking:
            said = asking.invalid(self.source_class.options_class, invalid_option)
            assert self.invalid_options[invalid_option] in said

    @pytest.mark.asyncio
    async def test_invalid_queries(self, tmp_path: Path, invalid_query: str) -> None:
        """As options."""
        async with self._asking(tmp_path) as asking:
            said = asking.invalid(self.source_class.query_class, invalid_query)
            assert self.invalid_queries[invalid_query] in said

    @pytest.mark.asyncio
    async def test_the_warnings_are_lines(self, tmp_path: Path) -> None:
        """`registrar validate` shows them; a broken place is no reason to raise."""
        async with self._asking(tmp_path) as asking:
            await self.fail()
            for line in await asking.source.warnings(asking.query):
                assert_one_line(line)

    # --- secrets ---------------------------------------------------------------------------------

    @pytest.mark.asyncio
    async def test_a_secret_shows_nowhere(
        self,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        """Not in values as they are printed, nor in errors, nor in logs of any library."""
        if self.secret is None:
            return
        caplog.set_level(logging.DEBUG)
        async with self._asking(tmp_path) as asking:
            await self.serve(self._backends(2))
            shown = [repr(await asking.ask())]
            await self.fail()
            shown.append(await asking.refusal())
            for hostile in self.hostile.values():
                await self.serve_hostile(hostile.answer)
                with contextlib.suppress(SourceError):
                    shown.append(repr(await asking.ask(within=2.0)))
            shown += map(repr, (asking.source, asking.source.options, asking.query))
            shown += map(str, (asking.source, asking.source.options, asking.query))
            shown += [repr(part) for part in asking.parts]
            shown += asking.errors
        out, err = capfd.readouterr()
        shown += [caplog.text, out, err]
        assert not [one for one in shown if self.secret in one]

    # --- how it is done --------------------------------------------------------------------------

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of each hostile answer, and of each invalid settings."""
        cls = metafunc.cls
        if cls is None:
            return
        for name, cases in (
            ("hostile_name", cls.hostile),
            ("invalid_option", cls.invalid_options),
            ("invalid_query", cls.invalid_queries),
        ):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, list(cases))

    def _backends(self, count: int) -> list[Backend]:
        return [self.backend(number) for number in range(1, count + 1)]

    @contextlib.asynccontextmanager
    async def _asking(self, base: Path, *, within: str = LONG) -> AsyncIterator[Asking]:
        self.base = base
        held = open_files()
        await self.set_up()
        try:
            options = {**self.options(), "timeout": within}
            asking = Asking(self.source_class, options, self.query, base)
            with asking.tasks.seen():
                try:
                    yield asking
                finally:
                    await asking.aclose()
            await until_none(asking.tasks.left, "tasks are left after aclose()")
        finally:
            await self.tear_down()
        await until_none(lambda: open_files() - held, "files or sockets are left open")


def _an_answer(item: Answer | SourceError) -> Answer:
    assert isinstance(item, Answer), f"the first that is told is {item!r}"
    return item
