"""Backends that a person or a program writes into files: groups of our own, or file_sd lists.

A file that is missing, empty, half-written or malformed is not knowing; `[]` is an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated

from pydantic import Field

from registrar.errors import ConfigError, SourceError
from registrar.model import Answer, Backend, Dropped
from registrar.source import (
    Context,
    Count,
    Document,
    Duration,
    HostName,
    IPAddress,
    Options,
    Part,
    PortNumber,
    Query,
    Settings,
    Source,
    Text,
    Value,
    read_document,
    read_settings,
    shown,
)

SETTLE_S = 0.1
"""A changed file is read when it has been still for so long: its writer may not be done."""
SETTLE_LOOKS = 50

_Signature = tuple[int, int, int]


class StaticOptions(Options):
    """Which files are read: paths, or globs of which every match is a part of its own."""

    files: Annotated[tuple[Text, ...], Field(min_length=1)]
    interval: Duration = 10.0


class StaticQuery(Query):
    """One group of the files; without it, all that they hold."""

    group: Text | None = None


class _Record(Settings):
    address: IPAddress
    port: PortNumber | None = None
    weight: Count = 1
    zone: Text | None = None
    hostname: HostName | None = None


class _TargetGroup(Settings):
    """An entry of Prometheus' file_sd format; its labels say nothing that registrar uses."""

    targets: tuple[Text, ...]
    labels: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was read: its groups by name, or the one nameless group of a file_sd list."""

    signature: _Signature
    groups: Mapping[str | None, Answer]


class StaticSource(Source[StaticOptions, StaticQuery]):
    """Reads files, and reads them again as soon as they change."""

    options_class = StaticOptions
    query_class = StaticQuery

    def __init__(self, options: StaticOptions, context: Context) -> None:
        super().__init__(options, context)
        self._files: dict[Path, _File] = {}
        self._reading: dict[Path, asyncio.Future[_File]] = {}

    async def split(self, query: StaticQuery) -> Sequence[Part[StaticQuery]]:
        """Return a part for each file. A glob that matches nothing is not knowing."""
        paths = await self.context.in_thread(self._expand)
        return tuple(Part(query, str(path)) for path in paths)

    async def discover(self, part: Part[StaticQuery]) -> Answer:
        """Return what one file says for the query."""
        path = Path(part.name)
        return await self._select(path, await self._load(path), part.query.group)

    async def watch(self, part: Part[StaticQuery]) -> AsyncGenerator[Answer | SourceError]:
        """Yield the file's answer at every change."""
        async for _ in self.context.files.changes([Path(part.name)]):
            try:
                yield await self.discover(part)
            except SourceError as error:
                yield error

    async def watch_split(
        self, query: StaticQuery
    ) -> AsyncGenerator[Sequence[Part[StaticQuery]] | SourceError]:
        """Yield the files whenever one may have come or gone."""
        patterns = [self.context.base / pattern for pattern in self.options.files]
        async for _ in self.context.files.changes(patterns):
            try:
                yield await self.split(query)
            except SourceError as error:
                yield error

    async def warnings(self, query: StaticQuery) -> Sequence[str]:
        """Return what is wrong with the files now, and with single records in them."""
        found: list[str] = []
        try:
            for part in await self.split(query):
                try:
                    answer = await self.discover(part)
                    found += [drop.reason for drop in answer.dropped]
                except SourceError as error:
                    found.append(str(error))
        except SourceError as error:
            found.append(str(error))
        return found

    def _expand(self) -> list[Path]:
        found: dict[Path, None] = {}
        for pattern in self.options.files:
            path = str(self.context.base / pattern)
            # Path.glob can't take a pattern that is absolute.
            matches = sorted(glob(path, recursive=True)) if has_magic(pattern) else [path]  # noqa: PTH207
            if not matches:
                raise SourceError(f"no file matches {pattern!r}")
            found.update(dict.fromkeys(Path(match) for match in matches))
        return list(found)

    async def _select(self, path: Path, file: _File, group: str | None) -> Answer:
        if group is None:
            answers = list(file.groups.values())
            return Answer(
                tuple(b for answer in answers for b in answer.backends),
                tuple(d for answer in answers for d in answer.dropped),
            )
        if group in file.groups:
            return file.groups[group]
        # Absent here is an answer only if the group exists elsewhere: else its name is wrong.
        for other in await self.context.in_thread(self._expand):
            if other != path and group in (await self._load(other)).groups:
                return Answer(())
        names = ", ".join(sorted(name for name in file.groups if name)) or "none"
        raise SourceError(
            f"{path}: no group {group!r} (groups: {names}); write '{group}: []' for none"
        )

    async def _load(self, path: Path) -> _File:
        # One reader a file: a hung filesystem costs one thread, and all queries share the work.
        # What began before we ask may have missed the change that we ask about.
        if (earlier := self._reading.get(path)) is not None:
            await asyncio.wait([earlier])
        reading = self._reading.get(path)
        if reading is None:
            reading = self._reading[path] = asyncio.ensure_future(self._read(path))
            reading.add_done_callback(lambda _: self._reading.pop(path, None))
        return await asyncio.shield(reading)

    async def _read(self, path: Path) -> _File:
        signature = await self.context.in_thread(lambda: _signature(path))
        known = self._files.get(path)
        if known is not None and known.signature == signature:
            return known
        for _ in range(SETTLE_LOOKS):
            before = signature
            await asyncio.sleep(SETTLE_S)
            signature = await self.context.in_thread(lambda: _signature(path))
            if signature == before:
                break
        else:
            raise SourceError(f"{path}: is being written without end")
        groups = await self.context.in_thread(lambda: _parse_file(path))
        self._files[path] = _File(signature, groups)
        return self._files[path]

    async def aclose(self) -> None:
        """End the reading that is under way."""
        for reading in list(self._reading.values()):
            reading.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)


