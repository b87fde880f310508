"""Creates, updates and deletes objects, with every condition and in the order of the real one.

It must never store an object that was not validated, nor one that is the same as before.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from uuid import UUID

from registrar.embedded import objectmeta
from registrar.embedded.addresses import ClusterAddresses
from registrar.embedded.bodies import Options
from registrar.embedded.kinds import KINDS
from registrar.embedded.resources import NAMESPACES, SERVICES, Resource
from registrar.embedded.status import (
    StatusError,
    already_exists,
    conflict,
    failure,
    invalid,
    invalid_object,
    not_found,
)
from registrar.embedded.store import Place, Store
from registrar.embedded.values import Json, Object, as_object, copy, is_number, metadata, text_at

PROTECTED = frozenset({"default", "kube-system", "kube-public"})
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


class Writes:
    """The writes of one store."""

    def __init__(self, store: Store, now: Callable[[], datetime], rng: Random) -> None:
        self._store = store
        self._now = now
        self._rng = rng
        self._addresses = ClusterAddresses()
        store.listeners.append(
            lambda change: (
                self._addresses.note(
                    change.before, None if change.type == "DELETED" else change.object
                )
                if change.resource == SERVICES.plural
                else None
            )
        )

    def create(self, resource: Resource, namespace: str, item: Object, options: Options) -> Object:
        """Create an object, which is ours from now on; return it as stored."""
        meta = metadata(item)
        objectmeta.check_namespace(meta, namespace)
        self._check_lifecycle(resource, namespace, text_at(meta, "name"))
        if meta.get("resourceVersion"):
            message = "resourceVersion should not be set on objects to be created"
            raise StatusError(500, "", message)
        if not meta.get("name") and meta.get("generateName"):
            suffix = "".join(self._rng.choices(_SUFFIX, k=5))
            meta["name"] = text_at(meta, "generateName") + suffix
        uid = str(UUID(int=self._rng.getrandbits(128), version=4))
        objectmeta.prepare_new(item, namespace, uid, self.timestamp())
        if resource.has_generation:
            meta["generation"] = 1
        kind = KINDS[resource.kind]
        kind.default(item)
        kind.prepare_new(item)
        rule, namespaced = kind.name_rule, resource.namespaced
        problems = objectmeta.problems_of_new(item, rule, namespaced=namespaced)
        problems += kind.problems(item, None)
        if not problems and resource is SERVICES:
            problems = self._addresses.allocate(item, None)
        name = text_at(meta, "name")
        if problems:
            raise invalid_object(resource.kind, resource.group, name, problems)
        if self._store.get(resource.plural, (namespace, name)):
            raise already_exists(resource.plural, resource.group, name)
        if options.dry_run:
            return item
        return self._store.put(resource.plural, (namespace, name), item)

    def replace(
        self, resource: Resource, place: Place, item: Object, options: Options
    ) -> tuple[Object, bool]:
        """Replace an object; return it as stored, and whether it was created."""
        meta = metadata(item)
        objectmeta.check_name(meta, place[1])
        objectmeta.check_namespace(meta, place[0])
        before = self._store.get(resource.plural, place)
        if before is None and not resource.create_on_update:
            raise resource.not_found(place[1])
        if uid := text_at(meta, "uid"):
            found = text_at(before, "metadata", "uid")
            if uid != found:
                raise _wrong_uid(resource, place, uid, found)
        if before is None:
            meta.pop("resourceVersion", None)
            return self.create(resource, place[0], item, options), True
        return self.update(resource, place, item, options), False

    def update(self, resource: Resource, place: Place, item: Object, options: Options) -> Object:
        """Change an object that is there; return it as stored."""
        before = self._existing(resource, place)
        meta, name = metadata(item), place[1]
        self._check_version(resource, name, text_at(meta, "resourceVersion"), before)
        objectmeta.prepare_changed(item, before)
        kind = KINDS[resource.kind]
        kind.default(item)
        kind.carry_over(item, before)
        if resource.has_generation:
            objectmeta.bump_generation(item, before)
        problems = objectmeta.problems_of_change(item, before) + kind.problems(item, before)
        if not problems and resource is SERVICES:
            problems = self._addresses.allocate(item, before)
        if problems:
            raise invalid_object(resource.kind, resource.group, name, problems)
        meta["resourceVersion"] = metadata(before)["resourceVersion"]
        if item == before:
            return before
        if options.dry_run:
            return item
        if meta.get("deletionTimestamp") and not meta.get("finalizers") and resource.namespaced:
            self._store.remove(resource.plural, place)
            return item
        return self._store.put(resource.plural, place, item)

    def delete(
        self, resource: Resource, place: Place, options: Object, *, dry_run: bool = False
    ) -> tuple[Object, bool]:
        """Delete an object; return it as it was last, and whether it is gone."""
        item = self._existing(resource, place)
        _check_preconditions(resource, place[1], item, as_object(options.get("preconditions")))
        if resource is NAMESPACES:
            return self._terminate(place, item, dry_run=dry_run), False
        if dry_run:
            return item, True
        if metadata(item).get("finalizers"):
            if "deletionTimestamp" in metadata(item):
                return item, False
            return self._store.put(resource.plural, place, self._marked(item)), False
        return self._store.remove(resource.plural, place), True

    def timestamp(self) -> str:
        """Return the time as objects show it."""
        return self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _existing(self, resource: Resource, place: Place) -> Object:
        item = self._store.get(resource.plural, place)
        if item is None:
            raise resource.not_found(place[1])
        return item

    def _marked(self, item: Object) -> Object:
        marked = copy(item)
        metadata(marked)["deletionTimestamp"] = self.timestamp()
        metadata(marked)["deletionGracePeriodSeconds"] = 0
        return marked

    def _terminate(self, place: Place, item: Object, *, dry_run: bool) -> Object:
        name = place[1]
        if name in PROTECTED:
            message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
            raise failure(403, "Forbidden", message, kind="namespaces", name=name)
        if dry_run or "deletionTimestamp" in metadata(item):
            return item
        ending = copy(item)
        metadata(ending)["deletionTimestamp"] = self.timestamp()
        ending["status"] = {"phase": "Terminating"}
        return self._store.put(NAMESPACES.plural, place, ending)

    def _check_lifecycle(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.namespaced:
            return
        found = self._store.get(NAMESPACES.plural, ("", namespace))
        if found is None:
            raise not_found("namespaces", "", namespace)
        if "deletionTimestamp" not in metadata(found):
            return
        named = f' "{name}"' if name else ""
        message = (
            f"{resource.full_name}{named} is forbidden: unable to create new content in namespace"
            f" {namespace} because it is being terminated"
        )
        cause: Object = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
        raise failure(
            403,
            "Forbidden",
            message,
            group=resource.group,
            kind=resource.plural,
            name=name,
            causes=[cause],
        )

    def _check_version(self, resource: Resource, name: str, version: str, before: Object) -> None:
        if version and not is_number(version):
            message = f'strconv.ParseUint: parsing "{version}": invalid syntax'
            raise StatusError(500, "", message)
        if version in {"", "0"}:
            if resource.needs_version:
                problem = invalid("metadata.resourceVersion", 0, "must be specified for an update")
                raise invalid_object(resource.plural, resource.group, name, [problem])
        elif version != metadata(before)["resourceVersion"]:
            raise conflict(resource.plural, resource.group, name)


def _wrong_uid(resource: Resource, place: Place, sent: str, found: str) -> StatusError:
    key = "/".join(filter(None, ("/registry", KINDS[resource.kind].folder, *place)))
    why = (
        f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0,"
        f" AdditionalErrorMsg: Precondition failed: UID in precondition: {sent}, UID in object"
        f" meta: {found}"
    )
    return conflict(resource.plural, resource.group, place[1], why)


def _check_preconditions(resource: Resource, name: str, item: Object, wanted: Object) -> None:
    meta = metadata(item)
    for key, field, then in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        sent: Json = wanted.get(key)
        if sent is not None and sent != meta.get(key):
            why = (
                f"the {field} in the precondition ({sent}) does not match the {field} in record"
                f" ({meta.get(key)}). The object might have been {then}"
            )
            raise conflict(resource.kind, resource.group, name, why)
