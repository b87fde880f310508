"""Sees what a source leaves behind: tasks, open files and sockets. And cancels it at any await."""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")

GRACE_S = 15.0
"""So long may it take until what was let go of has gone. Machines stall."""

_is_source = ContextVar("_is_source", default=False)


class Tasks:
    """The tasks that begin within `run`, and those that they begin; never the place's own."""

    def __init__(self) -> None:
        self._begun: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    @contextlib.contextmanager
    def seen(self) -> Iterator[None]:
        """Take note of tasks within the block."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()

        def make(
            loop: asyncio.AbstractEventLoop,
            work: Coroutine[Any, Any, T],
            **more: Any,  # noqa: ANN401  asyncio's own signature
        ) -> asyncio.Task[T]:
            task = asyncio.Task(work, loop=loop, **more)
            if more.get("context", copy_context()).get(_is_source, False):
                self._begun.add(task)
            return task

        loop.set_task_factory(make)  # type: ignore[arg-type]  # its type is narrower than its use
        try:
            yield
        finally:
            loop.set_task_factory(before)

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a source's coroutine as a task."""
        token = _is_source.set(True)
        try:
            return asyncio.create_task(work)
        finally:
            _is_source.reset(token)

    def left(self) -> list[str]:
        """Return those that have not ended."""
        return [repr(task) for task in self._begun if not task.done()]


def open_files() -> set[str]:
    """Return what this process holds open: files, pipes and sockets, each by what it is."""
    found: set[str] = set()
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own
            found.add(f"{file.name} -> {file.readlink()}")
    return {one for one in found if "/proc/" not in one}


async def until_none(look: Callable[[], object], words: str) -> None:
    """Wait until there is nothing left. Fail with what there is."""
    begun = time.monotonic()
    while left := look():
        if time.monotonic() - begun > GRACE_S:
            raise AssertionError(f"{words}: {left}")
        await asyncio.sleep(0.01)


class CancelledAt(Generic[T]):
    """Awaits something, and cancels its own task when it waits for the nth time.

    With `late`, what it waits for is there at the same moment: a result that must not be lost.
    """

    def __init__(self, work: Awaitable[T], number: int, *, late: bool) -> None:
        self._work = work
        self._number = number
        self._late = late
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, T]:
        task = asyncio.current_task()
        assert task is not None
        steps = self._work.__await__()
        thrown: BaseException | None = None
        while True:
            try:
                waits_for = steps.send(None) if thrown is None else steps.throw(thrown)
            except StopIteration as ended:
                result: T = ended.value
                return result
            self.waits += 1
            if self.waits == self._number:
                if self._late and isinstance(waits_for, asyncio.Future):
                    waits_for.add_done_callback(lambda _: task.cancel())
                else:
                    task.cancel()
            thrown = None
            try:
                yield waits_for
            except BaseException as raised:  # noqa: BLE001  it is for whoever waits
                thrown = raised
