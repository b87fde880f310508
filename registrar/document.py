"""Reads a YAML or JSON file into plain values, and finds where each of them stands."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import yaml

from registrar.errors import ConfigError, Problem
from registrar.yaml_values import Value, place_of, value_of

Step: TypeAlias = str | int
_Pair: TypeAlias = tuple[yaml.Node, yaml.Node]

MAX_BYTES = 32 * 1024 * 1024

_ESCAPE = re.compile(
    r"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})|.)"
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
        return place_of(mark_node.start_mark)

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
    return Document(file, value_of(text, file), text)


def _join_surrogates(escape: re.Match[str]) -> str:
    # JSON escapes what is beyond 16 bits as two halves (RFC 8259, section 7), YAML as one.
    if escape["high"] is None:
        return escape[0]
    return bytes.fromhex(escape["high"] + escape["low"]).decode("utf-16-be")
