"""Turns YAML text into plain values: in one pass over its events, and within bounds.

Scalars are read by YAML 1.2's core schema: `no` and `10:20` are text. So is what was text to YAML
1.1, such as `1e3`, for programs write it without quotes; but not in JSON. Duplicate keys, custom
tags and runaway aliases are errors. It never evaluates anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, cast

import yaml

from registrar.errors import ConfigError, Problem

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"

MAX_VALUES = 2_000_000
"""More values than this after aliases are followed is taken for an attack, or for a mistake."""

MAX_NODES = 1_000_000
"""Keys and values as they are written."""

MAX_DEPTH = 100
"""So deep may values be nested, with aliases followed."""

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"([-+]?[0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
_JSON_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_NUMERIC = frozenset("-+.0123456789")
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NO_TAG = "!"
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset((_NO_TAG, _TAG + "str"))
_PLAIN_TAGS = _TEXT_TAGS | frozenset(
    _TAG + kind
    for kind in ("int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")
)

_SPLIT = "split the file"
_WRITE_OUT = "write the value out"


class Mark(Protocol):
    """A place in a text, from 0."""

    line: int
    column: int


def place_of(mark: Mark | None) -> tuple[int, int]:
    """Return line and column, from 1; those of the beginning where there is no mark."""
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def value_of(text: str, file: Path) -> Value:
    """Return the value of YAML text that stands in `file`, None where there is none in it.

    Raise ConfigError if it is malformed, too deep, or too much. What an alias stands for is the
    very same object as at its anchor.
    """
    try:
        return _Reader(text, file).read()
    except yaml.YAMLError as error:
        raise ConfigError(_malformed(error, file)) from None


def refuse_huge(text: str, file: Path) -> None:
    """Raise ConfigError for YAML too deep or with too many values, YAMLError for what is none."""
    for _ in _events(text, file):
        pass


def _events(text: str, file: Path) -> Iterator[yaml.Event]:
    # The parser knows no bounds, and whoever takes its events in recurses.
    depth = nodes = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
            if nodes > MAX_NODES:
                raise _error(file, event, f"more than {MAX_NODES:,} keys and values", _SPLIT)
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise _too_deep(file, event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        yield event


def _too_deep(file: Path, event: yaml.Event) -> ConfigError:
    return _error(file, event, f"nested more than {MAX_DEPTH} deep", "write it flatter")


def _error(file: Path, event: yaml.Event, message: str, remedy: str) -> ConfigError:
    return ConfigError(Problem(file, message, remedy, *place_of(event.start_mark)))


def _malformed(error: yaml.YAMLError, file: Path) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    message = f"not well-formed YAML: {what}"
    return Problem(file, message, "correct it", *place_of(mark))


@dataclass(slots=True)
class _Anchored:
    """What an anchor stands for: its event, its value, how many values that is and how deep.

    It is open until its value is complete.
    """

    event: yaml.NodeEvent
    value: Value = None
    size: int = 0
    height: int = 0
    is_open: bool = True


class _Reader:
    """Turns the events of one file into values."""

    def __init__(self, text: str, file: Path) -> None:
        self._file = file
        self._events = _events(text, file)
        self._float = _JSON_FLOAT if file.suffix == ".json" else _FLOAT
        self._anchors: dict[str | None, _Anchored] = {}
        self._count = 0  # of values, those that aliases repeat among them
        self._depth = 0
        self._deepest = 0  # of what is open, or was since that began

    def read(self) -> Value:
        value: Value = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    message = "a second document begins"
                    raise self._error(event, message, "keep one in the file")
                value = self._value(next(self._events))
        return value

    def _value(self, event: yaml.Event) -> Value:
        self._add(1, event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.AliasEvent):
            return self._repeated(event)
        return self._collection(cast("yaml.CollectionStartEvent", event))

    def _add(self, count: int, event: yaml.Event) -> None:
        self._count += count
        if self._count > MAX_VALUES:
            raise self._error(event, f"more than {MAX_VALUES:,} values", _SPLIT)

    def _scalar(self, event: yaml.ScalarEvent) -> Value:
        self._refuse_tag(event)
        is_text = event.style or event.tag in _TEXT_TAGS
        value = event.value if is_text else self._plain(event.value)
        if event.anchor is not None:
            self._anchor(event, _Anchored(event, value, is_open=False))
        return value

    def _plain(self, text: str) -> Value:
        """Return what an unquoted scalar stands for."""
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if text[0] not in _NUMERIC:
            return text
        if _INTEGER.fullmatch(text):
            return int(text) if len(text) < 20 else text
        if self._float.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        return text

    def _repeated(self, event: yaml.AliasEvent) -> Value:
        anchored = self._anchored(event)
        if anchored.is_open:
            message = "an alias that contains itself"
            raise self._error(anchored.event, message, _WRITE_OUT)
        self._add(anchored.size, event)
        self._deepest = max(self._deepest, self._depth + anchored.height)
        if self._deepest > MAX_DEPTH:
            raise _too_deep(self._file, event)
        return anchored.value

    def _collection(self, event: yaml.CollectionStartEvent) -> Value:
        self._refuse_tag(event)
        anchored = _Anchored(event)
        if event.anchor is not None:
            self._anchor(event, anchored)
        count, deepest = self._count, self._deepest
        self._depth += 1
        self._deepest = self._depth
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        anchored.value = self._mapping() if is_mapping else self._sequence()
        self._depth -= 1
        anchored.size = self._count - count
        anchored.height = self._deepest - self._depth
        anchored.is_open = False
        self._deepest = max(deepest, self._deepest)
        return anchored.value

    def _sequence(self) -> Value:
        return [self._value(event) for event in self._until(yaml.SequenceEndEvent)]

    def _mapping(self) -> Value:
        found: dict[str, Value] = {}
        lines: dict[str, int] = {}
        for event in self._until(yaml.MappingEndEvent):
            key = self._key(event)
            line, _ = place_of(event.start_mark)
            if key in found:
                message = f"the key {key!r} stands twice, first in line {lines[key]}"
                raise self._error(event, message, "keep one of them")
            lines[key] = line
            found[key] = self._value(next(self._events))
        return found

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        while not isinstance(event := next(self._events), end):
            yield event

    def _key(self, event: yaml.Event) -> str:
        if isinstance(event, yaml.AliasEvent):
            anchored = self._anchored(event).event
            if isinstance(anchored, yaml.ScalarEvent):
                return anchored.value
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
            return event.value
        raise self._error(event, "a key that is not text", "write a plain name")

    def _anchor(self, event: yaml.NodeEvent, anchored: _Anchored) -> None:
        first = self._anchors.setdefault(event.anchor, anchored)
        if first is not anchored:
            line, _ = place_of(first.event.start_mark)
            message = f"the anchor &{event.anchor} stands twice, first in line {line}"
            raise self._error(event, message, "rename one of them")

    def _anchored(self, event: yaml.AliasEvent) -> _Anchored:
        found = self._anchors.get(event.anchor)
        if found is None:
            message = f"no anchor &{event.anchor} stands before this alias"
            raise self._error(event, message, _WRITE_OUT)
        return found

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None and event.tag not in _PLAIN_TAGS:
            message = f"the tag {event.tag} is not known here"
            raise self._error(event, message, "remove the tag")

    def _error(self, event: yaml.Event, message: str, remedy: str) -> ConfigError:
        return _error(self._file, event, message, remedy)
