"""What real clusters' controllers do beside the API server, as far as registrar can notice.

It must never act in the same step as the change it follows: a real one is always later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from registrar.embedded.resources import ENDPOINTS, NAMESPACES, RESOURCES, SERVICES
from registrar.embedded.store import Change, Store
from registrar.embedded.values import Object, metadata, objects_at, text_at


class Controllers:
    """Empties ending namespaces; if `all_` are wanted, also collects what is owned by nothing.

    That is: objects whose owners are gone, and Endpoints whose Service is.
    """

    def __init__(self, store: Store, *, all_: bool) -> None:
        self._store = store
        self._all = all_
        self._uids: set[str] = set()
        store.listeners.append(self._note)

    def _note(self, change: Change) -> None:
        uid = text_at(change.object, "metadata", "uid")
        if change.type == "DELETED":
            self._uids.discard(uid)
        else:
            self._uids.add(uid)
        if change.resource == NAMESPACES.plural and _is_ending(change.object):
            if change.type != "DELETED":
                _later(lambda: self._empty(change.name))
        elif self._all:
            self._follow(change, uid)

    def _follow(self, change: Change, uid: str) -> None:
        if change.type == "DELETED":
            if change.resource == SERVICES.plural:
                place = (change.namespace, change.name)
                _later(lambda: self._drop_endpoints(place))
            _later(lambda: self._collect(change.namespace, uid))
            return
        owners = [
            text_at(o, "uid") for o in objects_at(change.object, "metadata", "ownerReferences")
        ]
        if owners and not self._uids.intersection(owners):
            _later(lambda: self._collect(change.namespace, owners[0]))

    def _empty(self, namespace: str) -> None:
        for plural in dict.fromkeys(r.plural for r in RESOURCES if r.namespaced):
            for place, _ in self._store.all(plural, namespace):
                self._store.remove(plural, place)
        item = self._store.get(NAMESPACES.plural, ("", namespace))
        if item is not None and not metadata(item).get("finalizers"):
            self._store.remove(NAMESPACES.plural, ("", namespace))

    def _drop_endpoints(self, place: tuple[str, str]) -> None:
        gone = self._store.get(SERVICES.plural, place) is None
        if gone and self._store.get(ENDPOINTS.plural, place) is not None:
            self._store.remove(ENDPOINTS.plural, place)

    def _collect(self, namespace: str, owner: str) -> None:
        for plural in dict.fromkeys(r.plural for r in RESOURCES if r.namespaced):
            for place, item in self._store.all(plural, namespace):
                owners = _owners(item)
                if owner in owners and not self._uids.intersection(owners):
                    self._store.remove(plural, place)


def _owners(item: Object) -> list[str]:
    return [text_at(owner, "uid") for owner in objects_at(item, "metadata", "ownerReferences")]


def _is_ending(namespace: Object) -> bool:
    return "deletionTimestamp" in metadata(namespace)


def _later(work: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(work)
