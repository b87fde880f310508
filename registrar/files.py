"""Tells when files change, by what the filesystem tells; symlink swaps of ConfigMaps included.

Where a filesystem doesn't tell (NFS, say), the poll of whoever listens is what finds a change.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from watchfiles import awatch

T = TypeVar("T")

DEBOUNCE_MS = 50
TICK_MS = 250
RESTART_S = 1.0


@dataclass(eq=False, slots=True)
class _Listener:
    paths: tuple[Path, ...]
    directories: frozenset[Path] = frozenset()
    hint: asyncio.Event = field(default_factory=asyncio.Event)


class Files:
    """Watches the directories of all paths that somebody listens to, in one thread."""

    def __init__(self) -> None:
        self._listeners: dict[_Listener, None] = {}
        self._watched: frozenset[Path] = frozenset()
        self._again = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def changes(self, paths: Iterable[Path]) -> AsyncGenerator[None]:
        """Yield once at the start, then whenever one of the paths may have changed.

        A path need not exist, and may be a pattern in its last step. What is yielded is a hint
        to look, never the change itself.
        """
        listener = _Listener(tuple(paths))
        self._listeners[listener] = None
        try:
            while True:
                # Symlinks may lead elsewhere after a change; and a change that comes while we
                # look must be seen, so the hint is cleared before.
                listener.hint.clear()
                listener.directories = await in_thread(lambda: _directories(listener.paths))
                self._cover(listener.directories)
                yield
                await listener.hint.wait()
        finally:
            del self._listeners[listener]

    async def aclose(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _cover(self, directories: frozenset[Path]) -> None:
        if not directories <= self._watched:
            self._again.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            self._again.clear()
            wanted = frozenset(d for entry in self._listeners for d in entry.directories)
            self._watched = await in_thread(partial(_present, wanted))
            with contextlib.suppress(OSError, RuntimeError):  # a directory that went meanwhile
                await self._watch(self._watched)
            if not self._again.is_set():
                await asyncio.sleep(RESTART_S)

    async def _watch(self, directories: frozenset[Path]) -> None:
        if not directories:
            await self._again.wait()
            return
        stream = awatch(
            *directories,
            watch_filter=None,
            debounce=DEBOUNCE_MS,
            step=DEBOUNCE_MS // 2,
            stop_event=self._again,
            recursive=False,
            ignore_permission_denied=True,
            rust_timeout=TICK_MS,
            yield_on_timeout=True,
        )
        first = True
        async for changes in stream:
            places = {Path(path).parent for _, path in changes} | {Path(p) for _, p in changes}
            for entry in self._listeners:
                # The first time round, whatever happened before the watch stood is to be found.
                if first or entry.directories & places:
                    entry.hint.set()
            first = False


def _directories(paths: Iterable[Path]) -> frozenset[Path]:
    """Return every directory in which an event may change what one of the paths leads to."""
    found: set[Path] = set()
    for path in paths:
        found.add(_existing(path.parent))
        # A link anywhere on the way may be swapped, as kubelet does with a ConfigMap's `..data`.
        with contextlib.suppress(OSError, RuntimeError):
            found.add(_existing(path.resolve().parent))
        found.update(_existing(step.parent) for step in (path, *path.parents) if step.is_symlink())
    return frozenset(found)


def _present(directories: frozenset[Path]) -> frozenset[Path]:
    return frozenset(filter(os.path.isdir, directories))


def _existing(directory: Path) -> Path:
    return next(s for s in (directory, *directory.parents) if os.path.isdir(s))  # noqa: PTH112  as above


async def in_thread(call: Callable[[], T]) -> T:
    """Run a blocking call in a thread of its own, which never holds up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None only where T is

    def run() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except Exception as raised:  # noqa: BLE001  it is raised again where it is awaited
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await done
