"""The objects of one kind in one namespace as last heard of, by the Services that they concern.

News comes by several ways, and out of order: what is older than what is known changes nothing.
Objects are kept compact, for most are hardly ever looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Generic

import msgspec

from registrar.cluster.client import ObjectT
from registrar.cluster.compact import compact, expand

MOST_DIGITS = 20
"""Of a number of 64 bits; int() refuses one of thousands."""


class Kept(msgspec.Struct, frozen=True, gc=False):
    """An object as it is kept; `service` is the one that it concerns."""

    name: str
    service: str
    version: int
    data: bytes


class Known(Generic[ObjectT]):
    """What is known. `service_of` says which Service an object concerns, None if of no interest."""

    def __init__(self, kind: type[ObjectT], service_of: Callable[[ObjectT], str | None]) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._service_of = service_of
        self._objects: dict[str, Kept] = {}
        self._by_service: dict[str, tuple[Kept, ...]] = {}
        self._gone: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._objects

    def get(self, name: str) -> ObjectT | None:
        """Return an object, None if there is none."""
        kept = self._objects.get(name)
        return None if kept is None else self._read(kept)

    def of(self, service: str) -> tuple[ObjectT, ...]:
        """Return the objects that concern a Service, by name."""
        return tuple(self._read(kept) for kept in self.kept(service))

    def kept(self, service: str) -> tuple[Kept, ...]:
        """Return the same as they are kept: the very same for as long as nothing changes."""
        return self._by_service.get(service, ())

    @property
    def services(self) -> frozenset[str]:
        """The names of all Services that an object concerns."""
        return frozenset(self._by_service)

    def version(self, name: str) -> int:
        """Return the resourceVersion of an object, -1 if there is none."""
        kept = self._objects.get(name)
        return -1 if kept is None else kept.version

    def put(self, new: ObjectT) -> tuple[str, ...]:
        """Note an object; return the names of the Services that are concerned."""
        name, version = new.metadata.name, number(new.metadata.resource_version)
        if version <= max(self.version(name), self._gone.get(name, -1)):
            return ()
        service = self._service_of(new)
        if service is None:
            return self._set(name, None)
        return self._set(name, Kept(name, service, version, compact(new)))

    def remove(self, name: str, version: int) -> tuple[str, ...]:
        """Note that an object is gone; return as `put` does."""
        return () if version < self.version(name) else self._set(name, None)

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

    def sort_anew(self, wanted: Collection[str]) -> None:
        """Let go of what is of no interest any more; what concerns a wanted Service always is."""
        doubtful = [kept for kept in self._objects.values() if kept.service not in wanted]
        for kept in doubtful:
            if self._service_of(self._read(kept)) is None:
                self._set(kept.name, None)

    def _read(self, kept: Kept) -> ObjectT:
        return self._decoder.decode(expand(kept.data))

    def _set(self, name: str, new: Kept | None) -> tuple[str, ...]:
        old = self._objects.pop(name, None)
        if old is not None:
            self._index(old.service, (one for one in self.kept(old.service) if one is not old))
        if new is not None:
            self._objects[name] = new
            self._index(new.service, (*self.kept(new.service), new))
        return tuple(dict.fromkeys(one.service for one in (old, new) if one is not None))

    def _index(self, service: str, all_of_it: Iterable[Kept]) -> None:
        if found := tuple(sorted(all_of_it, key=lambda kept: kept.name)):
            self._by_service[service] = found
        else:
            del self._by_service[service]


def number(version: str) -> int:
    """Return a resourceVersion as it compares."""
    # Comparable as integers since Kubernetes 1.35 by contract (KEP-5504), and before in fact.
    is_one = version.isascii() and version.isdigit() and len(version) <= MOST_DIGITS
    return int(version) if is_one else 0
