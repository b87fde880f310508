"""Valid documents with something wrong in them, which finds more than noise does."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from hypothesis import strategies as st

Json: TypeAlias = Any
Key: TypeAlias = "str | int"

DEEP = 5000
"""Deeper than any parser may follow."""

TOKENS = (
    b"\x00", b"\x1b[2J", b"\r\n", b"\n", b"\t", b"\xff\xfe", b"\xed\xa0\x80", b"\xc2\x85",
    b"\\ud800", b"\\u0000", b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true",
    b"NaN", b"-Infinity", b"1e999", b"-1", b"65536", b"9" * 5000, b"&a ", b"*a ", b"<<: *a",
    b"!!python/object:os.system ",
    b"!!binary ", b"--- ", b"...", b"%YAML 9.9", b"? ", b"| ", b"> ", b"#", b"'", b"fe80::1%eth0",
    b"::ffff:10.0.0.1", b"0x0a000001", b"010.0.0.1", b"10.0.0.1/8", b"[" * DEEP, b'{"a":' * DEEP,
    b"- " * DEEP, "\u202e".encode(), "\u0660".encode(), "\U0001f600".encode(),
)  # fmt: skip

ODD_TEXT = (
    "", " ", "\x00", "a\nb", "\x1b[2J\x1b]0;x\x07", "\u2028", "\u202e", "\U0001f600", "a" * 5000,
    "NaN", "-1", "9" * 5000, "\u0661", "1_0", "fe80::1%eth0", "2001:db8::1%\x1b[2J",
    "::ffff:10.0.0.1",
    "10.0.0.1:80", "[::1]:80", "127.0.0.1", "169.254.169.254", "*", "../../etc/passwd", "<script>",
    "Thu, 01 Jan 99999999999999999999 00:00:00 GMT", "2026-01-01T00:00:00",
    "2026-01-01T00:00:00Z",
)  # fmt: skip

ODD: tuple[Json, ...] = (
    None, True, False, 0, -1, 1, 65_535, 65_536, 2**31, 2**63, 2**64, 10**400, -0.0, 1.5, 1e308,
    float("nan"), float("inf"), [], {}, [[]], [None], {"": None}, {"a": {"a": {}}}, *ODD_TEXT,
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, examples: Sequence[bytes]) -> bytes:
    """Draw one of some documents, cut, doubled and sprinkled with what parsers stumble over."""
    data = draw(st.sampled_from(examples))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        to = draw(st.integers(at, min(len(data), at + 40)))
        piece = draw(
            st.one_of(
                st.just(b""),
                st.sampled_from(TOKENS),
                st.binary(max_size=4),
                st.just(data[at:to] * 2),
                st.sampled_from(examples),
            )
        )
        data = data[:at] + piece + data[to:]
    return data


@st.composite
def misshapen(draw: st.DrawFn, examples: Sequence[Json]) -> Json:
    """Draw one of some values with parts of it put in the place of others, gone, or odd."""
    value = copy.deepcopy(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(0, 4))):
        places = list(_places(value))
        if not places:
            return copy.deepcopy(draw(st.sampled_from(ODD)))
        holder, key = draw(st.sampled_from(places))
        _CHANGES[draw(st.sampled_from(sorted(_CHANGES)))](draw, holder, key, places)
    return value


def bodies(*examples: Json) -> st.SearchStrategy[bytes]:
    """Return a strategy of JSON documents: misshapen, mutated, or noise."""
    written = [json.dumps(one).encode() for one in examples]
    return st.one_of(
        misshapen(examples).map(lambda value: json.dumps(value).encode()),
        mutated(written),
        st.binary(max_size=60),
    )


def texts(*examples: str) -> st.SearchStrategy[str]:
    """Return a strategy of short texts: some that are valid, mutated; odd ones; noise."""
    written = [one.encode() for one in examples]
    return st.one_of(
        mutated(written).map(lambda data: data.decode(errors="surrogateescape")),
        st.sampled_from(ODD_TEXT),
        st.text(max_size=30),
    )


def _places(value: Json) -> list[tuple[Json, Key]]:
    found: list[tuple[Json, Key]] = []
    todo = [value]
    while todo:
        holder = todo.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                todo.append(holder[key])
    return found


def _odd(draw: st.DrawFn, holder: Json, key: Key, _places: list[tuple[Json, Key]]) -> None:
    holder[key] = copy.deepcopy(draw(st.sampled_from(ODD)))


def _gone(_draw: st.DrawFn, holder: Json, key: Key, _places: list[tuple[Json, Key]]) -> None:
    holder.pop(key)


def _another(draw: st.DrawFn, holder: Json, key: Key, places: list[tuple[Json, Key]]) -> None:
    other, name = draw(st.sampled_from(places))
    holder[key] = copy.deepcopy(other[name])


def _renamed(draw: st.DrawFn, holder: Json, key: Key, _places: list[tuple[Json, Key]]) -> None:
    if isinstance(holder, dict):
        holder[draw(st.sampled_from(ODD_TEXT))] = holder.pop(key)


_CHANGES: dict[str, Callable[[st.DrawFn, Json, Key, list[tuple[Json, Key]]], None]] = {
    "another": _another,
    "gone": _gone,
    "odd": _odd,
    "renamed": _renamed,
}
