"""The static source on real files: what is an answer, what is not knowing, what is told of."""

# ruff: noqa: ASYNC240  the tests' own files are small and near

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from registrar import file_reader
from registrar.errors import SourceError
from registrar.files import Files
from registrar.model import Answer, Backend, Dropped
from registrar.source import Context, Part
from registrar.testing.asking import Told, hinted
from registrar.threads import in_thread
from sources.static import StaticOptions, StaticQuery, StaticSource
from tests.fakes import answer, backend
from tests.unprivileged import unprivileged

DEADLINE_S = 5.0

NOTHING = Answer(())
ONE, TWO = answer("10.0.0.1"), answer("10.0.0.2")

GOOD = "10.0.0.1:80"


class Static:
    """A static source, and the directory that it reads from."""

    def __init__(self, base: Path, files: Files, *patterns: str) -> None:
        self.base = base
        options = StaticOptions.model_validate({"files": patterns or ("a.yaml",)})
        self.source = StaticSource(options, Context(base, files, in_thread))

    def write(self, name: str, content: str | bytes) -> None:
        path = self.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def part(self, name: str = "a.yaml", group: str | None = None) -> Part[StaticQuery]:
        return Part(StaticQuery(group=group), str(self.base / name))

    async def ask(self, group: str | None = None, name: str = "a.yaml") -> Answer:
        return await self.source.discover(self.part(name, group))

    async def refusal(self, group: str | None = None, name: str = "a.yaml") -> str:
        """Return why the answer is not known, with the directory left out."""
        with pytest.raises(SourceError) as caught:
            await self.ask(group, name)
        return str(caught.value).replace(f"{self.base}/", "")

    async def parts(self) -> list[str]:
        return [
            os.path.relpath(part.name, self.base) for part in await self.source.split(StaticQuery())
        ]


Making = Callable[..., Static]


@pytest.fixture
async def making(tmp_path: Path) -> AsyncIterator[Making]:
    files, made = Files(), []

    def making(*patterns: str, base: Path = tmp_path) -> Static:
        made.append(Static(base, files, *patterns))
        return made[-1]

    yield making
    for static in made:
        await static.source.aclose()
    await files.aclose()


@pytest.fixture
def static(making: Making) -> Static:
    return making()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_reader, "SETTLE_S", 0.005)


pytestmark = pytest.mark.usefixtures("quick")


# --- records -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ("10.20.1.1:8080", Backend(ip_address("10.20.1.1"), 8080)),
        ("10.20.1.1", Backend(ip_address("10.20.1.1"))),
        ('"[2001:db8:20::7]:8080"', Backend(ip_address("2001:db8:20::7"), 8080)),
        ("2001:db8:20::7", Backend(ip_address("2001:db8:20::7"))),
        ("{address: 10.20.1.2}", Backend(ip_address("10.20.1.2"))),
        ('{address: "2001:db8::1", port: 1}', Backend(ip_address("2001:db8::1"), 1)),
        ("{address: 10.20.1.2, port: 65535}", Backend(ip_address("10.20.1.2"), 65535)),
        ("{address: 10.20.1.2, weight: 2}", Backend(ip_address("10.20.1.2"), None, 2)),
        ("{address: 10.20.1.2, zone: a}", Backend(ip_address("10.20.1.2"), None, 1, "a")),
        (
            "{address: 10.20.1.2, hostname: db-0}",
            Backend(ip_address("10.20.1.2"), hostname="db-0"),
        ),
        (
            "{address: 10.20.1.2, port: 80, weight: 1000, zone: a, hostname: x}",
            Backend(ip_address("10.20.1.2"), 80, 1000, "a", "x"),
        ),
    ],
)
async def test_a_record_is_an_address_with_or_without_more(
    static: Static, record: str, wanted: Backend
) -> None:
    static.write("a.yaml", f"web:\n- {record}\n")
    assert await static.ask("web") == Answer((wanted,))


