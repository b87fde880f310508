"""From a request's body to an object of known shape, as the real API server decodes.

It must never let a field through that the schema lacks, nor a value of another type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from registrar.embedded.schema import Field, Type
from registrar.embedded.status import quoted
from registrar.embedded.values import Json, Object, as_object

_ZERO_OF: Object = {"string": "", "int32": 0, "int64": 0, "bool": False, "intOrString": 0}
_ZERO: tuple[Json, ...] = ("", 0, False)
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d%s(Z|[+-]\d\d:\d\d)"


class Decoder:
    """Decodes one body. What it doesn't know is left out, and noted in `unknown`."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def decode(self, body: Object, type_: Type) -> Object:
        """Return the known part of an object, less what its type leaves out when empty.

        Raise BadShape for a value of the wrong type.
        """
        return self._struct(body, type_, "")

    def _struct(self, body: Object, type_: Type, path: str) -> Object:
        fields = type_.fields
        read: Object = {}
        for key, value in body.items():
            place = f"{path}.{key}" if path else key
            if key in fields:
                read[key] = self._value(value, fields[key].type, place, type_)
            elif path or key not in {"kind", "apiVersion"}:
                self.unknown.append(place)
        done: Object = {}
        for key, field in fields.items():
            value = read.get(key)
            if _is_written(value, field):
                done[key] = _empty(field) if value is None else value
        return done

    def _value(self, value: Json, type_: Type, path: str, owner: Type) -> Json:
        if value is None or type_.name == "any":
            return value
        if type_.kind == "struct":
            if not isinstance(value, dict):
                raise _mismatch(value, owner, path, type_.go_name)
            return self._struct(value, type_, path)
        if type_.of is not None:
            return self._many(value, type_, type_.of, path, owner)
        ok, read = _SCALARS[type_.name](value)
        if not ok:
            raise _mismatch(value, owner, path, type_.name)
        return read

    def _many(self, value: Json, type_: Type, of: Type, path: str, owner: Type) -> Json:
        if type_.kind == "list":
            if not isinstance(value, list):
                raise _mismatch(value, owner, path, f"[]{of.go_name or of.name}")
            return [
                self._value(_zero(of) if part is None else part, of, f"{path}[{i}]", owner)
                for i, part in enumerate(value)
            ]
        if not isinstance(value, dict):
            raise _mismatch(value, owner, path, f"map[string]{of.name}")
        return {
            key: "" if part is None else self._value(part, of, path, owner)
            for key, part in value.items()
        }


class BadShape(Exception):
    """A value has the wrong type; the text is that of Go's decoder."""


def _mismatch(value: Json, owner: Type, path: str, go_type: str) -> BadShape:
    if go_type in {"time", "microTime"} and isinstance(value, str):
        layout, part, wanted = "2006-01-02T15:04:05Z07:00", value, "2006"
        if go_type == "microTime":
            layout = "2006-01-02T15:04:05.000000Z07:00"
            if found := re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", value):
                part, wanted = value[found.end() :], ".000000"
        return BadShape(
            f'parsing time "{value}" as "{layout}": cannot parse "{part}" as "{wanted}"'
        )
    place = re.sub(r"\[\d+\]", "", path)
    shown = _go_kind(value)
    if go_type.startswith("int") and shown == "number":
        shown = f"number {quoted(value)}"
    struct = owner.go_name.removeprefix("v1.")
    return BadShape(
        f"json: cannot unmarshal {shown} into Go struct field {struct}.{place} of type {go_type}"
    )


def _is_written(value: Json, field: Field) -> bool:
    if field.always:
        return True
    if value is None:
        return False
    return field.optional or not (value in _ZERO or value in ([], {}))


def _empty(field: Field) -> Json:
    return _zero(field.type)


def _zero(type_: Type) -> Json:
    if type_.kind == "struct":
        fields = type_.fields
        return {key: _empty(inner) for key, inner in fields.items() if inner.always}
    if type_.kind != "scalar":
        return None
    return _ZERO_OF.get(type_.name)


def blank(type_: Type) -> Object:
    """Return what an object of a type is at least."""
    return as_object(_zero(type_))


def _go_kind(value: Json) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object"


def _string(value: Json) -> tuple[bool, Json]:
    return isinstance(value, str), value


def _integer(bits: int) -> Callable[[Json], tuple[bool, Json]]:
    def read(value: Json) -> tuple[bool, Json]:
        if not isinstance(value, int) or isinstance(value, bool):
            return False, value
        return -(2 ** (bits - 1)) <= value < 2 ** (bits - 1), value

    return read


def _int_or_string(value: Json) -> tuple[bool, Json]:
    return (isinstance(value, str) or _integer(32)(value)[0]), value


def _time(regex: str, layout: str) -> Callable[[Json], tuple[bool, Json]]:
    def read(value: Json) -> tuple[bool, Json]:
        if not isinstance(value, str) or not re.fullmatch(_TIME % regex, value):
            return False, value
        try:
            moment = datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            return False, value
        return True, moment.strftime(f"%Y-%m-%dT%H:%M:%S{layout}Z")

    return read


_SCALARS: dict[str, Callable[[Json], tuple[bool, Json]]] = {
    "string": _string,
    "bool": lambda value: (isinstance(value, bool), value),
    "int32": _integer(32),
    "int64": _integer(64),
    "intOrString": _int_or_string,
    "time": _time(r"(\.\d+)?", ""),
    "microTime": _time(r"\.\d{6}", ".%f"),
}