def _signature(path: Path) -> _Signature:
    try:
        status = path.stat()
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise SourceError(f"{path}: {reason}") from None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _parse_file(path: Path) -> dict[str | None, Answer]:
    try:
        document = read_document(path)
        if isinstance(document.value, list):
            return {None: _file_sd(document, document.value)}
        if isinstance(document.value, dict) and document.value:
            return {name: _group(document, name, v) for name, v in document.value.items()}
    except ConfigError as error:
        raise SourceError(str(error.problems[0])) from None
    raise SourceError(f"{path}: holds no groups; write 'NAME: [ADDRESS:PORT, ...]'")


def _group(document: Document, name: str, value: Value) -> Answer:
    if not isinstance(value, list):
        problem = document.problem(
            (name,), f"group {name!r} is not a list", "write '[]' for a group without backends"
        )
        raise ConfigError(problem)
    return _answer(document, [((name, index), item) for index, item in enumerate(value)])


def _file_sd(document: Document, value: Sequence[Value]) -> Answer:
    records: list[tuple[tuple[str | int, ...], Value]] = []
    for index, item in enumerate(value):
        entry = read_settings(_TargetGroup, document, (index,), item)
        records += [((index, "targets", i), target) for i, target in enumerate(entry.targets)]
    return _answer(document, records)


def _answer(document: Document, records: Sequence[tuple[tuple[str | int, ...], Value]]) -> Answer:
    backends: list[Backend] = []
    dropped: list[Dropped] = []
    for path, value in records:
        try:
            backends.append(_backend(document, path, value))
        except ConfigError as error:
            dropped.append(Dropped(shown(value), str(error.problems[0])))
    return Answer(tuple(backends), tuple(dropped))


def _backend(document: Document, path: tuple[str | int, ...], value: Value) -> Backend:
    if isinstance(value, str):
        value = _split_port(value)
    record = read_settings(_Record, document, path, value)
    return Backend(record.address, record.port, record.weight, record.zone, record.hostname)


def _split_port(text: str) -> Value:
    """Return `10.20.1.1:80`, `[2001:db8::1]:80` or a bare address as a record."""
    host, colon, port = text.rpartition(":")
    if text.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif not colon or _is_ipv6(text):
        return {"address": text}
    return {"address": host, "port": int(port) if port.isascii() and port.isdigit() else port}


def _is_ipv6(text: str) -> bool:
    try:
        return isinstance(ip_address(text), IPv6Address)
    except ValueError:
        return False