ADDRESS = "not an IP address; write one such as 10.20.0.7 or 2001:db8::7"
DIGITS = "not a whole number; write digits without quotes"
LABEL = "not a DNS label; use lower-case letters, digits and '-', as in web-1"


@pytest.mark.parametrize(
    ("record", "shown", "reason"),
    [
        ("db1:80", "'db1:80'", f"3:3: web.1.address: 'db1:80' is {ADDRESS}"),
        ("10.0.0.256", "'10.0.0.256'", f"3:3: web.1.address: '10.0.0.256' is {ADDRESS}"),
        ("10.0.0.0/24", "'10.0.0.0/24'", f"3:3: web.1.address: '10.0.0.0/24' is {ADDRESS}"),
        ("'[::1'", "'[::1'", f"3:3: web.1.address: '[::1' is {ADDRESS}"),
        ("'[::1]80'", "'[::1]80'", f"3:3: web.1.address: '[::1]80' is {ADDRESS}"),
        ("''", "''", f"3:3: web.1.address: '' is {ADDRESS}"),
        ("10.0.0.2:http", "'10.0.0.2:http'", f"3:3: web.1.port: '10.0.0.2:http' is {DIGITS}"),
        ("'10.0.0.2:'", "'10.0.0.2:'", f"3:3: web.1.port: '10.0.0.2:' is {DIGITS}"),
        ("10.0.0.2:-1", "'10.0.0.2:-1'", f"3:3: web.1.port: '10.0.0.2:-1' is {DIGITS}"),
        ("10.0.0.2:²", "'10.0.0.2:²'", f"3:3: web.1.port: '10.0.0.2:²' is {DIGITS}"),
        (
            "10.0.0.2:65536",
            "'10.0.0.2:65536'",
            "3:3: web.1.port: '10.0.0.2:65536' is too large; it must be 65535 or less",
        ),
        (
            "10.0.0.2:0",
            "'10.0.0.2:0'",
            "3:3: web.1.port: '10.0.0.2:0' is too small; it must be 1 or more",
        ),
        (
            f"10.0.0.2:{'9' * 5000}",
            f"'10.0.0.2:{'9' * 49}…",
            f"3:3: web.1.port: '10.0.0.2:{'9' * 49}… is {DIGITS}",
        ),
        (
            "{address: 10.0.0.2, port: 65536}",
            "a mapping",
            "3:29: web.1.port: 65536 is too large; it must be 65535 or less",
        ),
        (
            f"{{address: 10.0.0.2, port: {'9' * 19}}}",
            "a mapping",
            f"3:29: web.1.port: {'9' * 19} is too large; it must be 65535 or less",
        ),
        (
            f"{{address: 10.0.0.2, port: {'9' * 5000}}}",
            "a mapping",
            f"3:29: web.1.port: '{'9' * 58}… is {DIGITS}",
        ),
        (
            "{address: 10.0.0.2, port: '80'}",
            "a mapping",
            f"3:29: web.1.port: '80' is {DIGITS}",
        ),
        (
            "{address: 10.0.0.2, port: 80.5}",
            "a mapping",
            f"3:29: web.1.port: 80.5 is {DIGITS}",
        ),
        ("{port: 80}", "a mapping", "3:3: the key 'address' is missing; add it"),
        (
            "{address: 10.0.0.2, weight: 0}",
            "a mapping",
            "3:31: web.1.weight: 0 is too small; it must be 1 or more",
        ),
        (
            "{address: 10.0.0.2, weight: true}",
            "a mapping",
            f"3:31: web.1.weight: true is {DIGITS}",
        ),
        (
            "{address: 10.0.0.2, zone: ''}",
            "a mapping",
            "3:29: web.1.zone: '' is empty; write a value",
        ),
        (
            "{address: 10.0.0.2, zone: 3}",
            "a mapping",
            "3:29: web.1.zone: 3 is not text; put it in quotes",
        ),
        (
            "{address: 10.0.0.2, hostname: Web_1}",
            "a mapping",
            f"3:33: web.1.hostname: 'Web_1' is {LABEL}",
        ),
        (
            '{address: 10.0.0.2, hostname: "web\\n"}',
            "a mapping",
            f"3:33: web.1.hostname: 'web\\n' is {LABEL}",
        ),
        (
            f"{{address: 10.0.0.2, hostname: {'x' * 64}}}",
            "a mapping",
            f"3:33: web.1.hostname: '{'x' * 58}… is {LABEL}",
        ),
        (
            "{address: 10.0.0.2, prot: 80}",
            "a mapping",
            "3:23: unknown key 'prot'; did you mean 'port'?",
        ),
        ("{address: 42}", "a mapping", f"3:13: web.1.address: 42 is {ADDRESS}"),
        ("[10.0.0.2]", "a list", "3:3: web.1: a list is not a mapping; write keys and values"),
        ("42", "42", "3:3: web.1: 42 is not a mapping; write keys and values"),
        ("", "null", "3:2: web.1: null is not a mapping; write keys and values"),
    ],
)
async def test_a_bad_record_is_dropped_with_its_line_and_its_neighbours_are_served(
    static: Static, record: str, shown: str, reason: str
) -> None:
    static.write("a.yaml", f"web:\n- {GOOD}\n- {record}\n- 10.0.0.2:80\n")
    found = await static.ask("web")
    assert found.backends == ONE.backends + TWO.backends
    (drop,) = found.dropped
    assert drop.record == shown
    assert drop.reason.removesuffix(": {key: value}") == f"{static.base}/a.yaml:{reason}"


