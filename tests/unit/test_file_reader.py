"""Files are read once they are still, and again once they have changed."""

# ruff: noqa: ASYNC240  the tests' own files are small and near

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from registrar import file_reader as module
from registrar.errors import ConfigError
from registrar.file_reader import FileReader
from registrar.threads import in_thread

DEADLINE_S = 5.0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_S", 0.01)


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
