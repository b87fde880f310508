"""Files that change: real ones, told by the kernel."""

# ruff: noqa: ASYNC240  the tests' own files are small and near

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from watchfiles import awatch

from registrar import files as module
from registrar.errors import ConfigError
from registrar.files import FileReader, Files, in_thread
from tests.unprivileged import unprivileged

DEADLINE_S = 5.0

Follow = Callable[..., "Follower"]


def text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


class Follower:
    """Reads a file whenever it is hinted at, and only then."""

    def __init__(self, files: Files, path: Path, look: Callable[[], str | None]) -> None:
        self.looks = 0
        self.seen: str | None = None
        self._look = look
        self._looked = asyncio.Event()
        self.task = asyncio.create_task(self._follow(files, path))

    async def _follow(self, files: Files, path: Path) -> None:
        async with contextlib.aclosing(files.changes([path])) as hints:
            async for _ in hints:
                self.seen = self._look()
                self.looks += 1
                self._looked.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._looked.clear()
                await self._looked.wait()

    async def sees(self, wanted: str | None) -> None:
        await self.until(lambda: self.seen == wanted)

    async def stands(self) -> None:
        """Wait for the watch to stand: what is seen later was told by it."""
        await self.until(lambda: self.looks > 1)


def watched_inodes() -> list[set[int]]:
    """Return what the kernel watches for this process: a set for each of its watchers."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # it was closed meanwhile
            if "inotify" in str(entry.readlink()):
                lines = Path(f"/proc/self/fdinfo/{entry.name}").read_text().splitlines()
                inodes = (line.split(" ino:")[1].split()[0] for line in lines if " ino:" in line)
                found.append({int(inode, 16) for inode in inodes})
    return found


def watched(base: Path) -> set[str]:
    inodes = set().union(*watched_inodes())
    return {path.name for path in base.iterdir() if path.stat().st_ino in inodes}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110  the kernel has no event for it
            await asyncio.sleep(0.01)


@pytest.fixture
async def files(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Files]:
    monkeypatch.setattr(module, "TICK_MS", 50)
    files = Files()
    yield files
    await files.aclose()


@pytest.fixture
async def follow(files: Files) -> AsyncIterator[Follow]:
    followers: list[Follower] = []

    def follow(path: Path, look: Callable[[], str | None] | None = None) -> Follower:
        followers.append(Follower(files, path, look or partial(text, path)))
        return followers[-1]

    yield follow
    for follower in followers:
        follower.task.cancel()
    await asyncio.gather(*(f.task for f in followers), return_exceptions=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTART_S", 0.01)
    monkeypatch.setattr(module, "SETTLE_S", 0.01)


@pytest.fixture
def own() -> Iterator[Path]:
    with unprivileged() as directory:
        yield directory


# --- what is told --------------------------------------------------------------------------------


async def test_a_hint_comes_at_the_start_though_nothing_changes(
    tmp_path: Path, follow: Follow
) -> None:
    (tmp_path / "a").write_text("one")
    await follow(tmp_path / "a").sees("one")


async def test_a_file_is_followed_through_all_that_can_befall_it(
    tmp_path: Path, follow: Follow
) -> None:
    path = tmp_path / "a"
    follower = follow(path)
    await follower.stands()
    path.write_text("created")
    await follower.sees("created")
    path.write_text("changed")
    await follower.sees("changed")
    (tmp_path / "new").write_text("renamed over it")
    (tmp_path / "new").replace(path)
    await follower.sees("renamed over it")
    path.unlink()
    await follower.sees(None)
    path.write_text("created again")
    await follower.sees("created again")


async def test_a_change_before_the_watch_stands_is_not_missed(tmp_path: Path, files: Files) -> None:
    path = tmp_path / "a"
    hints = files.changes([path])
    async with contextlib.aclosing(hints), asyncio.timeout(DEADLINE_S):
        await anext(hints)
        path.write_text("early")
        await anext(hints)


async def test_a_change_while_somebody_looks_is_not_missed(
    tmp_path: Path, files: Files, follow: Follow
) -> None:
    path = tmp_path / "a"
    other = follow(path)
    async with contextlib.aclosing(files.changes([path])) as hints, asyncio.timeout(DEADLINE_S):
        await anext(hints)
        await anext(hints)
        path.write_text("one")
        await other.sees("one")  # as has whoever was hinted at, and now looks for long
        await anext(hints)


async def test_a_directory_that_does_not_exist_yet(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "x/y/a"
    follower = follow(path)
    await follower.stands()
    path.parent.mkdir(parents=True)
    path.write_text("one")
    await follower.sees("one")
    path.write_text("two")
    await follower.sees("two")


async def test_a_directory_that_is_removed_and_made_again(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "racks/a"
    path.parent.mkdir()
    path.write_text("one")
    follower = follow(path)
    await follower.stands()
    for then in ("two", "three"):
        path.unlink()
        path.parent.rmdir()
        await follower.sees(None)
        path.parent.mkdir()
        path.write_text(then)
        await follower.sees(then)


@pytest.mark.parametrize("swapped", ["racks", "racks/inner", "racks/inner/most"])
async def test_a_directory_on_the_way_that_is_replaced_by_another_of_its_name(
    tmp_path: Path, follow: Follow, swapped: str
) -> None:
    path = tmp_path / "racks/inner/most/a"
    path.parent.mkdir(parents=True)
    path.write_text("one")
    follower = follow(path)
    await follower.stands()
    for then in ("two", "three"):
        (tmp_path / swapped).rename(tmp_path / f"before-{then}")
        path.parent.mkdir(parents=True)
        path.write_text(then)
        await follower.sees(then)
    path.write_text("four")
    await follower.sees("four")


async def test_a_swap_of_a_config_map(tmp_path: Path, follow: Follow) -> None:
    def swap(stamp: str, held: str) -> None:
        # As kubelet's AtomicWriter does it.
        (tmp_path / stamp).mkdir()
        (tmp_path / stamp / "a.yaml").write_text(held)
        (tmp_path / "..data_tmp").symlink_to(stamp)
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

    swap("..2026_01", "one")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    follower = follow(tmp_path / "a.yaml")
    await follower.stands()
    swap("..2026_02", "two")
    await follower.sees("two")
    (tmp_path / "..2026_01/a.yaml").unlink()
    (tmp_path / "..2026_01").rmdir()
    swap("..2026_03", "three")
    await follower.sees("three")


async def test_a_link_to_elsewhere_is_followed_at_both_ends(tmp_path: Path, follow: Follow) -> None:
    for name in ("here", "there", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    (tmp_path / "here/a").unlink()
    (tmp_path / "here/a").symlink_to("../there/a")
    follower = follow(tmp_path / "here/a")
    await follower.stands()
    assert follower.seen == "there"
    (tmp_path / "there/a").write_text("there, changed")
    await follower.sees("there, changed")
    (tmp_path / "here/link").symlink_to(tmp_path / "elsewhere/a")
    (tmp_path / "here/link").replace(tmp_path / "here/a")
    await follower.sees("elsewhere")
    (tmp_path / "elsewhere/a").write_text("elsewhere, changed")
    await follower.sees("elsewhere, changed")


async def test_a_link_in_the_middle_of_the_way_that_is_swapped(
    tmp_path: Path, follow: Follow
) -> None:
    for version in ("v1", "v2", "v3"):
        (tmp_path / "versions" / version).mkdir(parents=True)
        (tmp_path / "versions" / version / "a").write_text(version)
    (tmp_path / "here").mkdir()
    (tmp_path / "here/current").symlink_to("../versions/v1")
    follower = follow(tmp_path / "here/current/a")
    await follower.stands()
    for version in ("v2", "v3"):
        (tmp_path / "here/new").symlink_to(f"../versions/{version}")
        (tmp_path / "here/new").replace(tmp_path / "here/current")
        await follower.sees(version)
    (tmp_path / "versions/v3/a").write_text("v3, changed")
    await follower.sees("v3, changed")


async def test_one_directory_by_several_names(tmp_path: Path, follow: Follow) -> None:
    # The kernel knows one watch of a directory, whatever the names it is asked for.
    (tmp_path / "real").mkdir()
    names = [f"link{n}" for n in range(6)]
    for name in names:
        (tmp_path / name).symlink_to("real")
    followers = [
        follow(tmp_path / name / "a") for name in (*names, "real", "../" + tmp_path.name + "/real")
    ]
    for follower in followers:
        await follower.stands()
    for then in ("one", "two"):
        (tmp_path / "real/a").write_text(then)
        for follower in followers:
            await follower.sees(then)


async def test_links_that_loop_until_they_are_mended(tmp_path: Path, follow: Follow) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    follower = follow(tmp_path / "a")
    await follower.stands()
    (tmp_path / "b").unlink()
    (tmp_path / "b").write_text("one")
    await follower.sees("one")


async def test_a_new_file_for_a_pattern(tmp_path: Path, follow: Follow) -> None:
    def names() -> str:
        return " ".join(sorted(path.name for path in tmp_path.rglob("*.yaml")))

    (tmp_path / "a").mkdir()
    follower = follow(tmp_path / "*.yaml", names)
    deep = follow(tmp_path / "**/*.yaml", names)
    middle = follow(tmp_path / "*/x/*.yaml", names)
    for each in (follower, deep, middle):
        await each.stands()
    (tmp_path / "1.yaml").touch()
    await follower.sees("1.yaml")
    await deep.sees("1.yaml")
    (tmp_path / "a/2.yaml").touch()
    await deep.sees("1.yaml 2.yaml")
    (tmp_path / "b/x").mkdir(parents=True)
    (tmp_path / "b/x/3.yaml").touch()
    await deep.sees("1.yaml 2.yaml 3.yaml")
    await middle.sees("1.yaml 2.yaml 3.yaml")
    (tmp_path / "b/x/4.yaml").touch()
    await deep.sees("1.yaml 2.yaml 3.yaml 4.yaml")
    await middle.sees("1.yaml 2.yaml 3.yaml 4.yaml")


async def test_a_directory_that_cannot_be_entered_costs_the_others_nothing(
    own: Path, follow: Follow
) -> None:
    closed = own / "closed"
    closed.mkdir(mode=0)
    (own / "open").mkdir()
    shut = follow(closed / "inner/a")
    follower = follow(own / "open/a")
    await shut.stands()
    await follower.stands()
    (own / "open/a").write_text("one")
    await follower.sees("one")
    assert not shut.task.done()


# --- many listeners, and the end -----------------------------------------------------------------


async def test_each_listener_hears_of_its_own(tmp_path: Path, follow: Follow) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    first, second = follow(tmp_path / "a/x"), follow(tmp_path / "b/x")
    same = follow(tmp_path / "a/x")
    for each in (first, second, same):
        await each.stands()
    later = follow(tmp_path / "c/x")
    await later.stands()
    await second.until(lambda: second.looks == 3)  # the watch was begun anew for the later one
    (tmp_path / "a/x").write_text("one")
    await first.sees("one")
    await same.sees("one")
    (tmp_path / "c/x").write_text("three")
    await later.sees("three")
    assert second.looks == 3


async def test_one_that_leaves_takes_nothing_from_the_others(
    tmp_path: Path, follow: Follow
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    follower, leaving = follow(tmp_path / "a/x"), follow(tmp_path / "b/x")
    await follower.stands()
    await until(lambda: {"a", "b"} <= watched(tmp_path))
    leaving.task.cancel()
    await asyncio.wait([leaving.task])
    later = follow(tmp_path / "c/x")
    await later.stands()
    await until(lambda: watched(tmp_path) == {"a", "c"})
    (tmp_path / "a/x").write_text("one")
    await follower.sees("one")


async def test_one_that_comes_while_the_watch_is_begun_anew(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The only listener of a directory leaves; another comes just as the watch is begun without it.
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    leaving = follow(tmp_path / "a/x")
    await leaving.stands()
    leaving.task.cancel()
    await asyncio.wait([leaving.task])
    begun, go_on = threading.Event(), threading.Event()

    def held(directories: frozenset[Path]) -> frozenset[Path]:
        begun.set()
        go_on.wait(DEADLINE_S)
        return directories

    with monkeypatch.context() as patched:
        patched.setattr(module, "_present", held)
        other = follow(tmp_path / "b/x")
        await in_thread(lambda: begun.wait(DEADLINE_S))
        follower = follow(tmp_path / "a/x")
        await follower.until(lambda: follower.looks == 1)
        go_on.set()
        await other.stands()
    await follower.stands()
    (tmp_path / "a/x").write_text("one")
    await follower.sees("one")


async def test_nothing_is_left_after_the_end(
    tmp_path: Path, follow: Follow, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(lambda: not watched_inodes())
    monkeypatch.setattr(module, "TICK_MS", 60_000)  # which the end doesn't wait for
    follower = follow(tmp_path / "a")
    await until(lambda: len(watched_inodes()) == 1)
    follower.task.cancel()
    await asyncio.wait([follower.task])
    async with asyncio.timeout(DEADLINE_S):
        await files.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await until(lambda: not watched_inodes())


async def test_an_end_without_a_beginning() -> None:
    await Files().aclose()


# --- where watching fails ------------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
async def test_a_watch_that_fails_is_told_once_and_begun_again(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [OSError("no space left on device")] * 5

    def failing(*paths: Path, **options: Any) -> object:  # noqa: ANN401  awatch's own
        if left:
            raise left.pop()
        return awatch(*paths, **options)

    monkeypatch.setattr(module, "awatch", failing)
    with capture_logs() as logs:
        follower = follow(tmp_path / "a")
        await follower.stands()
        (tmp_path / "a").write_text("one")
        await follower.sees("one")
        assert [(line["event"], line["error"]) for line in logs] == [
            ("files-not-watched", "no space left on device")
        ]
        # It stood meanwhile: that it fails again is news.
        left.append(OSError("no space left on device"))
        (tmp_path / "x").mkdir()
        other = follow(tmp_path / "x/a")
        await other.stands()
        assert [line["event"] for line in logs] == ["files-not-watched"] * 2


@pytest.mark.usefixtures("quick")
async def test_a_machine_short_of_threads_ends_no_watch(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = module._present, [RuntimeError("can't start new thread")]  # noqa: SLF001  the one place to make it happen

    def failing(directories: frozenset[Path]) -> frozenset[Path]:
        if left:
            raise left.pop()
        return real(directories)

    monkeypatch.setattr(module, "_present", failing)
    follower = follow(tmp_path / "a")
    await follower.stands()
    (tmp_path / "a").write_text("one")
    await follower.sees("one")


async def test_a_change_of_another_file_beside_it_is_no_news(
    tmp_path: Path, follow: Follow
) -> None:
    one, other = follow(tmp_path / "a"), follow(tmp_path / "b")
    await one.stands()
    await other.stands()
    looks = one.looks
    for text_of_it in ("one", "two", "three"):
        (tmp_path / "b").write_text(text_of_it)
        await other.sees(text_of_it)
    assert one.looks == looks
    (tmp_path / "a").write_text("one")
    await one.sees("one")


async def silent(
    *_paths: Path,
    stop_event: asyncio.Event,
    **_options: Any,  # noqa: ANN401  awatch's own
) -> AsyncIterator[set[object]]:
    """Stand in for awatch on a filesystem that tells nothing."""
    while not stop_event.is_set():
        yield set()
        await asyncio.sleep(0.01)


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "awatch", silent)
    monkeypatch.setattr(module, "POLL_S", 0.02)


@pytest.mark.usefixtures("untold")
async def test_a_change_is_seen_where_the_filesystem_does_not_tell(
    tmp_path: Path, follow: Follow
) -> None:
    follower = follow(tmp_path / "a")
    await follower.stands()
    for wanted in ("one", "two"):
        (tmp_path / "a").write_text(wanted)
        await follower.sees(wanted)
    (tmp_path / "a").unlink()
    await follower.sees(None)


@pytest.mark.usefixtures("untold")
async def test_a_new_match_of_a_pattern_is_seen_where_the_filesystem_does_not_tell(
    tmp_path: Path, follow: Follow
) -> None:
    def names() -> str:
        return " ".join(sorted(path.name for path in tmp_path.iterdir()))

    follower = follow(tmp_path / "*.yaml", names)
    await follower.stands()
    (tmp_path / "a.yaml").touch()
    await follower.sees("a.yaml")


@pytest.mark.usefixtures("untold")
async def test_a_look_that_hangs_holds_up_no_other_where_the_filesystem_does_not_tell(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, other = follow(tmp_path / "a"), follow(tmp_path / "b")
    await hanging.stands()
    await other.stands()
    real, go_on, hung = module._sight, threading.Event(), threading.Event()  # noqa: SLF001  the one place to make it happen

    def hangs(paths: tuple[Path, ...]) -> object:
        if paths == (tmp_path / "a",):
            hung.set()
            go_on.wait(DEADLINE_S)
        return real(paths)

    monkeypatch.setattr(module, "_sight", hangs)
    await until(hung.is_set)
    (tmp_path / "b").write_text("one")
    await other.sees("one")
    go_on.set()


# --- reading -------------------------------------------------------------------------------------


class Parsing:
    """A parse that notes what it read, and waits while it is told to."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, path: Path) -> str:
        self.read.append(path.read_text())
        self.begun.set()
        self.go_on.wait(DEADLINE_S)
        if "bad" in self.read[-1]:
            raise ValueError(self.read[-1])
        return self.read[-1]

    async def under_way(self) -> None:
        assert await in_thread(lambda: self.begun.wait(DEADLINE_S))