# --- groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", f"web: [{GOOD}]\ndb: [10.0.0.2:80]\nbatch: []\n"),
        ("a.json", f'{{"web": ["{GOOD}"], "db": ["10.0.0.2:80"], "batch": []}}'),
        ("a.json", f'{{\n\t"web": ["{GOOD}"],\n\t"db": ["10.0.0.2:80"],\n\t"batch": []\n}}'),
        ("a.yml", f"\ufeffweb: &w [{GOOD}]\r\ndb: [10.0.0.2:80]\r\nbatch: []\r\n"),
        ("noname", f"--- # one\nweb: [{GOOD}]\ndb: [10.0.0.2:80]\nbatch: []\n...\n"),
    ],
)
async def test_several_groups_a_file(making: Making, name: str, content: str) -> None:
    static = making(name)
    static.write(name, content)
    assert await static.ask("web", name) == ONE
    assert await static.ask("db", name) == TWO
    assert await static.ask("batch", name) == NOTHING
    assert await static.ask(None, name) == Answer(ONE.backends + TWO.backends)


async def test_a_group_that_is_as_it_was_gives_the_same_answer(static: Static) -> None:
    static.write("a.yaml", f"web: [{GOOD}]\nbatch: []\n")
    before = await static.ask("web"), await static.ask("batch")
    static.write("a.yaml", f"web: [{GOOD}]\nbatch: [{GOOD}]\n")
    after = await static.ask("web"), await static.ask("batch")
    assert after[0] is before[0]  # which a feed knows at a glance
    assert after[1] == answer("10.0.0.1")


async def test_a_group_that_another_file_names_has_no_backends_here(making: Making) -> None:
    static = making("*.yaml")
    static.write("a.yaml", f"web: [{GOOD}]")
    static.write("b.yaml", "db: [10.0.0.2:80]")
    static.write("c.yaml", "- targets: ['10.0.0.3:80']")
    assert await static.ask("db", "a.yaml") == NOTHING
    assert await static.ask("db", "b.yaml") == TWO
    assert await static.ask("db", "c.yaml") == NOTHING


async def test_a_group_that_no_file_names_is_not_knowing(making: Making) -> None:
    static = making("*.yaml")
    static.write("a.yaml", f"web: [{GOOD}]\ndb: []")
    static.write("b.yaml", "- targets: []")
    assert await static.refusal("wbe") == (
        "a.yaml: no group 'wbe' (groups: db, web); write 'wbe: []' for none"
    )
    assert await static.refusal("wbe", "b.yaml") == (
        "b.yaml: a file_sd list has no groups; leave out 'group: wbe'"
    )


