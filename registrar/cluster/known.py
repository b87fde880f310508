"""The objects of one kind in one namespace as last heard of, by the Services that they concern.

News comes by several ways, and out of order: what is older than what is known changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Generic

from registrar.cluster.client import ObjectT

MOST_DIGITS = 20
"""Of a number of 64 bits; int() refuses one of thousands."""


class Known(Generic[ObjectT]):
    """What is known. `service_of` says which Service an object concerns, None if of no interest."""

    def __init__(self, service_of: Callable[[ObjectT], str | None]) -> None:
        self._service_of = service_of
        self._objects: dict[str, ObjectT] = {}
        self._concerns: dict[str, str] = {}
        self._by_service: dict[str, dict[str, ObjectT]] = {}
        self._gone: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._objects

    def get(self, name: str) -> ObjectT | None:
        """Return an object, None if there is none."""
        return self._objects.get(name)

    def of(self, service: str) -> tuple[ObjectT, ...]:
        """Return the objects that concern a Service, by name."""
        found = self._by_service.get(service, {})
        return tuple(found[name] for name in sorted(found))

    @property
    def all(self) -> tuple[ObjectT, ...]:
        """All objects, by name."""
        return tuple(self._objects[name] for name in sorted(self._objects))

    @property
    def services(self) -> frozenset[str]:
        """The names of all Services that an object concerns."""
        return frozenset(self._by_service)

    def put(self, new: ObjectT) -> tuple[str, ...]:
        """Note an object; return the names of the Services that are concerned."""
        name, version = new.metadata.name, number(new.metadata.resource_version)
        old = self._objects.get(name)
        if old is not None and version <= number(old.metadata.resource_version):
            return ()
        if version <= self._gone.get(name, -1):
            return ()
        return self._set(name, new)

    def remove(self, name: str, version: int) -> tuple[str, ...]:
        """Note that an object is gone; return as `put` does."""
        old = self._objects.get(name)
        if old is None or version < number(old.metadata.resource_version):
            return ()
        return self._set(name, None)

    def remove_others(self, names: Collection[str], version: int) -> tuple[str, ...]:
        """Note that all objects but these are gone; return as `put` does."""
        gone = self._objects.keys() - names
        return tuple(service for name in gone for service in self.remove(name, version))

    def bury(self, name: str, version: int) -> None:
        """Have no older news bring an object back, until `forget_gone`."""
        self._gone[name] = max(version, self._gone.get(name, -1))

    def forget_gone(self, position: int) -> None:
        """Nothing older than `position` is still on its way."""
        if self._gone:
            self._gone = {name: gone for name, gone in self._gone.items() if gone >= position}

    def sort_anew(self) -> None:
        """Let go of what is of no interest any more."""
        for name, item in list(self._objects.items()):
            if self._service_of(item) is None:
                self._set(name, None)

    def _set(self, name: str, new: ObjectT | None) -> tuple[str, ...]:
        before = self._concerns.pop(name, None)
        after = None if new is None else self._service_of(new)
        if before is not None:
            del self._by_service[before][name]
            if not self._by_service[before]:
                del self._by_service[before]
        if new is None or after is None:
            self._objects.pop(name, None)
        else:
            self._objects[name] = new
            self._concerns[name] = after
            self._by_service.setdefault(after, {})[name] = new
        return tuple(service for service in dict.fromkeys((before, after)) if service is not None)


def number(version: str) -> int:
    """Return a resourceVersion as it compares."""
    # Comparable as integers since Kubernetes 1.35 by contract (KEP-5504), and before in fact.
    is_one = version.isascii() and version.isdigit() and len(version) <= MOST_DIGITS
    return int(version) if is_one else 0