@pytest.fixture
def parsing() -> Iterator[Parsing]:
    parsing = Parsing()
    yield parsing
    parsing.go_on.set()


@pytest.fixture
async def reader(parsing: Parsing) -> AsyncIterator[FileReader[str]]:
    reader = FileReader(parsing)
    yield reader
    await reader.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "a").write_text("one")
    return tmp_path / "a"


def preserving(path: Path, content: str) -> None:
    """Write in place, and leave size, inode and time of change as they were, as `cp -p` may."""
    status = path.stat()
    path.write_text(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replacing(path: Path, content: str) -> None:
    (path.parent / "new").write_text(content)
    (path.parent / "new").replace(path)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("write", [Path.write_text, replacing, preserving])
async def test_a_file_is_read_again_only_once_it_changed(
    path: Path, reader: FileReader[str], parsing: Parsing, write: Callable[[Path, str], object]
) -> None:
    assert reader.last(path) is None
    assert await reader.read(path) == "one"
    assert await reader.read(path) == "one"
    assert parsing.read == ["one"]
    write(path, "two")
    assert reader.last(path) == "one"
    assert await reader.read(path) == "two"
    assert parsing.read == ["one", "two"]


@pytest.mark.usefixtures("quick")
async def test_what_cannot_be_read_is_tried_again(
    path: Path, reader: FileReader[str], parsing: Parsing
) -> None:
    await reader.read(path)
    path.write_text("bad")
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            await reader.read(path)
    assert parsing.read == ["one", "bad", "bad"]
    assert reader.last(path) == "one"
    path.unlink()
    with pytest.raises(FileNotFoundError):
        await reader.read(path)
    path.write_text("two")
    assert await reader.read(path) == "two"


async def test_links_that_loop_are_an_error(tmp_path: Path, reader: FileReader[str]) -> None:
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        await reader.read(tmp_path / "a")


async def test_half_of_a_file_is_never_read(
    path: Path, reader: FileReader[str], parsing: Parsing
) -> None:
    loop = asyncio.get_running_loop()
    lines = ["line\n"] * 12

    def write() -> None:
        with path.open("a") as file:
            file.write(lines.pop())
        if lines:
            loop.call_later(module.SETTLE_S / 5, write)

    path.write_text("")
    write()
    assert await reader.read(path) == "line\n" * 12
    assert len(parsing.read) == 1


@pytest.mark.usefixtures("quick")
async def test_what_changes_while_it_is_read_is_read_again(
    path: Path, reader: FileReader[str], parsing: Parsing
) -> None:
    # Neither the half that was read, nor the error that it was, is what the file says.
    for half in ("bad", "half"):
        path.write_text(half)
        parsing.go_on.clear()
        parsing.begun.clear()
        asked = asyncio.create_task(reader.read(path))
        await parsing.under_way()
        path.write_text(f"{half[::-1]} and the rest")
        parsing.go_on.set()
        assert await asked == f"{half[::-1]} and the rest"


@pytest.mark.usefixtures("quick")
async def test_a_file_that_is_written_to_without_end(
    path: Path, reader: FileReader[str], parsing: Parsing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLE_LOOKS", 4)
    signature = module.file_signature

    def write_and_look(path: Path) -> object:
        with path.open("a") as file:
            file.write("more")
        return signature(path)

    with monkeypatch.context() as patched:
        patched.setattr(module, "file_signature", write_and_look)
        with pytest.raises(ConfigError) as caught:
            await reader.read(path)
    assert str(caught.value) == f"{path}: is written to without end; rename a whole file"
    assert parsing.read == []
    assert await reader.read(path) == path.read_text()


@pytest.mark.usefixtures("quick")
async def test_several_who_ask_share_one_read(
    path: Path, reader: FileReader[str], parsing: Parsing
) -> None:
    assert await asyncio.gather(*(reader.read(path) for _ in range(5))) == ["one"] * 5
    assert parsing.read == ["one"]


@pytest.mark.usefixtures("quick")
async def test_one_who_asks_while_an_older_read_is_under_way_gets_what_is_there_now(
    path: Path, reader: FileReader[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = module.file_signature
    last_look, go_on = threading.Event(), threading.Event()
    looks = iter([False, False, True])

    def held(path: Path) -> object:
        seen = signature(path)
        if next(looks, False):
            last_look.set()
            go_on.wait(DEADLINE_S)
        return seen

    monkeypatch.setattr(module, "file_signature", held)
    first = asyncio.create_task(reader.read(path))
    await in_thread(lambda: last_look.wait(DEADLINE_S))
    path.write_text("two")
    later = asyncio.create_task(reader.read(path))
    await asyncio.sleep(0)
    go_on.set()
    assert await later == "two"
    assert await first == "one"


@pytest.mark.usefixtures("quick")
async def test_one_who_leaves_takes_the_read_from_nobody(
    path: Path, reader: FileReader[str], parsing: Parsing
) -> None:
    parsing.go_on.clear()
    leaving, patient = (asyncio.create_task(reader.read(path)) for _ in range(2))
    await parsing.under_way()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    parsing.go_on.set()
    assert await patient == "one"
    assert parsing.read == ["one"]


@pytest.mark.usefixtures("quick")
async def test_a_read_that_hangs_holds_up_no_other_file_and_not_the_end(
    path: Path, reader: FileReader[str], parsing: Parsing
) -> None:
    parsing.go_on.clear()
    hung = asyncio.create_task(reader.read(path))
    await parsing.under_way()
    parsing.go_on.set()
    (path.parent / "b").write_text("two")
    assert await reader.read(path.parent / "b") == "two"
    await hung
    path.write_text("three")
    parsing.go_on.clear()
    parsing.begun.clear()
    hung = asyncio.create_task(reader.read(path))
    await parsing.under_way()
    async with asyncio.timeout(DEADLINE_S):
        await reader.aclose()
    with pytest.raises(asyncio.CancelledError):
        await hung
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- in a thread ---------------------------------------------------------------------------------


async def test_a_call_in_a_thread_gives_what_it_returns_or_raises() -> None:
    assert await in_thread(lambda: 42) == 42
    assert await in_thread(lambda: [None]) == [None]
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
    async with asyncio.timeout(DEADLINE_S):
        # A future refuses this one.
        with pytest.raises(RuntimeError):
            await in_thread(lambda: next(iter(())))


async def test_a_call_that_hangs_holds_up_nobody_who_no_longer_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait(DEADLINE_S)
        ended.set()

    hung = asyncio.create_task(in_thread(hang))
    assert await in_thread(lambda: begun.wait(DEADLINE_S))
    hung.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hung
    release.set()
    # Two calls later its result, which nobody waits for, has been thrown away without a word.
    assert await in_thread(lambda: ended.wait(DEADLINE_S))
    others = [thread for thread in threading.enumerate() if "(run)" in thread.name]
    for thread in others:
        await in_thread(partial(thread.join, DEADLINE_S))
    assert not caplog.records


def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    program = (
        "import asyncio, threading\n"
        "from registrar.files import in_thread\n"
        "async def main():\n"
        "    begun = threading.Event()\n"
        "    def hang():\n"
        "        begun.set()\n"
        "        threading.Event().wait()\n"
        "    hung = asyncio.create_task(in_thread(hang))\n"
        "    await in_thread(begun.wait)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""


def test_a_call_that_ends_after_the_loop_says_nothing() -> None:
    release, ended = threading.Event(), threading.Event()

    def late() -> None:
        release.wait(DEADLINE_S)
        ended.set()

    async def begin() -> None:
        waiting = asyncio.create_task(in_thread(late))
        await in_thread(lambda: None)
        waiting.cancel()

    asyncio.run(begin())
    release.set()
    assert ended.wait(DEADLINE_S)
