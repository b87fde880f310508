"""What a list or a watch is limited to, as a query's labelSelector and fieldSelector say it.

It must never select by a field that the real API server doesn't know for that resource.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from registrar.embedded.labels import Test, parse_labels
from registrar.embedded.resources import Resource
from registrar.embedded.status import bad_request
from registrar.embedded.values import Object, at, text_at, text_map

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
    return Selector(tuple(parse_labels(labels)), tuple(_parse_fields(resource, fields)))


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
