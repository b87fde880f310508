"""Tells when files change, symlink swaps of ConfigMaps included.

Where a filesystem doesn't tell (NFS, say), a look at all files every 10 s finds a change.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from glob import glob, has_magic
from itertools import count, islice
from pathlib import Path

import structlog
from asyncinotify import Inotify, Mask

from registrar.context import FileWatcher
from registrar.file_reader import Signature, file_signature
from registrar.threads import in_thread

TOGETHER_S = 0.05
"""What happens within that time is told once: there are several events of each change."""
MOST_EVENTS = 1000
"""So many are taken at once, of a directory in which much happens."""
RESTART_S = 1.0
POLL_S = 10.0
"""One look at a file for all who listen: a poll for each of them would cost more than all else."""
MAX_LINKS = 40
"""As many as Linux follows on the way to one file."""

_ABOVE = Mask.CREATE | Mask.DELETE | Mask.MOVE | Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.ONLYDIR
"""What matters of a directory on the way: that another takes its place, or that of one in it."""
_WITHIN = _ABOVE | Mask.MODIFY | Mask.CLOSE_WRITE | Mask.ATTRIB

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a look at paths has found: where their changes show, and what the files are like."""

    directories: frozenset[Path] = frozenset()
    files: tuple[tuple[str, Signature | None], ...] = ()


@dataclass(eq=False, slots=True)
class _Paths:
    """What somebody listens to: how it was when last looked at, and who is told."""

    paths: tuple[Path, ...]
    told: dict[int, Callable[[], None]] = field(default_factory=dict)
    sight: _Sight | None = None
    looks: int = 0
    latest: int = 0

    def tell(self) -> None:
        for number in tuple(self.told):
            self.tell_one(number)

    def tell_one(self, number: int) -> None:
        if number in self.told:  # it may have left
            self.told[number]()


class Files:
    """Watches the directories of all paths that somebody listens to."""

    def __init__(self) -> None:
        self._listened: dict[tuple[Path, ...], _Paths] = {}
        self._numbers = count()
        self._looking: set[asyncio.Task[None]] = set()
        self._polled: set[_Paths] = set()
        self._polling: asyncio.Task[None] | None = None
        self._watched: frozenset[Path] = frozenset()
        self._again = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure: str | None = None

    def listen(self, paths: Iterable[Path], changed: Callable[[], None]) -> Callable[[], None]:
        """Have `changed` called once all is watched, and whenever a path may have changed.

        A path need not exist, and may be a pattern. A call is a hint to look, never the change
        itself. What is returned ends it.
        """
        wanted = tuple(paths)
        listened = self._listened.get(wanted)
        if listened is None:
            listened = self._listened[wanted] = _Paths(wanted)
            self._look_later(listened)
        number = next(self._numbers)
        listened.told[number] = changed
        if listened.sight is not None:
            asyncio.get_running_loop().call_soon(listened.tell_one, number)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._polling = asyncio.create_task(self._poll())
        return partial(self._leave, listened, number)

    async def aclose(self) -> None:
        """Stop watching."""
        tasks = [one for one in (self._task, self._polling, *self._looking) if one]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _leave(self, listened: _Paths, number: int) -> None:
        del listened.told[number]
        if not listened.told and self._listened.get(listened.paths) is listened:
            del self._listened[listened.paths]

    def _look_later(self, listened: _Paths) -> asyncio.Task[None]:
        task = asyncio.create_task(self._look(listened))
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)
        return task

    async def _look(self, listened: _Paths) -> None:
        """Look at paths, and tell whoever listens if it is another sight."""
        listened.looks += 1
        number = listened.looks
        try:
            sight = await in_thread(partial(_sight, listened.paths))
        except Exception:  # noqa: BLE001  no thread to be had, say: the next poll looks again
            return
        if number < listened.latest:
            return  # it began before the last one, and may have seen older things
        listened.latest = number
        if not _with_parents(sight.directories) <= self._watched:
            self._again.set()
        if sight != listened.sight:
            listened.sight = sight
            listened.tell()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            for listened in self._listened.values():
                if listened not in self._polled:  # what hangs holds up no other
                    self._polled.add(listened)
                    self._look_later(listened).add_done_callback(
                        partial(self._was_polled, listened)
                    )

    def _was_polled(self, listened: _Paths, _: asyncio.Task[None]) -> None:
        self._polled.discard(listened)

    async def _run(self) -> None:
        while True:
            self._again.clear()
            seen = [one.sight.directories for one in self._listened.values() if one.sight]
            wanted = frozenset[Path]().union(*seen)
            try:
                self._watched = await in_thread(partial(_present, _with_parents(wanted)))
                await self._watch(self._watched, wanted)
            except Exception as error:  # noqa: BLE001  the poll goes on, and so must we
                if self._failure != str(error):
                    self._failure = str(error)
                    log.warning("files-not-watched", error=self._failure)
            if not self._again.is_set():
                await asyncio.sleep(RESTART_S)

    async def _watch(self, directories: frozenset[Path], wanted: frozenset[Path]) -> None:
        """Tell what happens in the directories until they are to be others."""
        with await in_thread(partial(_watcher, directories, wanted)) as watcher:
            self._failure = None
            for listened in self._listened.values():  # what happened before it stood is to be found
                self._look_later(listened)
            following = asyncio.create_task(self._follow(watcher, directories))
            again = asyncio.create_task(self._again.wait())
            try:
                await asyncio.wait({following, again}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                following.cancel()
                again.cancel()
                await asyncio.gather(following, again, return_exceptions=True)
            if not following.cancelled():
                following.result()

    async def _follow(self, watcher: Inotify, directories: frozenset[Path]) -> None:
        while True:
            first = await watcher.get()
            await asyncio.sleep(TOGETHER_S)
            paths = {event.path for event in (first, *islice(watcher, MOST_EVENTS))}
            self._tell(directories, {path for path in paths if path is not None})
            if None in paths:  # more has happened than the kernel keeps
                self._again.set()

    def _tell(self, directories: frozenset[Path], changed: Collection[Path]) -> None:
        parents = {path.parent for path in changed}
        for listened in self._listened.values():
            # What else is in a directory is nobody's concern, and they may be thousands.
            if listened.sight is not None and not listened.sight.directories.isdisjoint(parents):
                self._look_later(listened)
        if not directories.isdisjoint(changed):
            # It was removed, or replaced by another of its name, which nothing watches yet.
            self._again.set()


async def changes(files: FileWatcher, paths: Iterable[Path]) -> AsyncGenerator[None]:
    """Yield when `files.listen` would call."""
    hint = asyncio.Event()
    leave = files.listen(paths, hint.set)
    try:
        while True:
            await hint.wait()
            hint.clear()  # a change that comes while one looks must be seen
            yield
    finally:
        leave()


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


def _watcher(directories: Iterable[Path], wanted: Collection[Path]) -> Inotify:
    """Return what tells of the directories, and what is in those that are wanted."""
    watcher = Inotify(sync_timeout=0)
    try:
        os.set_blocking(watcher.fd, False)  # which it asks for by the wrong flag (4.4)
        for directory in directories:
            # One that has gone is missed at the look that follows.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                watcher.add_watch(directory, _WITHIN if directory in wanted else _ABOVE)
    except BaseException:
        watcher.close()
        raise
    return watcher


def _present(directories: frozenset[Path]) -> frozenset[Path]:
    return frozenset(filter(os.path.isdir, directories))


def _existing(directory: Path) -> Path:
    # Path.is_dir raises where a directory on the way can't be entered.
    return next(s for s in (directory, *directory.parents) if os.path.isdir(s))  # noqa: PTH112  as above
