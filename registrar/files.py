"""Tells when files change, symlink swaps of ConfigMaps included.

Where a filesystem doesn't tell (NFS, say), a look at all files every 10 s finds a change.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from glob import glob, has_magic
from pathlib import Path

import structlog
from watchfiles._rust_notify import RustNotify  # as its docs say: awatch tells of no beginning

from registrar.file_reader import Signature, file_signature
from registrar.threads import in_thread

DEBOUNCE_MS = 50
RESTART_S = 1.0
POLL_S = 10.0
"""One look at a file for all who listen: a poll for each of them would cost more than all else."""
MAX_LINKS = 40
"""As many as Linux follows on the way to one file."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a look at paths has found: where their changes show, and what the files are like."""

    directories: frozenset[Path] = frozenset()
    files: tuple[tuple[str, Signature | None], ...] = ()


@dataclass(eq=False, slots=True)
class _Listener:
    paths: tuple[Path, ...]
    sight: _Sight = _Sight()
    hint: asyncio.Event = field(default_factory=asyncio.Event)


class Files:
    """Watches the directories of all paths that somebody listens to, in one thread."""

    def __init__(self) -> None:
        self._listeners: dict[tuple[Path, ...], dict[_Listener, None]] = {}
        self._looking: dict[tuple[Path, ...], asyncio.Task[_Sight]] = {}
        self._comparing: set[asyncio.Task[None]] = set()
        self._polled: set[tuple[Path, ...]] = set()
        self._polling: asyncio.Task[None] | None = None
        self._watched: frozenset[Path] = frozenset()
        self._again = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure: str | None = None

    async def changes(self, paths: Iterable[Path]) -> AsyncGenerator[None]:
        """Yield once at the start, then whenever one of the paths may have changed.

        A path need not exist, and may be a pattern. What is yielded is a hint to look, never
        the change itself.
        """
        listener = _Listener(tuple(paths))
        self._listeners.setdefault(listener.paths, {})[listener] = None
        try:
            while True:
                # Symlinks may lead elsewhere after a change; and a change that comes while we
                # look must be seen, so the hint is cleared before.
                listener.hint.clear()
                listener.sight = await self._sight(listener.paths)
                self._cover(listener.sight.directories)
                yield
                await listener.hint.wait()
        finally:
            del self._listeners[listener.paths][listener]
            if not self._listeners[listener.paths]:
                del self._listeners[listener.paths]

    async def aclose(self) -> None:
        """Stop watching."""
        tasks = [one for one in (self._task, self._polling, *self._comparing) if one]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _all(self) -> Iterator[_Listener]:
        return (listener for those in self._listeners.values() for listener in those)

    async def _sight(self, paths: tuple[Path, ...]) -> _Sight:
        # A change wakes all who listen at once, and many of them to the same paths.
        if (looking := self._looking.get(paths)) is None:
            looking = self._looking[paths] = asyncio.create_task(self._look(paths))
        return await asyncio.shield(looking)

    async def _look(self, paths: tuple[Path, ...]) -> _Sight:
        del self._looking[paths]  # what is begun may miss what whoever comes now asks about
        return await in_thread(partial(_sight, paths))

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            for paths in self._listeners.keys() - self._polled:  # what hangs holds up no other
                self._polled.add(paths)
                self._compare_later(paths).add_done_callback(partial(self._was_polled, paths))

    def _was_polled(self, paths: tuple[Path, ...], _: asyncio.Task[None]) -> None:
        self._polled.discard(paths)

    def _compare_later(self, paths: tuple[Path, ...]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._compare(paths))
        self._comparing.add(task)
        task.add_done_callback(self._comparing.discard)
        return task

    async def _compare(self, paths: tuple[Path, ...]) -> None:
        """Hint at paths whoever has seen something else there."""
        try:
            found = await self._sight(paths)
        except Exception:  # noqa: BLE001  no thread to be had, say: the next poll looks again
            return
        sights: dict[int, bool] = {}  # most have had the very same one, and are many
        for listener in self._listeners.get(paths, ()):
            sight = listener.sight
            if id(sight) not in sights:
                sights[id(sight)] = sight != found
            if sights[id(sight)]:
                listener.hint.set()

    def _cover(self, directories: frozenset[Path]) -> None:
        if not _with_parents(directories) <= self._watched:
            self._again.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._polling = asyncio.create_task(self._poll())

    async def _run(self) -> None:
        while True:
            self._again.clear()
            wanted = frozenset(d for entry in self._all() for d in entry.sight.directories)
            try:
                self._watched = await in_thread(partial(_present, _with_parents(wanted)))
                await self._watch(self._watched)
            except Exception as error:  # noqa: BLE001  the poll goes on, and so must we
                if self._failure != str(error):
                    self._failure = str(error)
                    log.warning("files-not-watched", error=self._failure)
            if not self._again.is_set():
                await asyncio.sleep(RESTART_S)

    async def _watch(self, directories: frozenset[Path]) -> None:
        if not directories:
            await self._again.wait()
            return
        watching = partial(
            RustNotify,
            watch_paths=[str(directory) for directory in directories],
            debug=False,
            force_polling=False,
            poll_delay_ms=0,
            recursive=False,
            ignore_permission_denied=True,
        )
        with await in_thread(watching) as watcher:
            for listener in self._all():  # whatever happened before it stood is to be found
                listener.hint.set()
            while not self._again.is_set():
                self._tell(directories, await self._next(watcher))

    async def _next(self, watcher: RustNotify) -> Collection[Path]:
        """Wait for changes; return where they are, nothing if the watch is to begin again."""
        watch = partial(watcher.watch, DEBOUNCE_MS, DEBOUNCE_MS, 0, self._again)
        waiting = asyncio.ensure_future(in_thread(watch))
        try:
            told = await asyncio.shield(waiting)
        except asyncio.CancelledError:
            self._again.set()
            await asyncio.wait([waiting])  # no thread may be in it when the interpreter ends
            raise
        return () if isinstance(told, str) else {Path(path) for _, path in told}

    def _tell(self, directories: frozenset[Path], changed: Collection[Path]) -> None:
        self._failure = None
        parents = {path.parent for path in changed}
        for paths, those in self._listeners.items():
            # What else is in a directory is nobody's concern, and they may be thousands.
            if any(listener.sight.directories & parents for listener in those):
                self._compare_later(paths)
        if not directories.isdisjoint(changed):
            # It was removed, or replaced by another of its name, which nothing watches yet.
            self._again.set()


