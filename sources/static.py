"""Backends that a person or a program writes into files: groups of our own, or file_sd lists.

A file that is missing, empty, half-written or malformed is not knowing; `[]` is an answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from registrar.errors import ConfigError, SourceError
from registrar.model import Answer
from registrar.source import (
    Context,
    Document,
    Duration,
    FileReader,
    Options,
    Part,
    Query,
    Settings,
    Source,
    Text,
    Value,
    read_document,
    read_records,
    read_settings,
)


class StaticOptions(Options):
    """Which files are read: paths, or globs of which every match is a part of its own."""

    files: Annotated[tuple[Text, ...], Field(min_length=1)]
    interval: Duration = 300.0


class StaticQuery(Query):
    """One group of the files; without it, all that they hold."""

    group: Text | None = None


class _TargetGroup(Settings):
    """An entry of Prometheus' file_sd format; its labels say nothing that registrar uses."""

    targets: tuple[Any, ...]
    labels: Mapping[str, object] = {}


_Groups: TypeAlias = Mapping[str | None, Answer]
"""What a file holds: its groups by name, or the one nameless group of a file_sd list."""


class StaticSource(Source[StaticOptions, StaticQuery]):
    """Reads files, and reads them again as soon as they change."""

    options_class = StaticOptions
    query_class = StaticQuery
    confirm = None  # a person, or a program, wrote the file to be believed

    def __init__(self, options: StaticOptions, context: Context) -> None:
        super().__init__(options, context)
        self._files = FileReader(self._read)
        self._patterns = [context.base / pattern for pattern in options.files]
        is_glob = any(map(has_magic, options.files))
        self._fixed = None if is_glob else tuple(dict.fromkeys(self._patterns))

    def parts(self, query: StaticQuery) -> Sequence[Part[StaticQuery]] | None:
        """Return a part for each file, None where a glob says which."""
        if self._fixed is None:
            return None
        return tuple(Part(query, str(path)) for path in self._fixed)

    async def split(self, query: StaticQuery) -> Sequence[Part[StaticQuery]]:
        """Return a part for each file. A glob that matches nothing is not knowing."""
        return tuple(Part(query, str(path)) for path in await self._paths())

    async def discover(self, part: Part[StaticQuery]) -> Answer:
        """Return what one file says for the query."""
        path, group = Path(part.name), part.query.group
        groups = await self._load(path)
        if group is None:
            return _joined(groups.values())
        if group in groups:
            return groups[group]
        # Absent here is an answer only if the group exists elsewhere: else its name is wrong.
        if await self._is_in_any_file(group):
            return Answer(())
        if None in groups:
            raise SourceError(f"{path}: a file_sd list has no groups; leave out 'group: {group}'")
        names = ", ".join(sorted(name for name in groups if name)) or "none"
        raise SourceError(
            f"{path}: no group {group!r} (groups: {names}); write '{group}: []' for none"
        )

    def listen(self, part: Part[StaticQuery], changed: Callable[[], None]) -> Callable[[], None]:
        """Hint at every change of the file, or of a file that the group may be in."""
        elsewhere = self._patterns if part.query.group is not None else ()
        return self.context.files.listen([Path(part.name), *elsewhere], changed)

    def listen_split(self, query: StaticQuery, changed: Callable[[], None]) -> Callable[[], None]:
        """Hint at every file that may have come or gone."""
        del query
        return self.context.files.listen(self._patterns, changed)

    async def warnings(self, query: StaticQuery) -> Sequence[str]:
        """Return what is wrong with the files now, and with single records in them."""
        try:
            parts = await self.split(query)
        except SourceError as error:
            return (str(error),)
        found: list[str] = []
        for part in parts:
            try:
                answer = await self.discover(part)
                found += [drop.reason for drop in answer.dropped]
            except SourceError as error:
                found.append(str(error))
        return found

    async def aclose(self) -> None:
        """End the reading that is under way."""
        await self._files.aclose()

    async def _paths(self) -> Sequence[Path]:
        if self._fixed is None:
            return await self.context.in_thread(self._expand)
        return self._fixed

    def _expand(self) -> list[Path]:
        base = self.context.base
        found: dict[Path, None] = {}
        for pattern in self.options.files:
            matches = [base / pattern]
            if has_magic(pattern):
                # Path.glob can't take a pattern that is absolute.
                names = sorted(glob(pattern, root_dir=base, recursive=True))  # noqa: PTH207  as above
                # Path.is_dir raises where the directory may be listed and not entered.
                matches = [
                    base / name
                    for name in names
                    if not os.path.isdir(base / name)  # noqa: PTH112  as above
                ]
            if not matches:
                raise SourceError(f"no file matches {pattern!r}")
            found.update(dict.fromkeys(matches))
        return list(found)

    async def _is_in_any_file(self, group: str) -> bool:
        paths = await self._paths()
        # What was read already is enough to know that the name is right.
        if any(group in (self._files.last(path) or ()) for path in paths):
            return True
        errors: list[SourceError] = []
        for path in paths:
            try:
                if group in await self._load(path):
                    return True
            except SourceError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return False

    def _read(self, path: Path) -> _Groups:
        """Return what a file holds, and of each group that is as it was the same answer again."""
        before = self._files.last(path) or {}
        groups = _read_groups(path)
        return {
            name: before[name] if before.get(name) == one else one for name, one in groups.items()
        }

    async def _load(self, path: Path) -> _Groups:
        try:
            return await self._files.read(path)
        except FileNotFoundError:
            raise SourceError(f"{path}: there is no such file") from None
        except OSError as error:
            raise SourceError(
                f"{path}: can't be read: {error.strerror}; check its type and permissions"
            ) from None
        except ConfigError as error:
            raise SourceError(str(error.problems[0])) from None


# --- what is in a file -------------------------------------------------------------------------


def _read_groups(path: Path) -> _Groups:
    document = read_document(path)
    if isinstance(document.value, list):
        return {None: _file_sd(document, document.value)}
    if isinstance(document.value, dict) and document.value:
        return {name: _group(document, name, value) for name, value in document.value.items()}
    raise ConfigError(document.problem((), "holds no groups", "write 'NAME: [ADDRESS:PORT, ...]'"))


def _group(document: Document, name: str, value: Value) -> Answer:
    if not isinstance(value, list):
        problem = document.problem(
            (name,), f"group {name!r} is not a list", "write '[]' for a group without backends"
        )
        raise ConfigError(problem)
    return read_records(document, (name,), value)


def _file_sd(document: Document, value: Sequence[Value]) -> Answer:
    return _joined(
        read_records(
            document,
            (index, "targets"),
            read_settings(_TargetGroup, document, (index,), item).targets,
        )
        for index, item in enumerate(value)
    )


def _joined(answers: Iterable[Answer]) -> Answer:
    answers = tuple(answers)
    return Answer(
        tuple(backend for answer in answers for backend in answer.backends),
        tuple(drop for answer in answers for drop in answer.dropped),
    )
