"""Watches the configuration file, and applies each valid change of it: whole, or not at all.

Whatever it can't apply it reports once, and what was in force stays so.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import structlog

from registrar.config import MISSING, Config, read_config
from registrar.decide.reload import Removal, to_accept
from registrar.document import unreadable
from registrar.errors import ConfigError, Problem, RegistrarError
from registrar.file_reader import FileReader
from registrar.model import ApiLimits, Periodic, ServiceKey, ServiceMapping
from registrar.source import FileWatcher

POLL_S = 10.0
"""Where the filesystem doesn't tell of changes, they are seen so late."""

SECOND_LOOK_S = 1.0
"""A file that isn't there is looked for again: an editor may be about to put it back."""

LOGGED = 10

Outcome = Config | ConfigError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """The mappings in which two configurations differ."""

    added: frozenset[ServiceKey] = frozenset()
    removed: frozenset[ServiceKey] = frozenset()
    changed: frozenset[ServiceKey] = frozenset()


class Running(Protocol):
    """The program, as far as its configuration goes."""

    def apply(self, config: Config, change: Change) -> None:
        """Go over to another configuration at once; raise, and nothing is changed."""
        ...

    def doubt(self) -> None:
        """Take nothing away until the next `apply`: the file says something else by now."""
        ...

    def reloaded(self, outcome: str) -> None:
        """Take note that a change was `applied`, has `failed` or is `held`."""
        ...


class Reader(Protocol):
    """Reads the file, and again only once it has changed and is still."""

    async def read(self, path: Path) -> Outcome:
        """Return what the file says, or what is wrong with it. Raise OSError or ConfigError."""
        ...


class Reload:
    """Keeps what is in force the same as the file."""

    def __init__(
        self, file: Path, config: Config, files: FileWatcher, reader: Reader, running: Running
    ) -> None:
        self._file = file
        self._in_force = config
        self._files = files
        self._reader = reader
        self._running = running
        self._hint = asyncio.Event()
        self._seen: Outcome | None = None
        self._trouble: str | None = None

    async def run(self) -> None:
        """Watch the file, until cancelled."""
        leave = self._files.listen([self._file.absolute()], self._hint.set)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._hint.wait()
                self._hint.clear()
                await self._look()
        finally:
            leave()

    async def _look(self) -> None:
        try:
            found = await self._read()
            if found is self._seen:
                return
            if isinstance(found, ConfigError):
                self._fail(str(found))
            else:
                self._take(found)
        except Exception as error:  # noqa: BLE001  a plugin that can't be made must end nothing
            self._fail(str(_not_applied(self._file, error)))
        else:
            self._seen = found

    async def _read(self) -> Outcome:
        found = await self._attempt()
        if isinstance(found, ConfigError) and not has_place(found):
            await asyncio.sleep(SECOND_LOOK_S)
            found = await self._attempt()
        return found

    async def _attempt(self) -> Outcome:
        try:
            return await self._reader.read(self._file)
        except ConfigError as error:
            return error
        except OSError as error:
            return unreadable(self._file, error, MISSING)

    def _take(self, config: Config) -> None:
        old = self._in_force
        if config == old and self._trouble is None:
            return
        if config.instance != old.instance:
            self._fail(str(_other_instance(self._file, old.instance, config.instance)))
            return
        if config.election != old.election:
            self._fail(str(_other_election(self._file)))
            return
        if config.admin != old.admin:
            self._fail(str(_other_admin(self._file)))
            return
        change = difference(old, config)
        removal = to_accept(_keys(old), _keys(config), config.accept_removed)
        if removal is not None:
            self._hold(removal)
            return
        self._running.apply(config, change)
        self._in_force = config
        self._trouble = None
        self._running.reloaded("applied")
        log.info(
            "reloaded",
            added=len(change.added),
            removed=len(change.removed),
            changed=len(change.changed),
        )

    def _fail(self, error: str) -> None:
        if self._is_new(error):
            self._running.reloaded("failed")
            log.warning("reload-failed", error=error)

    def _hold(self, removal: Removal) -> None:
        if self._is_new(removal.digest):
            self._running.reloaded("held")
            log.warning(
                "reload-held",
                count=len(removal.keys),
                of=removal.of,
                services=sorted(map(str, removal.keys))[:LOGGED],
                digest=removal.digest,
                remedy=f"restore the mappings, or write `acceptRemoved: {removal.digest}`",
            )

    def _is_new(self, trouble: str) -> bool:
        is_new = trouble != self._trouble
        self._trouble = trouble
        self._running.doubt()
        return is_new


def outcomes(file: Path, config: Config) -> FileReader[Outcome]:
    """Return what reads a file, where `config` is what has been read of it already."""
    reader = FileReader(read_outcome)
    if config.signature is not None:  # else it is read twice at every start
        reader.know(file, config.signature, config)
    return reader


def read_outcome(file: Path) -> Outcome:
    """Return what a file says, or what is wrong in it. Raise ConfigError where it can't be read."""
    try:
        return read_config(file)
    except ConfigError as error:
        if not has_place(error):
            raise
        return error


def has_place(error: ConfigError) -> bool:
    """Whether it is about what stands in the file, and so stays until the file changes."""
    return any(problem.line is not None for problem in error.problems)


def difference(old: Config, new: Config) -> Change:
    """Return the mappings in which two configurations differ: all, if in what is common to all."""
    before, after = _by_key(old), _by_key(new)
    sources = {source.name: source for source in old.sources}
    others = {source.name for source in new.sources if sources.get(source.name) != source}
    is_all = _common(old) != _common(new)
    return Change(
        frozenset(after.keys() - before.keys()),
        frozenset(before.keys() - after.keys()),
        frozenset(
            key
            for key in before.keys() & after.keys()
            if is_all or before[key] != after[key] or _asks(after[key], others)
        ),
    )


def _common(config: Config) -> Config:
    return replace(
        config,
        sources=(),
        mappings=(),
        accept_removed=None,
        instance_is_given=True,
        resync=Periodic(),
        api=ApiLimits(),
    )


def _asks(mapping: ServiceMapping, sources: set[str]) -> bool:
    return any(query.source in sources for port in mapping.ports for query in port.queries)


def _by_key(config: Config) -> dict[ServiceKey, ServiceMapping]:
    return {mapping.key: mapping for mapping in config.mappings}


def _keys(config: Config) -> frozenset[ServiceKey]:
    return frozenset(mapping.key for mapping in config.mappings)


def _not_applied(file: Path, error: Exception) -> Problem:
    # Of others only the type: what a plugin did not mean to be read may hold a secret.
    words = str(error) if isinstance(error, RegistrarError) else type(error).__name__
    remedy = "check the options of the changed sources; if they are right, report it with the log"
    return Problem(file, f"can't be applied: {words}", remedy)


def _other_instance(file: Path, old: str, new: str) -> Problem:
    return Problem(
        file,
        f"`instance` can't change while registrar runs: it is {old!r}, the file says {new!r}",
        f"restart registrar, or write {old!r} again",
    )


def _other_admin(file: Path) -> Problem:
    return Problem(
        file,
        "`admin` can't change while registrar runs",
        "restart registrar, or restore it; what the token's file holds may change at any time",
    )


def _other_election(file: Path) -> Problem:
    return Problem(
        file,
        "`leaderElection` can't change while registrar runs, for replicas must agree on it",
        "restart all replicas, or restore it",
    )
