"""What registrar lends a source: the directory of the configuration, news of files, threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

T = TypeVar("T")


class FileWatcher(Protocol):
    """Tells when files change, as soon as the filesystem tells."""

    def listen(self, paths: Iterable[Path], changed: Callable[[], None]) -> Callable[[], None]:
        """Have `changed` called once all is watched, and whenever a path may have changed.

        A path need not exist, and may be a pattern. A call is a hint to look, never the change
        itself. What is returned ends it.
        """
        ...


class InThread(Protocol):
    """Runs a blocking call, which may hang, without holding up anything else."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """Return what `call` returns."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What registrar lends a source.

    `base` is the directory that relative paths of the configuration start from.
    """

    base: Path
    files: FileWatcher
    in_thread: InThread