async def test_a_group_that_a_file_may_name_that_cannot_be_read_is_not_known(
    making: Making,
) -> None:
    static = making("*.yaml")
    static.write("a.yaml", f"web: [{GOOD}]")
    static.write("b.yaml", "db: [")
    assert await static.ask("web", "a.yaml") == ONE
    assert "b.yaml:2:1: not well-formed YAML" in await static.refusal("db", "a.yaml")
    # The file may say so of any group, but a group that is found elsewhere is no mistake.
    static.write("c.yaml", "db: []")
    assert await static.ask("db", "a.yaml") == NOTHING


async def test_a_group_whose_name_is_not_plain_text(static: Static) -> None:
    static.write("a.yaml", f"1: [{GOOD}]\n'true': [10.0.0.2:80]\n? ''\n: []")
    assert await static.ask("1") == ONE
    assert await static.ask("true") == TWO


async def test_what_was_known_of_a_group_is_not_taken_by_an_edit_in_another_file(
    making: Making,
) -> None:
    static = making("*.yaml")
    static.write("a.yaml", f"web: [{GOOD}]")
    static.write("b.yaml", "db: [10.0.0.2:80]")
    assert await static.ask("db", "a.yaml") == NOTHING
    static.write("b.yaml", "other: []")
    assert "no group 'db'" in await static.refusal("db", "b.yaml")
    assert "no group 'db'" in await static.refusal("db", "a.yaml")


async def test_a_group_is_known_to_exist_though_its_file_is_being_replaced(making: Making) -> None:
    static = making("*.yaml")
    static.write("a.yaml", f"web: [{GOOD}]")
    static.write("b.yaml", "db: [10.0.0.2:80]")
    assert await static.ask("db", "b.yaml") == TWO
    static.write("b.yaml", "")
    assert await static.ask("db", "a.yaml") == NOTHING


# --- Prometheus' file_sd -------------------------------------------------------------------------


FILE_SD = [
    {"targets": [GOOD], "labels": {"job": "web", "zone": "a", "emoji": "\N{GRINNING FACE}"}},
    {"targets": ["10.0.0.2:80"], "labels": {}},
    {"targets": []},
]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(FILE_SD),
        json.dumps(FILE_SD, indent="\t"),
        json.dumps(FILE_SD, ensure_ascii=False),
    ],
)
async def test_file_sd_is_read_as_it_is(making: Making, content: str) -> None:
    static = making("a.json")
    static.write("a.json", content)
    assert await static.ask(None, "a.json") == Answer(ONE.backends + TWO.backends)


async def test_file_sd_in_yaml(static: Static) -> None:
    static.write("a.yaml", f"- targets:\n  - '{GOOD}'\n  labels:\n    env: prod\n")
    assert await static.ask() == ONE


async def test_names_in_file_sd_are_dropped_alone(static: Static) -> None:
    static.write("a.yaml", f"- targets: [web.example:80]\n- targets:\n  - {GOOD}\n  - db:5432\n")
    found = await static.ask()
    assert found.backends == ONE.backends
    base = f"{static.base}/a.yaml"
    assert found.dropped == (
        Dropped(
            "'web.example:80'", f"{base}:1:13: 0.targets.0.address: 'web.example:80' is {ADDRESS}"
        ),
        Dropped("'db:5432'", f"{base}:4:5: 1.targets.1.address: 'db:5432' is {ADDRESS}"),
    )


async def test_an_empty_file_sd_list_is_an_answer(static: Static) -> None:
    static.write("a.yaml", "[]")
    assert await static.ask() == NOTHING


async def test_file_sd_has_no_groups(static: Static) -> None:
    static.write("a.yaml", f"- targets: ['{GOOD}']")
    assert await static.refusal("web") == (
        "a.yaml: a file_sd list has no groups; leave out 'group: web'"
    )