def _sight(paths: tuple[Path, ...]) -> _Sight:
    return _Sight(_directories(paths), tuple(_signatures(paths)))


def _signatures(paths: Iterable[Path]) -> Iterator[tuple[str, Signature | None]]:
    for path in paths:
        text = str(path)
        for name in sorted(glob(text, recursive=True)) if has_magic(text) else [text]:  # noqa: PTH207  as in static
            signature = None
            with contextlib.suppress(OSError):
                signature = file_signature(Path(name))
            yield name, signature


def _directories(paths: Iterable[Path]) -> frozenset[Path]:
    """Return every directory in which an event may change what one of the paths leads to."""
    ways = {step.parent for path in paths for one in _matches(path) for step in _steps(one)}
    # The kernel knows a directory by one name only, that of the last watch of it.
    return frozenset(Path(os.path.realpath(_existing(way))) for way in ways)


def _with_parents(directories: frozenset[Path]) -> frozenset[Path]:
    # A directory doesn't tell when one above it is renamed; the one above does.
    return directories.union(*(directory.parents for directory in directories))


def _matches(path: Path) -> Iterator[Path]:
    """Yield the path and, if it is a pattern, the same in each directory that it matches."""
    yield path
    for way in path.parents:
        if has_magic(str(way)):
            for directory in glob(f"{way}{os.sep}", recursive=True):  # noqa: PTH207  as in static
                yield Path(directory, path.name)


def _steps(path: Path) -> Iterator[Path]:
    """Yield the path, each link on its way, and what the path is once the link is followed."""
    yield path
    for _ in range(MAX_LINKS):
        # A link anywhere may be swapped, as kubelet does with a ConfigMap's `..data`.
        way = (*reversed(path.parents), path)
        link = next((step for step in way if os.path.islink(step)), None)  # noqa: PTH114  as below
        if link is None:
            return
        yield link
        with contextlib.suppress(OSError):  # it went meanwhile
            path = link.parent / link.readlink() / path.relative_to(link)
            yield path


def _present(directories: frozenset[Path]) -> frozenset[Path]:
    return frozenset(filter(os.path.isdir, directories))


def _existing(directory: Path) -> Path:
    # Path.is_dir raises where a directory on the way can't be entered.
    return next(s for s in (directory, *directory.parents) if os.path.isdir(s))  # noqa: PTH112  as above
