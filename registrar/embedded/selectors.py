"""Label and field selectors, as a query's labelSelector and fieldSelector say them.

It must never select by a field that the real API server doesn't know for that resource.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from registrar.embedded.formats import label_key, label_value
from registrar.embedded.resources import Resource
from registrar.embedded.status import bad_request, quoted
from registrar.embedded.values import Object, at, text_at, text_map

Test = Callable[[dict[str, str]], bool]

_META = {"metadata.name": ("metadata", "name"), "metadata.namespace": ("metadata", "namespace")}
_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT = {"reason": ("reason",), "type": ("type",), "source": ("source", "component")}
_FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "/services": {"spec.clusterIP": ("spec", "clusterIP"), "spec.type": ("spec", "type")},
    "/namespaces": {"status.phase": ("status", "phase")},
    "/events": {
        **{f"involvedObject.{key}": ("involvedObject", key) for key in _REFERENCE},
        "reportingComponent": ("reportingComponent",),
        **_EVENT,
    },
    "events.k8s.io/events": {
        **{f"regarding.{key}": ("involvedObject", key) for key in _REFERENCE},
        "reportingController": ("reportingComponent",),
        **_EVENT,
    },
}
_TERM = re.compile(
    r"\s*(?:(?P<without>!)\s*)?(?P<key>[^\s,!=<>()]+)\s*"
    r"(?:(?P<set>in|notin)\s*\((?P<values>[^()]*)\)|(?P<operator>==|=|!=|>|<)\s*(?P<value>[^\s,()=!]*))?"
    r"\s*(?:,|$)"
)


@dataclass(frozen=True, slots=True)
class Selector:
    """What a list or a watch is limited to."""

    labels: tuple[Test, ...]
    fields: tuple[tuple[tuple[str, ...], str, bool], ...]

    def matches(self, item: Object) -> bool:
        """Say whether an object is selected."""
        labels = text_map(at(item, "metadata", "labels"))
        return all(test(labels) for test in self.labels) and all(
            (text_at(item, *path) == value) is equal for path, value, equal in self.fields
        )

    @property
    def is_empty(self) -> bool:
        """Say whether everything is selected."""
        return not self.labels and not self.fields


def parse(resource: Resource, labels: str, fields: str) -> Selector:
    """Return the selector of a query. Raise StatusError, 400, if it can't be read."""
    return Selector(tuple(_parse_labels(labels)), tuple(_parse_fields(resource, fields)))


def _parse_labels(text: str) -> Iterator[Test]:
    position = 0
    while text.strip() and position < len(text):
        found = _TERM.match(text, position)
        if found is None:
            rest = text[position:].strip()
            words = f"unable to parse requirement: found '{rest}', expected: a requirement"
            raise bad_request(words)
        position = found.end()
        yield _label_test(found)


def _label_test(found: re.Match[str]) -> Test:
    key, operator = found["key"], found["operator"]
    _check("key", key, label_key(key))
    values = {found["value"]} if operator else set()
    if found["set"]:
        values = {value.strip() for value in found["values"].split(",")}
    for value in sorted(values):
        _check("values[0][" + key + "]", value, label_value(value))
    if found["without"]:
        return lambda labels: key not in labels
    if operator in {"!="} or found["set"] == "notin":
        return lambda labels: labels.get(key) not in values
    if operator in {"<", ">"}:
        return _comparison(key, operator, found["value"])
    if values:
        return lambda labels: labels.get(key) in values
    return lambda labels: key in labels


def _comparison(key: str, operator: str, limit: str) -> Test:
    if not re.fullmatch(r"-?\d+", limit):
        words = "for 'Gt', 'Lt' operators, the value must be an integer"
        raise bad_request(
            f"unable to parse requirement: values[0]: Invalid value: {limit}: {words}"
        )

    def test(labels: dict[str, str]) -> bool:
        value = labels.get(key, "")
        if not re.fullmatch(r"-?\d+", value):
            return False
        return int(value) > int(limit) if operator == ">" else int(value) < int(limit)

    return test


def _check(field: str, value: str, wrong: list[str]) -> None:
    if wrong:
        words = f"{field}: Invalid value: {quoted(value)}: {'; '.join(wrong)}"
        raise bad_request(f"unable to parse requirement: {words}")


def _parse_fields(resource: Resource, text: str) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    known = {**_META, **_FIELDS.get(f"{resource.group}/{resource.plural}", {})}
    if not resource.namespaced:
        del known["metadata.namespace"]
    for term in filter(None, text.split(",")):
        found = re.fullmatch(r"([^!=]*)(!=|==|=)(.*)", term)
        if found is None:
            words = f"invalid selector: '{text}'; can't understand '{term}'"
            raise bad_request(words)
        if found[1] not in known:
            words = f'"{found[1]}" is not a known field selector: only {_listed(known)}'
            raise bad_request(_unknown_field(resource, found[1], words))
        yield known[found[1]], found[3], found[2] != "!="


def _listed(known: dict[str, tuple[str, ...]]) -> str:
    return ", ".join(f'"{name}"' for name in known)


def _unknown_field(resource: Resource, name: str, general: str) -> str:
    if f"{resource.group}/{resource.plural}" in _FIELDS:
        return f"field label not supported: {name}"
    return general