# --- not knowing ---------------------------------------------------------------------------------


HELD_NONE = "a.yaml:1:1: holds no groups; write 'NAME: [ADDRESS:PORT, ...]'"
NO_LIST = "group 'web' is not a list; write '[]' for a group without backends"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", HELD_NONE),
        ("\n \n# nothing yet\n", HELD_NONE.replace("1:1", "1:1")),
        ("---\n", "a.yaml:2:1: holds no groups; write 'NAME: [ADDRESS:PORT, ...]'"),
        ("{}", HELD_NONE),
        ("null", HELD_NONE),
        ("web", HELD_NONE),
        ("web:", f"a.yaml:1:5: {NO_LIST}"),
        ("web: ~", f"a.yaml:1:6: {NO_LIST}"),
        (f"web: {GOOD}", f"a.yaml:1:6: {NO_LIST}"),
        (f"db: [{GOOD}]\nweb: {{a: b}}", f"a.yaml:2:6: {NO_LIST}"),
        (
            f"web:\n- {GOOD}\n- {{address: 10.0.",
            "a.yaml:4:1: not well-formed YAML: did not find expected ',' or '}'; correct it",
        ),
        (
            f"web: [{GOOD}, ",
            "a.yaml:2:1: not well-formed YAML: did not find expected node content; correct it",
        ),
        (
            f"web: [{GOOD}]\nweb: []",
            "a.yaml:2:1: the key 'web' stands twice, first in line 1; keep one of them",
        ),
        (
            f"web:\n- {{address: {GOOD}, address: 10.0.0.2}}",
            "a.yaml:2:26: the key 'address' stands twice, first in line 2; keep one of them",
        ),
        (b"web: [10.0.0.1]\n# caf\xe9\n", "a.yaml: byte 21 is not UTF-8; save the file as UTF-8"),
        (b"web: [10.0.0.1]\0", None),
        ("web: !!python/object:os.system [x]", None),
        (f"web: [{GOOD}]\n---\ndb: []", None),
        ("- 10.0.0.1:80", "a.yaml:1:3: 0: '10.0.0.1:80' is not a mapping; write keys and values"),
        ("- labels: {}", "a.yaml:1:3: the key 'targets' is missing; add it"),
        (
            "- targets: 10.0.0.1:80",
            "a.yaml:1:12: 0.targets: '10.0.0.1:80' is not a list; write a list",
        ),
        ("- targets: ['10.0.0.1:80']\n- target: []", None),
    ],
)
async def test_what_is_empty_half_written_or_malformed_is_not_knowing(
    static: Static, content: str | bytes, message: str | None
) -> None:
    static.write("a.yaml", content)
    refusal = await static.refusal()
    assert refusal.startswith(message or "a.yaml:")
    assert "\n" not in refusal


@pytest.mark.parametrize("group", [None, "web"])
async def test_a_file_cut_at_any_byte_is_never_a_smaller_answer_unless_it_is_a_whole_file(
    making: Making, group: str | None
) -> None:
    # JSON says where it ends: no half of it can be mistaken for the whole.
    static = making("a.json")
    whole = json.dumps({"web": [GOOD, "10.0.0.2:80"]})
    for end in range(len(whole)):
        static.write("a.json", whole[:end])
        assert await static.refusal(group, "a.json")
    static.write("a.json", whole)
    assert await static.ask(group, "a.json") == Answer(ONE.backends + TWO.backends)


async def test_a_file_that_is_not_there(static: Static) -> None:
    assert await static.refusal() == "a.yaml: there is no such file"
    static.write("a.yaml", f"web: [{GOOD}]")
    assert await static.ask() == ONE
    (static.base / "a.yaml").unlink()
    assert await static.refusal() == "a.yaml: there is no such file"
    (static.base / "a.yaml").symlink_to("nowhere")
    assert await static.refusal() == "a.yaml: there is no such file"


