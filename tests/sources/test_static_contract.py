"""The static source through the tests that every source must pass."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from registrar import file_reader, files
from registrar.model import Backend
from registrar.testing import SourceContract, dropped, error
from registrar.threads import in_thread as files_in_thread
from sources.static import StaticSource

T = TypeVar("T")

GOOD = "10.20.0.1:80"


class TestStatic(SourceContract):
    source_class = StaticSource
    query = {"group": "web"}

    hostile = {
        "empty": error("", "holds no groups"),
        "half-written": error('{"web": ["10.20.0.1:80", ', "not well-formed"),
        "not UTF-8": error(b"web: [10.20.0.1]\n# caf\xe9", "not UTF-8"),
        "not a list": error("web: 10.20.0.1:80", "not a list"),
        "another group": error("wbe: []", "no group 'web'"),
        "deep": error("web: " + "[" * 5000, "nested more than"),
        "a name": dropped(f"web: [{GOOD}, db1:80]", "not an IP address"),
        "wrong types": dropped(f"web: [{GOOD}, 5, [], null, {{address: 7}}]", count=4),
        "no such port": dropped(f"web: [{GOOD}, 10.20.0.2:65536]", "too large"),
    }
    invalid_options = {
        "{}": "1:1: the key 'files' is missing",
        "{files: a.yaml}": "1:9: files: 'a.yaml' is not a list",
        "{files: []}": "1:9: files: a list is too short",
        "{files: [a.yaml], interval: 5}": "1:29: interval: 5 is not a duration",
    }
    invalid_queries = {"{group: 5}": "1:9: group: 5 is not text"}

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(file_reader, "SETTLE_S", 0.005)
        monkeypatch.setattr(files, "in_thread", self._in_thread)

    async def set_up(self) -> None:
        self._goes_on = asyncio.Event()
        self._goes_on.set()

    def options(self) -> dict[str, object]:
        return {"files": ["backends.json"]}

    async def serve(self, backends: Sequence[Backend]) -> None:
        self._goes_on.set()
        self._write(json.dumps({"web": [_record(one) for one in backends]}))

    async def fail(self) -> None:
        (self.base / "backends.json").unlink(missing_ok=True)

    async def hang(self) -> None:
        self._write("{}")
        self._goes_on.clear()

    async def serve_hostile(self, answer: str | bytes) -> None:
        self._write(answer)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        await self._goes_on.wait()  # as long as the filesystem hangs
        return await files_in_thread(call)

    def _write(self, content: str | bytes) -> None:
        new = self.base / "new"
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        new.rename(self.base / "backends.json")


def _record(backend: Backend) -> dict[str, object]:
    return {"address": str(backend.address), "port": backend.port}
