"""The body of a request as an object of the resource that it is sent to, and options of writes.

It must never accept what the real API server would not decode.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
import yaml

from registrar.embedded.decoding import BadShape, Decoder
from registrar.embedded.request import Request
from registrar.embedded.resources import RESOURCES, Resource
from registrar.embedded.status import (
    Problem,
    StatusError,
    bad_request,
    failure,
    invalid_object,
    unsupported,
)
from registrar.embedded.values import Json, Object, as_text, parse

_MEDIA = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_INTERNAL = {"": "core"}
MOST_DEPTH = 100


@dataclass
class Options:
    """How a write is to be done. `warnings` are what its answer warns of."""

    dry_run: bool = False
    validation: str = "Warn"
    manager: str = ""
    force: bool = False
    warnings: list[str] = field(default_factory=list)


def options_of(query: Mapping[str, str], kind: str) -> Options:
    """Return the options that a query says. Raise StatusError, 422, for those there aren't."""
    validation, dry = query.get("fieldValidation", ""), query.get("dryRun", "")
    problems: list[Problem] = []
    if dry not in {"", "All"}:
        problems.append(unsupported("dryRun", [dry], ("All",)))
    if validation not in _VALIDATIONS:
        problems.append(unsupported("fieldValidation", validation, _VALIDATIONS))
    if problems:
        raise invalid_object(kind, "meta.k8s.io", "", problems)
    return Options(
        dry == "All",
        validation or "Warn",
        query.get("fieldManager", ""),
        query.get("force", "") == "true",
    )


def media_type(request: Request) -> str:
    """Return a body's media type, without its parameters."""
    return request.headers.get("content-type", "application/json").partition(";")[0].strip()


def load(request: Request) -> Json:
    """Return a body's JSON or YAML. Raise StatusError, 415, if it is neither."""
    if media_type(request) not in {"application/json", "application/yaml", "*/*", ""}:
        words = "the body of the request was in an unknown format - accepted media types include: "
        raise StatusError(415, "UnsupportedMediaType", words + _MEDIA)
    return _loaded(request)


def load_patch(request: Request) -> Json:
    """Return a patch's JSON or YAML. Raise msgspec.DecodeError if it is neither."""
    return _loaded(request)


def _loaded(request: Request) -> Json:
    try:
        return parse(request.body)
    except msgspec.DecodeError:
        if "yaml" not in media_type(request):
            raise
    try:
        # Whoever applies has followed aliases, and YAML's own composer knows no limits.
        for depth in _depths(request.body):
            if depth > MOST_DEPTH:
                raise msgspec.DecodeError("nested too deep")
        value: Json = msgspec.yaml.decode(request.body)
    except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise msgspec.DecodeError(str(error)) from None
    return value


def _depths(text: bytes) -> Iterator[int]:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise msgspec.DecodeError("aliases are not followed")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        yield depth


def read(request: Request, resource: Resource, options: Options) -> Object:
    """Return the object in a body. Raise StatusError, 400 or 415, if there is none."""
    try:
        body = load(request)
    except msgspec.DecodeError as error:
        shown = request.body[:100].decode(errors="replace") or "<empty>"
        why = f"json parse error: {_go_words(error)} ({shown})"
        raise _unrecognized(resource, why) from None
    if not isinstance(body, dict):
        why = "json parse error: json: cannot unmarshal array into Go value of type struct"
        raise _unrecognized(resource, why)
    return decode(body, resource, options)


def decode(body: Object, resource: Resource, options: Options) -> Object:
    """Return what a body says, in the shape in which objects are stored.

    Raise StatusError, 400, for the wrong kind, or a value of the wrong type.
    """
    _check_kind(body, resource)
    try:
        return shaped(body, resource, options)
    except BadShape as error:
        kind, version = as_text(body.get("kind")) or resource.kind, "v1"
        words = f'{kind} in version "{version}" cannot be handled as a {resource.kind}: {error}'
        raise bad_request(words) from None


def shaped(body: Object, resource: Resource, options: Options) -> Object:
    """Return what a body says. Raise BadShape for a wrong type, or what is unknown if strict."""
    decoder = Decoder()
    stored = {resource.renamed.get(key, key): value for key, value in body.items()}
    item = decoder.decode(stored, resource.type)
    unknown = [f'unknown field "{name}"' for name in decoder.unknown]
    if unknown and options.validation == "Strict":
        raise BadShape(f"strict decoding error: {', '.join(unknown)}")
    if options.validation == "Warn":
        options.warnings += unknown
    return item


def _check_kind(body: Object, resource: Resource) -> None:
    kind = as_text(body.get("kind")) or resource.kind
    version = as_text(body.get("apiVersion")) or resource.version
    if (kind, version) == (resource.kind, resource.version):
        return
    group, _, short = version.rpartition("/")
    known = {(other.kind, other.version): other for other in RESOURCES}
    if (kind, version) in known:
        ours = _INTERNAL.get(resource.group, resource.group.partition(".")[0])
        why = f"converting (v1.{kind}) to ({ours}.{resource.kind}): unknown conversion"
    else:
        scheme = 'in scheme "pkg/runtime/scheme.go:111"'
        why = f'no kind "{kind}" is registered for version "{version}" {scheme}'
    del group
    raise bad_request(f'{kind} in version "{short}" cannot be handled as a {resource.kind}: {why}')


def _unrecognized(resource: Resource, why: str) -> StatusError:
    words = f"the object provided is unrecognized (must be of type {resource.kind}): "
    return bad_request(f"{words}couldn't get version/kind; {why}")


def _go_words(error: Exception) -> str:
    return "unexpected end of JSON input" if "truncated" in str(error) else "invalid JSON"


def unsupported_patch() -> StatusError:
    """415: there is no such kind of patch."""
    return failure(415, "UnsupportedMediaType", "415: Unsupported Media Type")
