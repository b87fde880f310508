"""Files that change: real ones, told by the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asyncinotify import Event, Inotify, Mask
from structlog.testing import capture_logs

from registrar import files as module
from registrar.files import Files, changes
from registrar.threads import in_thread
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
        self._path = path
        self._look = look
        self._looked = asyncio.Event()
        self.task = asyncio.create_task(self._follow(files, path))

    async def _follow(self, files: Files, path: Path) -> None:
        async with contextlib.aclosing(changes(files, [path])) as hints:
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
        await self.until(lambda: self.looks > 0)
        await until(lambda: _nearest(self._path).stat().st_ino in set().union(*watched_inodes()))


def _nearest(path: Path) -> Path:
    return next(parent for parent in path.parents if os.path.isdir(parent))  # noqa: PTH112  it never raises


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
async def files() -> AsyncIterator[Files]:
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
    hints = changes(files, [path])
    async with contextlib.aclosing(hints), asyncio.timeout(DEADLINE_S):
        await anext(hints)
        path.write_text("early")
        await anext(hints)


async def test_a_change_while_somebody_looks_is_not_missed(
    tmp_path: Path, files: Files, follow: Follow
) -> None:
    path = tmp_path / "a"
    other = follow(path)
    async with contextlib.aclosing(changes(files, [path])) as hints, asyncio.timeout(DEADLINE_S):
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
    await shut.until(lambda: shut.looks > 0)
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
    looks = second.looks
    (tmp_path / "a/x").write_text("one")
    await first.sees("one")
    await same.sees("one")
    (tmp_path / "c/x").write_text("three")
    await later.sees("three")
    assert second.looks == looks


async def test_one_that_comes_later_is_called_at_its_start_too(
    tmp_path: Path, follow: Follow
) -> None:
    await follow(tmp_path / "a").stands()
    later = follow(tmp_path / "a")
    await later.until(lambda: later.looks == 1)


async def test_a_look_that_ends_after_a_later_one_tells_nothing(
    tmp_path: Path, follow: Follow, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    follower = follow(path)
    await follower.stands()
    real, go_on, begun = module._sight, threading.Event(), threading.Event()  # noqa: SLF001  the one place to make it happen

    def slow_once(paths: tuple[Path, ...]) -> object:
        seen = real(paths)
        if not begun.is_set():
            begun.set()
            go_on.wait(DEADLINE_S)
        return seen

    def write(wanted: str) -> None:
        (tmp_path / "new").write_text(wanted)
        (tmp_path / "new").replace(path)  # one change, of which nobody sees a half

    monkeypatch.setattr(module, "_sight", slow_once)
    write("one")
    await until(begun.is_set)
    write("two")
    await follower.sees("two")
    told = follower.looks
    go_on.set()
    await until(lambda: not files._looking)  # noqa: SLF001  nothing else tells that it has ended
    write("three")
    await follower.sees("three")
    assert follower.looks == told + 1


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


async def test_nothing_is_left_after_the_end(tmp_path: Path, follow: Follow, files: Files) -> None:
    await until(lambda: not watched_inodes())
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

    def failing(**options: Any) -> Inotify:  # noqa: ANN401  its own
        if left:
            raise left.pop()
        return Inotify(**options)

    monkeypatch.setattr(module, "Inotify", failing)
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


class Overflowing(Inotify):
    """Says only that more has happened than the kernel could keep."""

    async def get(self) -> Event:
        await super().get()
        while super().sync_get() is not None:
            pass
        return Event(watch=None, mask=Mask.Q_OVERFLOW, cookie=0, name=None)


async def test_what_the_kernel_could_not_keep_is_looked_for(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Inotify", Overflowing)
    follower = follow(tmp_path / "a")
    await follower.stands()
    (tmp_path / "a").write_text("one")
    await follower.sees("one")


class Silent(Inotify):
    """The watch of a filesystem that tells nothing."""

    async def get(self) -> Event:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Inotify", Silent)
    monkeypatch.setattr(module, "POLL_S", 0.02)


@pytest.mark.usefixtures("untold")
async def test_a_change_is_seen_where_the_filesystem_does_not_tell(
    tmp_path: Path, follow: Follow
) -> None:
    follower = follow(tmp_path / "a")
    await follower.until(lambda: follower.looks > 0)
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
    await follower.until(lambda: follower.looks > 0)
    (tmp_path / "a.yaml").touch()
    await follower.sees("a.yaml")


@pytest.mark.usefixtures("untold")
async def test_a_look_that_hangs_holds_up_no_other_where_the_filesystem_does_not_tell(
    tmp_path: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, other = follow(tmp_path / "a"), follow(tmp_path / "b")
    await hanging.until(lambda: hanging.looks > 0)
    await other.until(lambda: other.looks > 0)
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
