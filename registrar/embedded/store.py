"""The objects and their history: one global resourceVersion, every version noted with its time.

It must never change an object in place, nor forget a change while its history has room for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from registrar.embedded.values import Object, copy, metadata, text_at

Place = tuple[str, str]
"""Namespace (empty for what has none) and name."""


@dataclass(frozen=True, slots=True)
class Change:
    """An object came to be, changed or went. `object` is what it is now, or was last."""

    version: int
    at: datetime
    seconds: float
    """The event loop's time."""
    type: str
    """ADDED, MODIFIED or DELETED."""
    resource: str
    namespace: str
    name: str
    object: Object
    before: Object | None
    by: str
    """The user agent of whoever asked for it; empty for what controllers do."""


class Store:
    """Every object by resource and place. `keep` is how many changes are remembered."""

    def __init__(
        self, now: Callable[[], datetime], seconds: Callable[[], float], keep: int
    ) -> None:
        self.version = 1
        self.compacted = 1
        self.history: list[Change] = []
        self.listeners: list[Callable[[Change], None]] = []
        self.asker = ""
        self._now = now
        self._seconds = seconds
        self._keep = keep
        self._objects: dict[str, dict[Place, Object]] = {}

    def get(self, resource: str, place: Place) -> Object | None:
        """Return an object as it is; it must not be changed."""
        return self._objects.get(resource, {}).get(place)

    def all(self, resource: str, namespace: str = "") -> list[tuple[Place, Object]]:
        """Return the objects of a namespace, or of all, in the order of their places."""
        found = self._objects.get(resource, {})
        return sorted(
            ((place, item) for place, item in found.items() if namespace in {"", place[0]}),
            key=lambda pair: pair[0],
        )

    def all_at(self, resource: str, namespace: str, version: int) -> list[tuple[Place, Object]]:
        """Return what `all` returned at a version that is not compacted."""
        found = dict(self.all(resource, namespace))
        for change in reversed(self.history):
            if change.version <= version:
                break
            place = (change.namespace, change.name)
            if change.resource != resource or namespace not in {"", change.namespace}:
                continue
            if change.before is None:
                found.pop(place, None)
            else:
                found[place] = change.before
        return sorted(found.items(), key=lambda pair: pair[0])

    def since(self, version: int) -> Iterator[Change]:
        """Yield the changes after a version, as far as they are remembered."""
        start = bisect_right(self.history, version, key=lambda change: change.version)
        for index in range(start, len(self.history)):
            yield self.history[index]

    def remembers(self, version: int) -> bool:
        """Say whether every change after a version is remembered."""
        return not self.history or version >= self.history[0].version - 1

    def put(self, resource: str, place: Place, item: Object) -> Object:
        """Store an object, which is ours from now on, under a new version; return it."""
        before = self.get(resource, place)
        self.version += 1
        metadata(item)["resourceVersion"] = str(self.version)
        self._objects.setdefault(resource, {})[place] = item
        self._note("MODIFIED" if before else "ADDED", resource, place, item, before)
        return item

    def remove(self, resource: str, place: Place) -> Object:
        """Remove an object; return it as it was last, with the version of its end."""
        before = self._objects[resource].pop(place)
        self.version += 1
        last = {**before, "metadata": copy(metadata(before))}
        metadata(last)["resourceVersion"] = str(self.version)
        self._note("DELETED", resource, place, last, before)
        return last

    def compact(self) -> None:
        """Make every version before this one too old to watch from or to continue at."""
        self.compacted = self.version

    def _note(
        self, type_: str, resource: str, place: Place, item: Object, before: Object | None
    ) -> None:
        at, seconds = self._now(), self._seconds()
        change = Change(
            self.version, at, seconds, type_, resource, *place, item, before, self.asker
        )
        self.history.append(change)
        if len(self.history) > self._keep * 5 // 4:  # in portions, for each is a copy
            del self.history[: len(self.history) - self._keep]
            self.compacted = max(self.compacted, self.history[0].version - 1)
        for listener in self.listeners:
            listener(change)


def key_of(item: Object) -> Place:
    """Return the place that an object's metadata names."""
    return text_at(item, "metadata", "namespace"), text_at(item, "metadata", "name")
