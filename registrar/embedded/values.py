"""JSON values as types, and the reading of their parts.

It must never raise for a part that is missing: that reads as empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

Json: TypeAlias = "Object | list[Json] | str | int | float | bool | None"
Object: TypeAlias = "dict[str, Json]"

_encoder = msgspec.json.Encoder()


def encode(value: Json) -> bytes:
    """Return the value as JSON."""
    return _encoder.encode(value)


def parse(text: bytes) -> Json:
    """Return what JSON says. Raise msgspec.DecodeError if it isn't JSON, or too deep."""
    try:
        value: Json = msgspec.json.decode(text)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
    return value


def is_number(text: str) -> bool:
    """Whether a text is a number of 64 bits, without a sign."""
    return text.isascii() and text.isdigit() and len(text) < 20


def copy(value: Object) -> Object:
    """Return a deep copy."""
    return {key: _copy(part) for key, part in value.items()}


def _copy(value: Json) -> Json:
    if isinstance(value, dict):
        return copy(value)
    if isinstance(value, list):
        return [_copy(part) for part in value]
    return value


def as_object(value: Json) -> Object:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Json) -> list[Json]:
    """Return the value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Json) -> str:
    """Return the value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def as_int(value: Json) -> int:
    """Return the value if it is an integer, else 0."""
    return value if isinstance(value, int) else 0


def at(value: Json, *keys: str) -> Json:
    """Return the part that the keys lead to, None where they lead nowhere."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def text_at(value: Json, *keys: str) -> str:
    """Return the string that the keys lead to, an empty one where they lead nowhere."""
    return as_text(at(value, *keys))


def objects_at(value: Json, *keys: str) -> list[Object]:
    """Return the list of objects that the keys lead to."""
    return [as_object(item) for item in as_list(at(value, *keys))]


def texts_at(value: Json, *keys: str) -> list[str]:
    """Return the list of strings that the keys lead to."""
    return [as_text(item) for item in as_list(at(value, *keys))]


def text_map(value: Json) -> dict[str, str]:
    """Return an object's strings: labels, say."""
    return {key: as_text(part) for key, part in as_object(value).items()}


def metadata(item: Object) -> Object:
    """Return an object's metadata, to be read or written; it is made if it is missing."""
    found = item.setdefault("metadata", {})
    if not isinstance(found, dict):
        found = item["metadata"] = {}
    return found


def json_of(value: Mapping[str, Json]) -> Object:
    """Return a mapping of JSON as an object of its own."""
    return dict(value)
