"""What the API server answers instead of an object: metav1.Status, in the real one's words.

It must never be worded otherwise than the real one's: the contract suite compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registrar.embedded.values import Json, Object, encode

_MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter, or use the continue token in this response "
    "to retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


class StatusError(Exception):
    """An answer that is a failure."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Object | None = None,
        metadata: Object | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata or {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({"details": details} if details is not None else {}),
            "code": code,
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one field."""

    field: str
    reason: str
    detail: str = ""
    value: Json = None

    def __str__(self) -> str:
        return f"{self.field}: {self.body}"

    @property
    def body(self) -> str:
        """What is wrong, without the field."""
        words = _WORDS[self.reason]
        if self.reason in _SHOWN:
            words += f": {quoted(self.value)}"
        return f"{words}: {self.detail}" if self.detail else words


_WORDS = {
    "FieldValueRequired": "Required value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
}
_SHOWN = frozenset(_WORDS) - {"FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong"}


def quoted(value: Json) -> str:
    """Return a value as it is shown in messages."""
    return encode(value).decode()


def required(field: str, detail: str = "") -> Problem:
    """Say that a field is missing."""
    return Problem(field, "FieldValueRequired", detail)


def invalid(field: str, value: Json, detail: str) -> Problem:
    """Say that a value is not what it must be."""
    return Problem(field, "FieldValueInvalid", detail, value)


def unsupported(field: str, value: Json, supported: Sequence[str]) -> Problem:
    """Say that a value is none of those that there are."""
    words = ", ".join(f'"{value}"' for value in supported)
    return Problem(field, "FieldValueNotSupported", f"supported values: {words}", value)


def forbidden_field(field: str, detail: str) -> Problem:
    """Say that a field must not be there."""
    return Problem(field, "FieldValueForbidden", detail)


def duplicate(field: str, value: Json) -> Problem:
    """Say that a value is there already."""
    return Problem(field, "FieldValueDuplicate", "", value)


def too_many(field: str, count: int, most: int) -> Problem:
    """Say that a list is too long."""
    items = "item" if most == 1 else "items"
    return Problem(field, "FieldValueTooMany", f"must have at most {most} {items}", count)


def failure(
    code: int,
    reason: str,
    message: str,
    *,
    group: str = "",
    kind: str = "",
    name: str = "",
    causes: Sequence[Object] = (),
) -> StatusError:
    """Return a failure of one object."""
    details: Object = {}
    for key, value in (("name", name), ("group", group), ("kind", kind)):
        if value:
            details[key] = value
    if causes:
        details["causes"] = list(causes)
    return StatusError(code, reason, message, details)


def bad_request(message: str) -> StatusError:
    """400: what was asked can't be read."""
    return StatusError(400, "BadRequest", message)


def not_found(resource: str, group: str, name: str) -> StatusError:
    """404: there is no such object."""
    full = f"{resource}.{group}" if group else resource
    message = f'{full} "{name}" not found'
    return failure(404, "NotFound", message, group=group, kind=resource, name=name)


def no_such_path() -> StatusError:
    """404: nothing is served there."""
    return failure(404, "NotFound", "the server could not find the requested resource")


def not_allowed() -> StatusError:
    """405: not that method there."""
    message = "the server does not allow this method on the requested resource"
    return failure(405, "MethodNotAllowed", message)


def too_large(limit: int) -> StatusError:
    """413: no body may be so large."""
    message = f"Request entity too large: limit is {limit}"
    return StatusError(413, "RequestEntityTooLarge", message)


def already_exists(resource: str, group: str, name: str) -> StatusError:
    """409: there is one of that name."""
    full = f"{resource}.{group}" if group else resource
    message = f'{full} "{name}" already exists'
    return failure(409, "AlreadyExists", message, group=group, kind=resource, name=name)


def conflict(resource: str, group: str, name: str, why: str = _MODIFIED) -> StatusError:
    """409: the object is not the one that was meant."""
    full = f"{resource}.{group}" if group else resource
    message = f'Operation cannot be fulfilled on {full} "{name}": {why}'
    return failure(409, "Conflict", message, group=group, kind=resource, name=name)


def invalid_object(kind: str, group: str, name: str, problems: Sequence[Problem]) -> StatusError:
    """422: the object is not valid, for these reasons."""
    full = f"{kind}.{group}" if group else kind
    texts = list(dict.fromkeys(map(str, problems)))
    words = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    causes: list[Object] = [
        {"reason": p.reason, "message": p.body, "field": p.field} for p in problems
    ]
    message = f'{full} "{name}" is invalid: {words}'
    return failure(422, "Invalid", message, group=group, kind=kind, name=name, causes=causes)


def expired(message: str) -> StatusError:
    """410: that version is not known any more."""
    return StatusError(410, "Expired", message)


def expired_continue(token: str) -> StatusError:
    """410: the list can't be continued as it was; `token` continues it as it is now."""
    return StatusError(410, "Expired", _EXPIRED, metadata={"continue": token})
