"""Reads files, each again only once it has changed and is still."""

from __future__ import annotations

import asyncio
import errno
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from registrar.errors import ConfigError, Problem
from registrar.threads import in_thread

T = TypeVar("T")

SETTLE_S = 0.1
"""A changed file is read when it has been still for so long: its writer may not be done."""
SETTLE_LOOKS = 50

Signature = tuple[int, int, int, int]


class FileReader(Generic[T]):
    """Reads files by `parse`, each again only once it has changed and is still."""

    def __init__(self, parse: Callable[[Path], T]) -> None:
        self._parse = parse
        self._read: dict[Path, tuple[Signature, T]] = {}
        self._reading: dict[Path, asyncio.Future[T]] = {}

    def know(self, path: Path, signature: Signature, held: T) -> None:
        """Take what somebody else has read, with what the file was like before that."""
        self._read[path] = signature, held

    def last(self, path: Path) -> T | None:
        """Return what the file held when it was last read; None if it never was."""
        return self._read[path][1] if path in self._read else None

    async def read(self, path: Path) -> T:
        """Return what the file holds now. Raise OSError or what `parse` raises.

        Raise ConfigError if it doesn't come to rest.
        """
        # One reader a file: a hung filesystem costs one thread, and all who ask share the work.
        # What began before we ask may have missed the change that we ask about.
        if (earlier := self._reading.get(path)) is not None:
            await asyncio.wait([earlier])
        reading = self._reading.get(path)
        if reading is None:
            reading = self._reading[path] = asyncio.ensure_future(self._read_still(path))
            reading.add_done_callback(lambda _: self._reading.pop(path, None))
        return await asyncio.shield(reading)

    async def aclose(self) -> None:
        """End the reading that is under way."""
        under_way = list(self._reading.values())
        for reading in under_way:
            reading.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _read_still(self, path: Path) -> T:
        look = partial(in_thread, partial(file_signature, path))
        signature = await look()
        if path in self._read and self._read[path][0] == signature:
            return self._read[path][1]
        for _ in range(SETTLE_LOOKS):
            before = signature
            await asyncio.sleep(SETTLE_S)
            if (signature := await look()) != before:
                continue
            # What changes while it is read is perhaps read by half: neither that nor an error
            # that it gives is what the file says.
            try:
                held = await in_thread(partial(self._parse, path))
            except Exception:
                if (signature := await look()) == before:
                    raise
                continue
            if (signature := await look()) == before:
                self._read[path] = before, held
                return held
        raise ConfigError(Problem(path, "is written to without end", "rename a whole file"))


def file_signature(path: Path) -> Signature:
    """Return what differs once a regular file has changed. Raise OSError for anything else."""
    # The time of change can't be set: a copy may carry over all the rest.
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        # To open a pipe is to wait for a writer, who may never come.
        raise OSError(errno.EINVAL, "not a regular file")
    return status.st_ctime_ns, status.st_mtime_ns, status.st_size, status.st_ino
