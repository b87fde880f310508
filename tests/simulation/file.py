"""The configuration's file: what it says, and whoever watches and reads it.

It must never be read as it is being written: that is for the tests of FileReader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from pathlib import Path

from registrar.config import Config
from registrar.errors import ConfigError, Problem
from registrar.reload import Outcome

PATH = Path("registrar.yaml")


class ConfigFile:
    """Stands for Files and FileReader both; `wanted` is what the file ought to say by now."""

    def __init__(self, wanted: Callable[[], Config]) -> None:
        self._wanted = wanted
        self._says: Outcome | None = None
        self._numbers = count()
        self._listeners: dict[int, Callable[[], None]] = {}

    def write(self) -> Config:
        """Have the file say what it ought to."""
        config = self._wanted()
        self._put(config)
        return config

    def spoil(self, words: str) -> None:
        """Have the file say something that is wrong."""
        self._put(ConfigError(Problem(PATH, words, "mend it", 1, 1)))

    def listen(self, paths: Iterable[Path], changed: Callable[[], None]) -> Callable[[], None]:
        """As FileWatcher has it."""
        del paths
        listener = next(self._numbers)
        self._listeners[listener] = changed
        changed()
        return partial(self._listeners.__delitem__, listener)

    async def read(self, path: Path) -> Outcome:
        """As Reader has it."""
        del path
        assert self._says is not None
        return self._says

    async def aclose(self) -> None:
        """Do nothing: it outlives every process."""

    def _put(self, said: Outcome) -> None:
        self._says = said
        for changed in tuple(self._listeners.values()):
            changed()