async def test_a_file_that_is_no_file(static: Static) -> None:
    (static.base / "a.yaml").mkdir()
    remedy = "check its type and permissions"
    assert await static.refusal() == f"a.yaml: can't be read: not a regular file; {remedy}"
    static.write("b", "")
    assert await static.refusal(None, "b/c.yaml") == (
        f"b/c.yaml: can't be read: Not a directory; {remedy}"
    )
    (static.base / "loop").symlink_to("loop")
    assert await static.refusal(None, "loop") == (
        f"loop: can't be read: Too many levels of symbolic links; {remedy}"
    )


async def test_a_pipe_in_the_place_of_a_file_holds_up_nobody(static: Static) -> None:
    os.mkfifo(static.base / "a.yaml")
    assert await static.refusal() == (
        "a.yaml: can't be read: not a regular file; check its type and permissions"
    )


async def test_what_may_not_be_read_costs_its_neighbours_nothing(making: Making) -> None:
    with unprivileged() as own:
        static = making("*.yaml", "shut/*.yaml", base=own)
        static.write("a.yaml", f"web: [{GOOD}]")
        static.write("b.yaml", "web: []")
        (own / "b.yaml").chmod(0)
        static.write("shut/c.yaml", "web: []")
        (own / "shut").chmod(0o444)  # its names may be read, and nothing of what they name
        assert await static.parts() == ["a.yaml", "b.yaml", "shut/c.yaml"]
        assert await static.ask() == ONE
        for name in ("b.yaml", "shut/c.yaml"):
            assert await static.refusal(None, name) == (
                f"{name}: can't be read: Permission denied; check its type and permissions"
            )
        (own / "shut").chmod(0o700)


# --- which files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [
        (["a.yaml"], ["a.yaml"]),
        (["missing.yaml"], ["missing.yaml"]),
        (["*.yaml"], ["a.yaml", "b.yaml"]),
        (["b.yaml", "*.yaml"], ["b.yaml", "a.yaml"]),
        (["[ab].yaml"], ["a.yaml", "b.yaml"]),
        (["?.yaml", "*.json"], ["a.yaml", "b.yaml", "d.json"]),
        (["**/*.yaml"], ["a.yaml", "b.yaml", "racks/c.yaml", "racks/deep/e.yaml"]),
        (["racks/**"], ["racks/c.yaml", "racks/deep/e.yaml"]),
        ([".*.yaml"], [".hidden.yaml"]),
        ([".hidden/*.yaml"], [".hidden/f.yaml"]),
        (["racks/../a.yaml"], ["a.yaml"]),
    ],
)
async def test_each_file_that_a_glob_matches_is_a_part(
    making: Making, patterns: Sequence[str], wanted: Sequence[str]
) -> None:
    static = making(*patterns)
    for name in ("a.yaml", "b.yaml", "racks/c.yaml", "racks/deep/e.yaml", "d.json"):
        static.write(name, "web: []")
    for name in (".hidden.yaml", ".hidden/f.yaml"):
        static.write(name, "web: []")
    (static.base / "directory.yaml").mkdir()
    assert await static.parts() == wanted


async def test_globs_and_paths_that_are_absolute(making: Making, tmp_path: Path) -> None:
    there, base = tmp_path / "there", tmp_path / "base"
    base.mkdir()
    static = making(f"{there}/a.yaml", f"{there}/**/*.yaml", base=base)
    static.write("../there/a.yaml", f"web: [{GOOD}]")
    static.write("../there/deep/b.yaml", "web: [10.0.0.2:80]")
    assert await static.parts() == ["../there/a.yaml", "../there/deep/b.yaml"]
    parts = await static.source.split(StaticQuery(group="web"))
    assert [await static.source.discover(part) for part in parts] == [ONE, TWO]


async def test_a_glob_that_matches_nothing_is_not_knowing(making: Making) -> None:
    static = making("a.yaml", "racks/*.yaml")
    static.write("a.yaml", f"web: [{GOOD}]")
    with pytest.raises(SourceError, match=r"^no file matches 'racks/\*.yaml'$"):
        await static.parts()


