"""PATCH: which kind of patch it is, what it makes of the object, and storing that.

It must never store what the patch made without the checks of an update.
"""

from __future__ import annotations

import msgspec

from registrar.embedded import patch
from registrar.embedded.bodies import (
    Options,
    decode,
    load_patch,
    media_type,
    shaped,
    unsupported_patch,
)
from registrar.embedded.decoding import BadShape
from registrar.embedded.objectmeta import check_name
from registrar.embedded.request import Request
from registrar.embedded.resources import Resource
from registrar.embedded.status import bad_request, invalid, invalid_object, not_found, required
from registrar.embedded.store import Place, Store
from registrar.embedded.values import Json, Object, as_object, as_text, copy, encode, metadata
from registrar.embedded.writes import Writes

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = frozenset({"application/apply-patch+yaml", "application/apply-patch+cbor"})


class Patches:
    """The patches of one store. It remembers what each field manager applied last."""

    def __init__(self, store: Store, writes: Writes) -> None:
        self._store = store
        self._writes = writes
        self._applied: dict[tuple[str, str], Object] = {}

    def patch(
        self, resource: Resource, place: Place, request: Request, options: Options
    ) -> tuple[Object, bool]:
        """Patch an object; return it as stored, and whether it was created."""
        media = media_type(request)
        if media not in {MERGE, JSON, STRATEGIC, *APPLY}:
            raise unsupported_patch()
        try:
            body = load_patch(request)
        except msgspec.DecodeError:
            raise bad_request("invalid JSON patch") from None
        if media in APPLY:
            return self._apply(resource, place, as_object(body), options)
        before = self._store.get(resource.plural, place)
        if before is None:
            raise not_found(resource.plural, resource.group, place[1])
        whole = _whole(resource, before)
        if media == JSON:
            made: Json = patch.json_patch(whole, body)
        elif media == MERGE:
            made = patch.merge(whole, body)
        else:
            made = patch.strategic(whole, as_object(body), resource.type)
        item = _shaped(resource, as_object(made), options)
        check_name(metadata(item), place[1])
        return self._writes.update(resource, place, item, options), False

    def _apply(
        self, resource: Resource, place: Place, config: Object, options: Options
    ) -> tuple[Object, bool]:
        if not options.manager:
            problem = required("fieldManager", "is required for apply patch")
            raise invalid_object("PatchOptions", "meta.k8s.io", "", [problem])
        if not config.get("apiVersion"):
            kind = as_text(config.get("kind"))
            raise bad_request(f"invalid object type: /, Kind={kind}")
        decode(copy(config), resource, options)
        before = self._store.get(resource.plural, place)
        if before is None:
            item = _shaped(resource, copy(config), options)
            done = self._writes.create(resource, place[0], item, options)
        else:
            key = (as_text(metadata(before).get("uid")), options.manager)
            last = self._applied.get(key, {})
            made = patch.apply(_whole(resource, before), config, last, resource.type)
            item = _shaped(resource, as_object(made), options)
            done = self._writes.update(resource, place, item, options)
        if not options.dry_run:
            self._applied[as_text(metadata(done).get("uid")), options.manager] = config
        return done, before is None


def _whole(resource: Resource, item: Object) -> Object:
    return copy({"apiVersion": resource.version, "kind": resource.kind, **item})


def _shaped(resource: Resource, made: Object, options: Options) -> Object:
    try:
        return shaped(made, resource, options)
    except BadShape as error:
        shown = encode(made).decode()
        raise invalid_object("", "", "", [invalid("patch", shown, str(error))]) from None
