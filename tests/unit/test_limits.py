"""What is larger than anything that is meant is refused before it costs much."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from registrar import document, records, yaml_values
from registrar.cluster import client as cluster
from registrar.cluster.client import SERVICES, Client, Scope
from registrar.cluster.known import number
from registrar.cluster.transport import Reply, Request
from registrar.document import parse_document, read_document
from registrar.errors import ClusterBusy, ConfigError, SourceError
from sources.consul.records import Reading, read_instances
from sources.http import _read
from sources.static import _read_groups

READING = Reading(None, "up", "down", None)


class Said:
    """A way to an API server that says what a test gives it."""

    server = "https://cluster.example"

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks
        self.status, self.reason = 200, "OK"
        self.headers: Mapping[str, str] = {}
        self.taken = 0

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[Reply]:
        del request
        yield self

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.taken += len(chunk)
            yield chunk

    async def aclose(self) -> None:
        """Nothing is open."""


async def lines(*chunks: bytes) -> Sequence[bytes]:
    said = Said(*chunks)
    async with Client(said).watch(SERVICES, Scope(), "1", 60) as found:
        return [line async for line in found]


def test_a_version_that_is_no_number_is_older_than_any() -> None:
    assert [number(text) for text in ("7", "", "x", "²", "-7", "9" * 5000)] == [7, 0, 0, 0, 0, 0]
    assert number("18446744073709551615") == 2**64 - 1


# --- files ---------------------------------------------------------------------------------------


def test_a_file_is_not_read_further_than_any_is_long(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(document, "MAX_BYTES", 100)
    file = tmp_path / "a.yaml"
    file.write_text("a: " + "x" * 97)
    assert read_document(file).value == {"a": "x" * 97}
    file.write_text("a: " + "x" * 98)
    with pytest.raises(ConfigError, match="larger than 100 bytes; check the path"):
        read_document(file)
    with pytest.raises(ConfigError, match="larger than 100 bytes"):
        read_document(Path("/dev/zero"))


def test_no_more_values_are_made_than_any_file_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_values, "MAX_NODES", 5)
    assert parse_document("a: [b, c]", Path("a.yaml")).value == {"a": ["b", "c"]}

    with pytest.raises(ConfigError, match=r"a\.yaml:1:11: more than 5 keys and values"):
        parse_document("a: [b, c, d]", Path("a.yaml"))


def test_a_merge_key_merges_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("web: [{<<: {address: 10.20.0.1}, port: 80}]")
    (answer,) = _read_groups(file).values()
    assert not answer.backends
    assert "'address' is missing" in answer.dropped[0].reason


def test_the_place_of_a_problem_is_looked_up_and_not_searched_for() -> None:
    found = parse_document("\n".join(f"g{n}: [x]" for n in range(1000)), Path("a.yaml"))
    searched = 0

    class Counted(list[Any]):
        def __iter__(self) -> Any:  # noqa: ANN401  of anything
            nonlocal searched
            searched += 1
            return super().__iter__()

    assert found._root is not None  # noqa: SLF001  there is no other way to count
    found._root.value = Counted(found._root.value)  # noqa: SLF001  as above
    for n in range(1000):
        assert found.place((f"g{n}", 0)) == (n + 1, len(f"g{n}: [x"))
    assert searched == 1


def test_a_list_of_too_many_records_is_not_knowing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(records, "MOST_RECORDS", 2)
    file = tmp_path / "a.yaml"
    file.write_text("web: [10.20.0.1, 10.20.0.2, 10.20.0.3]")
    with pytest.raises(ConfigError, match="more than 2 records"):
        _read_groups(file)


# --- answers -------------------------------------------------------------------------------------


def test_an_answer_of_countless_small_values_is_not_even_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "MOST_VALUES", 10)
    body = b"[" + b"{}," * 11 + b"{}]"
    with pytest.raises(SourceError, match="more than 10 values"):
        read_instances(body, READING)
    with pytest.raises(SourceError, match="more than 10 values"):
        _read(body)


def test_a_list_of_too_many_instances_is_not_knowing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_RECORDS", 2)
    with pytest.raises(SourceError, match="more than 2 records"):
        read_instances(b"[1, 2, 3]", READING)


# --- the API server ------------------------------------------------------------------------------


async def test_lines_come_whole_however_they_are_cut() -> None:
    assert await lines(b'{"a', b'": 1}\n{"b"', b": 2}\n\n", b"\n{}", b"\nrest") == [
        b'{"a": 1}',
        b'{"b": 2}',
        b"{}",
    ]


async def test_a_line_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "MOST_LINE_BYTES", 10)
    with pytest.raises(ClusterBusy, match="longer than 10 bytes"):
        await lines(b"12345", b"67890", b"1", b"\n")


async def test_an_answer_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "MOST_BYTES", 10)
    said = Said(*[b" " * 4] * 1000)
    with pytest.raises(ClusterBusy, match="larger than 10 bytes"):
        await Client(said).get(SERVICES, "shop", "web")
    assert said.taken == 12


async def test_what_cannot_be_read_is_the_error_that_is_declared() -> None:
    for body in (b"[" * 5000, b'{"metadata": {"name": "\xff"}}', b'{"x": ' * 5000, b"", b"null"):
        with pytest.raises(ClusterBusy, match="can't be read"):
            await Client(Said(body)).get(SERVICES, "shop", "web")
