"""Turns what pydantic finds wrong into problems fit for a person: place, value, remedy.

The messages name keys as they are written in the file, never a Python type.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from registrar.document import Document, Step
from registrar.errors import ConfigError, Problem
from registrar.settings import Settings
from registrar.yaml_values import Value

_SHOWN = 60

SettingsT = TypeVar("SettingsT", bound=Settings)


def read_settings(
    model: type[SettingsT], document: Document, path: tuple[Step, ...], value: Value
) -> SettingsT:
    """Check the value that stands at `path` of a document against a settings model.

    Raise ConfigError with every problem found.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [
            _problem(model, document, path, details) for details in error.errors(include_url=False)
        ]
        raise ConfigError(*problems) from None


def _problem(
    model: type[Settings],
    document: Document,
    path: tuple[Step, ...],
    details: ErrorDetails,
) -> Problem:
    steps = tuple(step for step in details["loc"] if not _is_branch(step))
    where = path + steps
    if details["type"] == "extra_forbidden":
        # Its last step is the key as it was written, even if that looks like a branch.
        *above, name = details["loc"]
        steps = tuple(step for step in above if not _is_branch(step))
        message, remedy = unknown_name("key", str(name), _keys_at(model, steps))
        return document.problem((*path, *steps, name), message, remedy, key=True)
    if details["type"] == "missing":
        return document.problem(
            where[:-1], f"the key {str(steps[-1])!r} is missing", "add it", key=True
        )
    if details["loc"][-1:] == ("[key]",):  # the whole value, if it is what is wrong, has no steps
        message, remedy = _wording(details)
        return document.problem(where, f"key {shown(where[-1])} is {message}", remedy, key=True)
    name = ".".join(str(step) for step in where) or "the file"
    message, remedy = _wording(details)
    hidden = details.get("ctx", {}).get("hidden")
    found = "the value" if hidden else shown(document.value_at(where))
    return document.problem(where, f"{name}: {found} is {message}", remedy)


def _is_branch(step: Step) -> bool:
    # Pydantic names the branch of a union, or a validator, among the steps of the path.
    return isinstance(step, str) and ("[" in step or "(" in step)


def unknown_name(kind: str, name: str, known: list[str]) -> tuple[str, str]:
    """Return message and remedy for a name that is none of `known`, with the likely one."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    remedy = (
        f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known)) or 'none'}"
    )
    return f"unknown {kind} {name!r}", remedy


def _keys_at(model: type[BaseModel], steps: tuple[Step, ...]) -> list[str]:
    """Return the keys that the model has at a path below it."""
    current: Any = model
    for step in steps:
        if not (isinstance(current, type) and issubclass(current, BaseModel)):
            break
        if isinstance(step, str):
            fields = {f.alias or n: f for n, f in current.model_fields.items()}
            found = next(_models_in(fields[step].annotation), None) if step in fields else None
            current = found or current
    return [f.alias or n for n, f in current.model_fields.items()]


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


def shown(value: object) -> str:
    """Return a value as an error shows it: as it is written, one line, cut where it is long."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


_WORDINGS: dict[str, tuple[str, str]] = {
    "int_type": ("not a whole number", "write digits without quotes"),
    "int_from_float": ("not a whole number", "write digits without a fraction"),
    "string_type": ("not text", "put it in quotes"),
    "string_pattern_mismatch": (
        "not a DNS label",
        "use lower-case letters, digits and '-', as in web-1",
    ),
    "string_too_short": ("empty", "write a value"),
    "string_too_long": ("too long", "{max_length} characters are the most"),
    "bool_type": ("neither true nor false", "write true or false"),
    "tuple_type": ("not a list", "write a list: [...], or lines that begin with '- '"),
    "model_type": ("not a mapping", "write keys and values: {{key: value}}"),
    "dict_type": ("not a mapping", "write keys and values: {{key: value}}"),
    "greater_than": ("too small", "it must be more than {gt}"),
    "greater_than_equal": ("too small", "it must be {ge} or more"),
    "less_than_equal": ("too large", "it must be {le} or less"),
    "literal_error": ("not one of the known values", "write {expected}"),
    "enum": ("not one of the known values", "write {expected}"),
    "too_short": ("too short", "it needs {min_length} or more"),
}


def _wording(details: ErrorDetails) -> tuple[str, str]:
    context = details.get("ctx", {})
    if details["type"] == "registrar":
        return str(context["message"]), str(context["remedy"])
    if details["type"] in _WORDINGS:
        message, remedy = _WORDINGS[details["type"]]
        return message, remedy.format(**context)
    return f"not valid ({details['msg']})", "correct it"
