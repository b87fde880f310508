"""Asks a source as registrar does: a deadline on each question, and nothing but SourceError."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest

from registrar.document import read_document
from registrar.errors import ConfigError, SourceError
from registrar.files import Files
from registrar.model import Answer, Backend, Dropped
from registrar.problems import read_settings
from registrar.settings import Settings
from registrar.source import Context, Part, Query, Source
from registrar.testing.leftovers import GRACE_S, Tasks
from registrar.threads import in_thread

T = TypeVar("T")
SettingsT = TypeVar("SettingsT", bound=Settings)
QueryT = TypeVar("QueryT", bound=Query)

Listen: TypeAlias = Callable[[Callable[[], None]], Callable[[], None] | None]
Told: TypeAlias = AsyncGenerator[T | SourceError]


class Asking:
    """A source, asked as registrar asks."""

    def __init__(
        self,
        source_class: type[Source[Any, Any]],
        options: Mapping[str, object],
        query: Mapping[str, object],
        base: Path,
    ) -> None:
        self._class = source_class
        self._base = base
        self._files = Files()
        self._context = Context(base, self._files, in_thread)
        self._options = self.read(source_class.options_class, json.dumps(dict(options)))
        self.query = self.read(source_class.query_class, json.dumps(dict(query)))
        self.source = self.make()
        self.tasks = Tasks()
        self.parts: list[Part[Any]] = []
        self.errors: list[str] = []

    def make(self) -> Source[Any, Any]:
        """Return another source of the same options."""
        return self._class(self._options, self._context)

    def read(self, model: type[SettingsT], text: str) -> SettingsT:
        """Read settings as the configuration is read."""
        file = self._base / "settings.yaml"
        file.write_text(text)
        document = read_document(file)
        return read_settings(model, document, (), document.value)

    def invalid(self, model: type[Settings], text: str) -> str:
        """Return what is said of invalid settings."""
        with pytest.raises(ConfigError) as caught:
            self.read(model, text)
        for problem in caught.value.problems:
            assert_one_line(str(problem))
            assert problem.line is not None, f"no place: {problem}"
            assert problem.remedy
        return str(caught.value)

    async def ask(self, within: float | None = None) -> Answer:
        """Return the answers of all parts, joined. Raise SourceError, and nothing else."""
        seconds = self.source.options.timeout if within is None else within
        task = self.tasks.begin(self._in_time(seconds))
        try:
            await self.ended(task, seconds + GRACE_S)
        except asyncio.CancelledError:
            task.cancel()
            raise
        return task.result()

    async def _in_time(self, seconds: float) -> Answer:
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                self.parts = list(await self.source.split(self.query))
                names = [part.name for part in self.parts]
                assert len(set(names)) == len(names), f"parts of the same name: {names}"
                return _joined([await self.source.discover(part) for part in self.parts])
        except TimeoutError:
            assert deadline.expired(), "a TimeoutError of the source's own: make it a SourceError"
            raise SourceError("no answer within the deadline") from None
        except SourceError as error:
            assert_one_line(str(error))
            self.errors += [str(error), repr(error)]
            raise

    async def refusal(self) -> str:
        """Return why the answer is not known."""
        try:
            found = await self.ask()
        except SourceError as error:
            return str(error)
        raise AssertionError(f"not known, and yet answered: {found}")

    @contextlib.asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncGenerator[Answer | SourceError] | None]:
        """Watch the first part, or ask whenever the source hints at a change of it."""
        part, *_ = await self.source.split(self.query)
        watched = self.source.watch(part)
        if watched is None:
            watched = hinted(partial(self.source.listen, part), partial(self.source.discover, part))
        async with closing(watched) as items:
            yield items

    async def next(self, told: AsyncGenerator[Answer | SourceError]) -> Answer | SourceError:
        """Return what is told next."""
        return await self.in_time(anext(told))

    async def in_time(self, work: Awaitable[T]) -> T:
        """Return what an awaitable of the source gives."""
        task = self.tasks.begin(awaited(work))
        await self.ended(task)
        return task.result()

    async def until(
        self, told: AsyncGenerator[Answer | SourceError], listed: Sequence[Backend]
    ) -> None:
        """Wait until these are told; hints and errors may come before."""
        while True:
            item = await self.next(told)
            if isinstance(item, Answer) and ids(item.backends) == ids(listed):
                return

    async def cancel(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task, which must end."""
        task.cancel()
        await self.ended(task)

    async def ended(self, task: asyncio.Task[Any], within: float | None = None) -> None:
        """Wait for a task, which must end by itself."""
        done, _ = await asyncio.wait([task], timeout=GRACE_S if within is None else within)
        if not done:
            task.cancel()
            await asyncio.wait([task], timeout=GRACE_S)
            raise AssertionError(f"it holds on, cancelled or past its deadline: {task!r}")

    async def aclose(self) -> None:
        """Close the source, and what it was lent."""
        await self.in_time(self.source.aclose())
        await self._files.aclose()


async def ask_all(source: Source[Any, QueryT], query: QueryT) -> Answer:
    """Return the answers of all parts, joined."""
    return _joined([await source.discover(part) for part in await source.split(query)])


async def awaited(work: Awaitable[T]) -> T:
    """Make a coroutine of any awaitable."""
    return await work


@contextlib.asynccontextmanager
async def closing(stream: AsyncGenerator[T] | None) -> AsyncIterator[AsyncGenerator[T] | None]:
    """Close a stream, if there is one, at the end of the block."""
    try:
        yield stream
    finally:
        if stream is not None:
            await stream.aclose()


def _joined(answers: Sequence[Answer]) -> Answer:
    fresh = [one.fresh_for for one in answers if one.fresh_for is not None]
    return Answer(
        tuple(backend for one in answers for backend in one.backends),
        tuple(drop for one in answers for drop in one.dropped),
        max((one.window for one in answers), default=0.0),
        min(fresh, default=None),
    )


def said(answer: Answer) -> tuple[frozenset[Backend], Sequence[Dropped]]:
    """Return what must be the same when the place has not changed: order and age need not."""
    return frozenset(answer.backends), answer.dropped


def ids(backends: Sequence[Backend]) -> set[tuple[object, int | None]]:
    """Return what tells backends apart."""
    return {(backend.address, backend.port) for backend in backends}


def assert_one_line(text: str) -> None:
    """Assert that a message is one line that a person may read."""
    assert text.strip(), "a message without words"
    assert "\n" not in text, f"a message is one line: {text!r}"
    assert len(text) < 1000, f"a message is short: {text[:200]}"


def hinted(listen: Listen, ask: Callable[[], Awaitable[T]]) -> Told[T] | None:
    """Return what is answered whenever `listen` calls; None if nothing hints at changes."""
    hint = asyncio.Event()
    leave = listen(hint.set)
    return None if leave is None else _asked_at(hint, leave, ask)


async def _asked_at(
    hint: asyncio.Event, leave: Callable[[], None], ask: Callable[[], Awaitable[T]]
) -> Told[T]:
    try:
        while True:
            await hint.wait()
            hint.clear()
            try:
                answer: T | SourceError = await ask()
            except SourceError as error:
                answer = error
            yield answer
    finally:
        leave()
