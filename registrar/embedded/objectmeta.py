"""The metadata of objects: what the server sets in it, and what it refuses.

It must never let a client set what is the server's: uid, times, generation.
"""

from __future__ import annotations

from collections.abc import Callable

from registrar.embedded.formats import dns_label, label_key, label_value
from registrar.embedded.status import Problem, bad_request, forbidden_field, invalid, required
from registrar.embedded.values import (
    Json,
    Object,
    as_int,
    as_object,
    at,
    metadata,
    objects_at,
    text_at,
    text_map,
    texts_at,
)

NameRule = Callable[[str], list[str]]

ANNOTATIONS_LIMIT = 256 * 1024
STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
_SERVERS = ("selfLink", "managedFields")


def prepare_new(item: Object, namespace: str, uid: str, created: str) -> None:
    """Set what is the server's in an object that is to be created."""
    meta = metadata(item)
    for key in (*_SERVERS, "deletionTimestamp", "deletionGracePeriodSeconds"):
        meta.pop(key, None)
    if namespace:
        meta["namespace"] = namespace
    meta.pop("resourceVersion", None)
    meta["uid"] = uid
    meta["creationTimestamp"] = created


def prepare_changed(item: Object, before: Object) -> None:
    """Carry over what no update changes."""
    meta, old = metadata(item), metadata(before)
    for key in _SERVERS:
        meta.pop(key, None)
    for key in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        meta.pop(key, None)
        if key in old:
            meta[key] = old[key]
    for key in ("uid", "namespace", "name"):
        if key in old and not meta.get(key):
            meta[key] = old[key]
    meta.pop("generation", None)
    if "generation" in old:
        meta["generation"] = old["generation"]


def problems_of_new(item: Object, rule: NameRule, *, namespaced: bool) -> list[Problem]:
    """Return what is wrong with the metadata of an object."""
    found: list[Problem] = []
    meta = metadata(item)
    prefix, name = text_at(meta, "generateName"), text_at(meta, "name")
    if prefix:
        # What is made of it does not end so.
        found += [
            invalid("metadata.generateName", prefix, words)
            for words in rule(prefix.removesuffix("-") + "a")
        ]
    if not name:
        found.append(required("metadata.name", "name or generateName is required"))
    else:
        found += [invalid("metadata.name", name, words) for words in rule(name)]
    namespace = text_at(meta, "namespace")
    if namespaced:
        if not namespace:
            found.append(required("metadata.namespace"))
        else:
            found += [invalid("metadata.namespace", namespace, w) for w in dns_label(namespace)]
    elif namespace:
        found.append(forbidden_field("metadata.namespace", "not allowed on this type"))
    return found + _common(meta) + _finalizers(meta)


def problems_of_change(item: Object, before: Object) -> list[Problem]:
    """Return what is wrong with a change of metadata."""
    meta, old = metadata(item), metadata(before)
    found: list[Problem] = []
    if "deletionTimestamp" in old:
        added = set(texts_at(meta, "finalizers")) - set(texts_at(old, "finalizers"))
        if added:
            listed = ", ".join(f'"{name}"' for name in sorted(added))
            words = (
                "no new finalizers can be added if the object is being deleted, found new"
                f" finalizers []string{{{listed}}}"
            )
            found.append(forbidden_field("metadata.finalizers", words))
    found += [
        invalid(f"metadata.{key}", meta.get(key), "field is immutable")
        for key in ("name", "namespace", "uid")
        if meta.get(key) != old.get(key)
    ]
    return found + _common(meta)


def label_problems(field: str, labels: Json) -> list[Problem]:
    """Return what is wrong with labels, or with a selector of them."""
    found = []
    for key, value in text_map(labels).items():
        found += [invalid(field, key, words) for words in label_key(key)]
        found += [invalid(field, value, words) for words in label_value(value)]
    return found


def _common(meta: Object) -> list[Problem]:
    found = label_problems("metadata.labels", meta.get("labels"))
    annotations = text_map(meta.get("annotations"))
    for key in annotations:
        lowered = label_key(key.lower())
        found += [invalid("metadata.annotations", key, words) for words in lowered]
    size = sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items())
    if size > ANNOTATIONS_LIMIT:
        words = f"may not be more than {ANNOTATIONS_LIMIT} bytes"
        found.append(Problem("metadata.annotations", "FieldValueTooLong", words))
    for index, owner in enumerate(objects_at(meta, "ownerReferences")):
        path = f"metadata.ownerReferences[{index}]"
        found += [
            required(f"{path}.{key}", "must not be empty")
            for key in ("apiVersion", "kind", "name", "uid")
            if not text_at(owner, key)
        ]
    return found + _controllers(meta)


def _controllers(meta: Object) -> list[Problem]:
    owners = objects_at(meta, "ownerReferences")
    names = [
        f"{text_at(owner, 'kind')}/{text_at(owner, 'name')}"
        for owner in owners
        if owner.get("controller") is True
    ]
    words = (
        'Only one reference can have Controller set to true. Found "true" in references for'
        " {} and {}"
    )
    return [
        invalid("metadata.ownerReferences", list(owners), words.format(names[0], name))
        for name in names[1:]
    ]


def _finalizers(meta: Object) -> list[Problem]:
    names = texts_at(meta, "finalizers")
    found = [
        invalid("metadata.finalizers", name, words) for name in names for words in label_key(name)
    ]
    words = "name is neither a standard finalizer name nor is it fully qualified"
    return found + [
        invalid(f"metadata.finalizers[{index}]", name, words)
        for index, name in enumerate(names)
        if "/" not in name and name not in STANDARD_FINALIZERS
    ]


def bump_generation(item: Object, before: Object) -> None:
    """Count a change of anything but metadata, its labels included."""

    def rest(whole: Object) -> tuple[Object, Json]:
        return {k: v for k, v in whole.items() if k != "metadata"}, at(whole, "metadata", "labels")

    meta, generation = metadata(item), as_int(as_object(before["metadata"]).get("generation"))
    meta["generation"] = generation + (rest(item) != rest(before))


def check_name(meta: Object, expected: str) -> None:
    """Raise StatusError, 400, unless an object has the name of its path."""
    name = text_at(meta, "name")
    if not name:
        words = f"the name of the object ({expected} based on URL) was undeterminable"
        raise bad_request(f"{words}: name must be provided")
    if name != expected:
        words = "does not match the name on the URL"
        raise bad_request(f"the name of the object ({name}) {words} ({expected})")


def check_namespace(meta: Object, namespace: str) -> None:
    """Set the namespace of the path. Raise StatusError, 400, for an object of another one."""
    if meta.get("namespace") not in {None, "", namespace}:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if namespace:
        meta["namespace"] = namespace
