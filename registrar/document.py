"""Reads a YAML or JSON file into plain values, and remembers where each of them stands.

Scalars are read by YAML 1.2's core schema: `no` and `10:20` are text. Duplicate keys, custom
tags and runaway aliases are errors. It never evaluates anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeAlias

import yaml

from registrar.errors import ConfigError, Problem

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"
Step: TypeAlias = str | int
_Pair: TypeAlias = tuple[yaml.Node, yaml.Node]

MAX_VALUES = 2_000_000
"""More values than this after aliases are followed is taken for an attack, or for a mistake."""

MAX_NODES = 1_000_000
"""Keys and values as they are written; each costs hundreds of bytes while a file is read."""

MAX_BYTES = 32 * 1024 * 1024

MAX_DEPTH = 100

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_ESCAPE = re.compile(
    r"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})|.)"
)
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    _TAG + kind
    for kind in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")
)


@dataclass(frozen=True)
class Document:
    """The value of a file, and the place of every part of it.

    Places are found in the text once one is asked for: to keep them takes many times its room.
    """

    file: Path
    value: Value
    _text: str | None = field(repr=False)
    _pairs: dict[int, dict[str, _Pair]] = field(default_factory=dict, repr=False, compare=False)

    def place(self, path: tuple[Step, ...], *, key: bool = False) -> tuple[int, int]:
        """Return line and column, from 1, of the value at `path`; with `key`, of its key.

        Where the path leads to nothing, it is the place of the last step that exists.
        """
        if self._root is None:
            return 1, 1
        mark_node = node = self._root
        for index, step in enumerate(path):
            last = index == len(path) - 1
            if isinstance(node, yaml.MappingNode):
                pair = self._pairs_of(node).get(str(step))
                if pair is None:
                    break
                mark_node, node = (pair[0] if key and last else pair[1]), pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                if step >= len(node.value):
                    break
                mark_node = node = node.value[step]
            else:
                break
        return _place(mark_node.start_mark)

    @cached_property
    def _root(self) -> yaml.Node | None:
        return None if self._text is None else yaml.compose(self._text, Loader=yaml.CSafeLoader)

    def _pairs_of(self, node: yaml.MappingNode) -> dict[str, _Pair]:
        # Looked up for each of a file's problems, of which there may be as many as values.
        if id(node) not in self._pairs:
            self._pairs[id(node)] = {pair[0].value: pair for pair in node.value}
        return self._pairs[id(node)]

    def value_at(self, path: tuple[Step, ...]) -> Value:
        """Return the value at `path`; where that leads to nothing, the last that exists."""
        value = self.value
        for step in path:
            if isinstance(value, dict) and str(step) in value:
                value = value[str(step)]
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                break
        return value

    def problem(
        self, path: tuple[Step, ...], message: str, remedy: str, *, key: bool = False
    ) -> Problem:
        """Return a problem with the value at `path`, or with its key."""
        if self._root is None and self.value is not None:
            return Problem(self.file, message, remedy)
        line, column = self.place(path, key=key)
        return Problem(self.file, message, remedy, line, column)


def document_of(value: Value, name: str) -> Document:
    """Return a document for a value that was not read from a file, and so has no places."""
    return Document(Path(name), value, None)


def read_document(file: Path, missing: str = "check the path") -> Document:
    """Read a file. Raise ConfigError if it is missing, unreadable or malformed.

    `missing` is the remedy to name where there is no such file.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            message = f"larger than {MAX_BYTES:,} bytes"
            raise ConfigError(Problem(file, message, "check the path, or split the file"))
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            Problem(file, f"byte {error.start} is not UTF-8", "save the file as UTF-8")
        ) from None
    except OSError as error:
        raise unreadable(file, error, missing) from None
    return parse_document(text, file)


def unreadable(file: Path, error: OSError, missing: str) -> ConfigError:
    """Return what to say of a file that can't be read; `missing` as in `read_document`."""
    if isinstance(error, FileNotFoundError):
        return ConfigError(Problem(file, "there is no such file", missing))
    words = f"can't be read: {error.strerror}"
    return ConfigError(Problem(file, words, "check its type and permissions"))


def parse_document(text: str, file: Path) -> Document:
    """Parse YAML or JSON text that stands in `file`. Raise ConfigError if it is malformed."""
    if file.suffix == ".json":
        # Within JSON a tab only ever separates (RFC 8259, section 2); YAML allows it nowhere.
        text = text.replace("\t", " ")
        text = _ESCAPE.sub(_join_surrogates, text)
    try:
        refuse_huge(text, file)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(_malformed(error, file)) from None
    if root is None:
        return Document(file, None, None)
    return Document(file, _Builder(file).build(root), text)


def _join_surrogates(escape: re.Match[str]) -> str:
    # JSON escapes what is beyond 16 bits as two halves (RFC 8259, section 7), YAML as one.
    if escape["high"] is None:
        return escape[0]
    return bytes.fromhex(escape["high"] + escape["low"]).decode("utf-16-be")


def refuse_huge(text: str, file: Path) -> None:
    """Raise ConfigError for YAML too deep or with too many values, YAMLError for what is none."""
    # The C composer recurses without a limit of its own: deep nesting would end the process. Nor
    # does it count what it makes.
    depth = nodes = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        nodes += isinstance(event, yaml.NodeEvent)
        if nodes > MAX_NODES:
            message = f"more than {MAX_NODES:,} keys and values"
            raise ConfigError(Problem(file, message, "split the file", *_place(event.start_mark)))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} deep"
            raise ConfigError(Problem(file, message, "write it flatter", *_place(event.start_mark)))


def _malformed(error: yaml.YAMLError, file: Path) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    message = f"not well-formed YAML: {what}"
    return Problem(file, message, "correct it", *_place(mark))


class _Builder:
    """Turns the nodes of one file into values."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node) -> Value:
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._error(node, f"more than {MAX_VALUES:,} values", "split the file")
        if node.tag not in _PLAIN_TAGS:
            raise self._error(node, f"the tag {node.tag} is not known here", "remove the tag")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if id(node) in self._open:
            raise self._error(node, "an alias that contains itself", "write the value out")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item) for item in node.value]
            return dict(self._pairs(node))
        finally:
            self._open.discard(id(node))

    def _pairs(self, node: yaml.Node) -> Iterator[tuple[str, Value]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key that is not text", "write a plain name")
            key = key_node.value
            if key in seen:
                raise self._error(
                    key_node,
                    f"the key {key!r} stands twice, first in line {seen[key]}",
                    "keep one of them",
                )
            seen[key] = key_node.start_mark.line + 1
            yield key, self.build(value_node)

    def _error(self, node: yaml.Node, message: str, remedy: str) -> ConfigError:
        return ConfigError(Problem(self._file, message, remedy, *_place(node.start_mark)))


class _Mark(Protocol):
    line: int
    column: int


def _place(mark: _Mark | None) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    text: str = node.value
    if node.style or node.tag == _TAG + "str":
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 20 else text
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
