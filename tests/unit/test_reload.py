"""The file is watched, and each of its changes applied whole, or reported and not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from registrar.config import Config, read_config
from registrar.decide.reload import digest
from registrar.errors import ConfigError, Problem, SourceError
from registrar.file_reader import FileReader
from registrar.mappings import SourceConfig
from registrar.model import ApiLimits, NetworkRules, ServiceKey, ServiceMapping
from registrar.reload import (
    POLL_S,
    Change,
    Outcome,
    Reload,
    difference,
    outcomes,
    read_outcome,
)
from registrar.source import Options
from tests.fakes import KEY, QUERY, ScriptedSource, mapping, pass_time

FILE = Path("registrar.yaml")
OLD = ServiceKey("shop", "old")
KEYS = [ServiceKey("shop", f"web-{number}") for number in range(12)]
SOURCE = SourceConfig("racks", ScriptedSource, Options())
RULES = NetworkRules(deny=(ip_network("10.0.0.0/8"),))


def config(*keys: ServiceKey, **more: Any) -> Config:  # noqa: ANN401  fields of Config
    mappings = tuple(replace(mapping(), key=key) for key in keys)
    return replace(Config(Path(), "office", NetworkRules(), (SOURCE,), mappings), **more)


def wrong(message: str, line: int | None = 7) -> ConfigError:
    return ConfigError(Problem(FILE, message, "correct it", line, 1))


class World:
    """The file, and the program that it is for, as far as `Reload` sees of them."""

    def __init__(self, *keys: ServiceKey) -> None:
        self.says: Outcome | OSError = config(*keys)
        self.refuses: Exception | None = None
        self.applied: list[tuple[Config, Change]] = []
        self.in_doubt = False
        self.watched: list[Path] = []
        self.outcomes: list[str] = []
        self.tell: Callable[[], None] = lambda: None
        self.reload = Reload(FILE, config(*keys), self, self, self)
        self.logs: list[MutableMapping[str, Any]] = []
        self.task: asyncio.Task[None] | None = None

    # --- the ends ---

    async def read(self, path: Path) -> Outcome:
        assert path == FILE
        if isinstance(self.says, OSError):
            raise self.says
        return self.says

    def listen(self, paths: Iterable[Path], changed: Callable[[], None]) -> Callable[[], None]:
        self.watched += paths
        self.tell = changed
        changed()
        return lambda: None

    def apply(self, config: Config, change: Change) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.applied.append((config, change))
        self.in_doubt = False

    def reloaded(self, outcome: str) -> None:
        self.outcomes.append(outcome)

    def doubt(self) -> None:
        self.in_doubt = True

    # --- what the test does ---

    async def start(self) -> None:
        self.task = asyncio.create_task(self.reload.run())
        await pass_time(0.1)

    async def write(self, says: Outcome | OSError) -> None:
        if self.task is None:
            await self.start()
        self.says = says
        self.tell()
        await pass_time(0.1)
        assert self.task is not None
        assert not self.task.done()

    def events(self) -> list[str]:
        return [line["event"] for line in self.logs]


@pytest.fixture
def world() -> Iterator[World]:
    made = World(KEY)
    with capture_logs() as made.logs:
        yield made


# --- applied --------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_change_is_applied_as_soon_as_it_is_told(world: World) -> None:
    new = config(KEY, OLD)
    await world.write(new)
    assert world.applied == [(new, Change(added=frozenset({OLD})))]
    (line,) = world.logs
    assert (line["event"], line["added"], line["removed"], line["changed"]) == ("reloaded", 1, 0, 0)
    assert world.watched == [Path.cwd() / FILE]


@pytest.mark.looptime
async def test_a_filesystem_that_tells_nothing_is_asked(world: World) -> None:
    await world.start()
    world.says = config(KEY, OLD)
    await pass_time(POLL_S)
    assert len(world.applied) == 1


@pytest.mark.looptime
async def test_what_says_the_same_in_other_words_is_no_change(world: World) -> None:
    await world.write(config(KEY))
    await pass_time(10 * POLL_S)
    assert (world.applied, world.logs) == ([], [])


@pytest.mark.looptime
async def test_a_change_between_the_first_look_and_the_watch_is_seen(world: World) -> None:
    world.says = config(OLD)
    await world.start()
    assert [change for _, change in world.applied] == [Change(frozenset({OLD}), frozenset({KEY}))]


# --- reported -------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_an_invalid_file_is_reported_once_and_changes_nothing(world: World) -> None:
    for message in ("bad", "bad", "worse"):
        await world.write(wrong(message))
        await pass_time(3 * POLL_S)
    assert world.events() == ["reload-failed", "reload-failed"]
    assert [line["error"] for line in world.logs] == [
        "registrar.yaml:7:1: bad; correct it",
        "registrar.yaml:7:1: worse; correct it",
    ]
    assert world.applied == []
    assert world.in_doubt
    await world.write(config(KEY, OLD))
    assert [len(change.added) for _, change in world.applied] == [1]


@pytest.mark.looptime
async def test_the_way_back_to_what_is_in_force_ends_the_trouble(world: World) -> None:
    await world.write(wrong("bad"))
    await world.write(config(KEY))
    assert world.events() == ["reload-failed", "reloaded"]
    assert world.applied == [(config(KEY), Change())]
    assert not world.in_doubt
    await world.write(wrong("bad"))
    assert world.events()[2:] == ["reload-failed"]  # it is news again


@pytest.mark.looptime
async def test_a_file_that_is_gone_for_a_moment_is_no_trouble(world: World) -> None:
    await world.write(FileNotFoundError())
    await world.write(config(KEY, OLD))
    await pass_time(2)
    assert world.events() == ["reloaded"]


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(), "registrar.yaml: there is no such file; name it with --config FILE"),
        (PermissionError(13, "Permission denied"), "can't be read: Permission denied; check its"),
        (wrong("is empty", line=None), "registrar.yaml: is empty; correct it"),
    ],
)
async def test_a_file_that_can_not_be_read_is_reported(
    world: World, error: OSError | ConfigError, words: str
) -> None:
    await world.write(error)
    await pass_time(30)
    (line,) = world.logs
    assert words in line["error"]
    await world.write(config(KEY, OLD))
    assert len(world.applied) == 1


@pytest.mark.looptime
async def test_another_instance_needs_a_restart(world: World) -> None:
    await world.write(config(KEY, OLD, instance="lab"))
    (line,) = world.logs
    assert line["error"] == (
        "registrar.yaml: `instance` can't change while registrar runs: it is 'office', the file "
        "says 'lab'; restart registrar, or write 'office' again"
    )
    assert world.applied == []


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("error", "words"), [(SourceError("no ca.pem"), "no ca.pem"), (ValueError("hunter2"), "Value")]
)
async def test_what_can_not_be_applied_is_reported_and_tried_again(
    world: World, error: Exception, words: str
) -> None:
    world.refuses = error
    await world.write(config(KEY, OLD))
    await pass_time(3 * POLL_S)
    (line,) = world.logs
    assert words in line["error"]
    assert "hunter2" not in str(line)
    world.refuses = None
    await pass_time(POLL_S)
    assert [len(change.added) for _, change in world.applied] == [1]


# --- held -----------------------------------------------------------------------------------------


@pytest.fixture
def many() -> Iterator[World]:
    made = World(*KEYS)
    with capture_logs() as made.logs:
        yield made


@pytest.mark.looptime
async def test_much_that_goes_is_held_whole_and_said_once(many: World) -> None:
    less = config(*KEYS[:7], OLD)
    await many.write(less)
    await pass_time(10 * POLL_S)
    await many.write(replace(less, networks=RULES))
    (line,) = many.logs
    assert (line["event"], line["count"], line["of"]) == ("reload-held", 5, 12)
    assert line["services"] == sorted(str(key) for key in KEYS[7:])
    assert line["digest"] == digest(set(KEYS[7:]))
    assert f"`acceptRemoved: {line['digest']}`" in line["remedy"]
    assert many.applied == []
    assert many.in_doubt


@pytest.mark.looptime
async def test_it_is_applied_when_a_person_has_accepted_just_that(many: World) -> None:
    await many.write(config(*KEYS[:7]))
    said = many.logs[0]["digest"]
    await many.write(config(*KEYS[:6], accept_removed=said))
    assert many.events() == ["reload-held", "reload-held"]
    await many.write(config(*KEYS[:7], accept_removed=said))
    assert [len(change.removed) for _, change in many.applied] == [5]
    await many.write(config(*KEYS[2:7], accept_removed=said))
    assert many.events() == ["reload-held", "reload-held", "reloaded", "reloaded"]  # 2 of 7: few


@pytest.mark.looptime
async def test_mappings_that_come_back_end_the_hold(many: World) -> None:
    await many.write(config(*KEYS[:7]))
    await many.write(config(*KEYS[:10]))
    assert many.events() == ["reload-held", "reloaded"]
    assert [len(change.removed) for _, change in many.applied] == [2]
    assert not many.in_doubt


# --- what differs ---------------------------------------------------------------------------------


def changed(new: Config) -> set[ServiceKey]:
    return set(difference(config(KEY, OLD), new).changed)


def test_what_differs_is_told_by_mapping() -> None:
    other = ServiceMapping(OLD, mapping().ports, max_backends=7)
    assert changed(config(KEY, OLD)) == set()
    assert changed(config(KEY, OLD, accept_removed="abc")) == set()
    assert changed(config(KEY, mappings=(*config(KEY).mappings, other))) == {OLD}
    assert changed(config(KEY, OLD, networks=RULES)) == {KEY, OLD}
    assert changed(config(KEY, OLD, api=ApiLimits(burst=7))) == set()
    others = (SOURCE, SourceConfig("dns", ScriptedSource, Options()))
    assert changed(config(KEY, OLD, sources=others)) == set()
    slower = (SourceConfig(QUERY.source, ScriptedSource, Options(interval="60s")),)
    assert changed(config(KEY, OLD, sources=slower)) == {KEY, OLD}


# --- the file itself ------------------------------------------------------------------------------


async def test_a_file_is_read_again_only_once_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "registrar.yaml"
    reader = FileReader(read_outcome)
    for text in ("services: []\n", "servces: []\n"):
        file.write_text(text)
        first = await reader.read(file)
        assert await reader.read(file) is first
    assert isinstance(first, ConfigError)
    with pytest.raises(ConfigError) as caught:
        read_config(file)
    assert str(first) == str(caught.value)
    file.write_text("")
    with pytest.raises(ConfigError, match="the file is empty"):
        await reader.read(file)


async def test_what_was_read_at_the_start_is_read_again_only_if_it_changed_since(
    tmp_path: Path,
) -> None:
    file = tmp_path / "registrar.yaml"
    file.write_text("services: []\n")
    known = read_config(file)
    assert await outcomes(file, known).read(file) is known
    file.write_text("instance: other\nservices: []\n")
    found = await outcomes(file, known).read(file)
    assert isinstance(found, Config)
    assert found.instance == "other"