# --- what is told --------------------------------------------------------------------------------


async def until(
    stream: AsyncGenerator[Any], condition: Callable[[Any], bool], deadline: float = DEADLINE_S
) -> None:
    """Wait for what is told to become what is meant; hints may well be doubled."""
    async with asyncio.timeout(deadline):
        async for told in stream:
            if condition(told):
                return
    pytest.fail("the watch has ended")


def is_error(words: str) -> Callable[[object], bool]:
    return lambda told: isinstance(told, SourceError) and words in str(told)


def names(*wanted: str) -> Callable[[object], bool]:
    return lambda told: (
        isinstance(told, tuple) and [Path(part.name).name for part in told] == list(wanted)
    )


def told_of(static: Static, part: Part[StaticQuery]) -> Told[Answer]:
    listen, ask = partial(static.source.listen, part), partial(static.source.discover, part)
    found = hinted(listen, ask)
    assert found is not None
    return found


def told_of_parts(static: Static) -> Told[Sequence[Part[StaticQuery]]]:
    query = StaticQuery()
    listen, ask = partial(static.source.listen_split, query), partial(static.source.split, query)
    found = hinted(listen, ask)
    assert found is not None
    return found


async def test_a_change_is_told_within_a_second(
    static: Static, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # in earnest: as quick, and as careful, as it is run
    static.write("a.yaml", "web: []")
    took = []
    async with contextlib.aclosing(told_of(static, static.part())) as items:
        await until(items, NOTHING.__eq__)
        for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
            static.write("a.yaml", f"web: [{address}:80]")
            begun = time.monotonic()
            await until(items, answer(address).__eq__)
            took.append(time.monotonic() - begun)
    assert min(took) < 1.0, "other work of the machine may slow one or two of them, not all"


async def test_an_error_is_told_and_watching_goes_on(static: Static) -> None:
    async with contextlib.aclosing(told_of(static, static.part())) as items:
        await until(items, is_error("there is no such file"))
        static.write("a.yaml", f"web: [{GOOD}]")
        await until(items, ONE.__eq__)
        static.write("a.yaml", f"web: [{GOOD}, ")
        await until(items, is_error("not well-formed"))
        static.write("a.yaml", "")
        await until(items, is_error("holds no groups"))
        static.write("a.yaml", "web: [10.0.0.2:80]")
        await until(items, TWO.__eq__)
        (static.base / "a.yaml").unlink()
        await until(items, is_error("there is no such file"))


async def test_a_group_that_comes_and_goes_in_another_file_is_told(making: Making) -> None:
    static = making("x/*.yaml", "y/*.yaml")
    static.write("x/a.yaml", f"web: [{GOOD}]")
    static.write("y/b.yaml", "other: []")
    async with contextlib.aclosing(told_of(static, static.part("x/a.yaml", "db"))) as items:
        await until(items, is_error("no group 'db'"))
        static.write("y/b.yaml", "db: []")
        await until(items, NOTHING.__eq__)
        static.write("x/a.yaml", "db: [10.0.0.2:80]")
        await until(items, TWO.__eq__)


async def test_without_a_group_no_other_file_concerns_a_part(making: Making) -> None:
    static = making("x/a.yaml", "y/*.yaml")
    static.write("x/a.yaml", f"web: [{GOOD}]")
    static.write("y/b.yaml", "")
    told: list[Answer | SourceError] = []
    begun = asyncio.Event()

    async def listen() -> None:
        async with contextlib.aclosing(told_of(static, static.part("x/a.yaml"))) as stream:
            async for item in stream:
                told.append(item)
                begun.set()
                if item == TWO:
                    return

    async with contextlib.aclosing(told_of_parts(static)) as parts:
        await until(parts, names("a.yaml", "b.yaml"))
        listening = asyncio.create_task(listen())
        async with asyncio.timeout(DEADLINE_S):
            await begun.wait()
        files = ["a.yaml", "b.yaml"]
        for name in ("c.yaml", "d.yaml"):
            static.write(f"y/{name}", "")
            files.append(name)
            await until(parts, names(*files))
        static.write("x/a.yaml", "web: [10.0.0.2:80]")
        await asyncio.wait_for(listening, DEADLINE_S)
    assert told == [ONE, TWO]


async def test_a_file_that_comes_or_goes_is_told(making: Making) -> None:
    static = making("racks/**/*.yaml")
    async with contextlib.aclosing(told_of_parts(static)) as items:
        await until(items, is_error("no file matches 'racks/**/*.yaml'"))
        static.write("racks/a.yaml", "")
        await until(items, names("a.yaml"))
        static.write("racks/deep/b.yaml", "")
        await until(items, names("a.yaml", "b.yaml"))
        static.write("racks/deep/c.yaml", "")
        await until(items, names("a.yaml", "b.yaml", "c.yaml"))
        (static.base / "racks/a.yaml").unlink()
        await until(items, names("b.yaml", "c.yaml"))


async def test_a_swap_of_a_config_map_is_told(making: Making) -> None:
    static = making("*.yaml")

    def swap(stamp: str, content: str) -> None:
        static.write(f"{stamp}/a.yaml", content)
        (static.base / "..data_tmp").symlink_to(stamp)
        (static.base / "..data_tmp").replace(static.base / "..data")

    swap("..2026_01", "web: [10.0.0.1:80]")
    (static.base / "a.yaml").symlink_to("..data/a.yaml")
    assert await static.parts() == ["a.yaml"]
    async with contextlib.aclosing(told_of(static, static.part("a.yaml", "web"))) as items:
        await until(items, ONE.__eq__)
        swap("..2026_02", "web: [10.0.0.2:80]")
        await until(items, TWO.__eq__)
        swap("..2026_03", "web: []")
        await until(items, NOTHING.__eq__)


# --- warnings, and the rest ----------------------------------------------------------------------


async def test_the_warnings_name_all_that_is_wrong(making: Making) -> None:
    static = making("*.yaml")
    static.write("a.yaml", f"web: [db1, {GOOD}, 10.0.0.2:0]")
    static.write("b.yaml", "web: ")
    found = await static.source.warnings(StaticQuery(group="web"))
    assert [line.replace(f"{static.base}/", "") for line in found] == [
        f"a.yaml:1:7: web.0.address: 'db1' is {ADDRESS}",
        "a.yaml:1:25: web.2.port: '10.0.0.2:0' is too small; it must be 1 or more",
        f"b.yaml:1:5: {NO_LIST}",
    ]
    assert await making("c/*.yaml").source.warnings(StaticQuery()) == (
        "no file matches 'c/*.yaml'",
    )


async def test_nothing_is_warned_of_where_all_is_well(static: Static) -> None:
    static.write("a.yaml", f"web: [{GOOD}]\nbatch: []")
    assert not await static.source.warnings(StaticQuery(group="web"))
    assert not await static.source.warnings(StaticQuery(group="batch"))
    assert await static.source.warnings(StaticQuery(group="db"))


async def test_a_read_that_is_under_way_ends_with_the_source(
    static: Static, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_reader, "SETTLE_S", 3600.0)
    static.write("a.yaml", f"web: [{GOOD}]")
    asked = asyncio.create_task(static.ask())
    await in_thread(lambda: None)
    async with asyncio.timeout(DEADLINE_S):
        await static.source.aclose()
        await asyncio.wait([asked])
    assert asked.cancelled()


async def test_a_file_of_50_000_records(making: Making) -> None:
    static = making("a.json")
    wanted = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(50_000)]
    static.write("a.json", json.dumps({"web": [f"{address}:80" for address in wanted]}))
    found = await static.ask("web", "a.json")
    assert found.backends == tuple(backend(address) for address in wanted)
    assert not found.dropped
