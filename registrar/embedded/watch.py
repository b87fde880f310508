"""One watch: the changes from a version on, as lines of JSON, for as long as somebody reads.

It must never hold more than a handful of events for a reader that doesn't read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from itertools import islice

from registrar.embedded.request import ConnectionLost
from registrar.embedded.selectors import Selector
from registrar.embedded.store import Change, Store
from registrar.embedded.values import Json, Object, as_object, copy, encode

BOOKMARK_S = 60.0
BEFORE_END_S = 2.0
"""So long before its timeout a watch gets a last bookmark."""
EARLY_S = 0.001
"""An event loop's timers fire a little early; to wait for the rest would be a loop without end."""
BATCH = 100
_INITIAL_END = "k8s.io/initial-events-end"


@dataclass(frozen=True)
class Wanted:
    """What a watch is to say. `render` makes of an object what is sent."""

    resource: str
    namespace: str
    selector: Selector
    version: int
    bookmark: Object
    """A bookmark, but for its version."""
    render: Callable[[Object], Json]
    initial: bool = False
    """Begin with all there is."""
    initial_end: bool = False
    """And say where that ends."""
    bookmarks: bool = False
    timeout: float | None = None


class Watch:
    """Says what is wanted of a store. `is_deaf` tells when it must say nothing."""

    def __init__(self, store: Store, wanted: Wanted, is_deaf: Callable[[], bool]) -> None:
        self.wanted = wanted
        self._store = store
        self._is_deaf = is_deaf
        self._woken = asyncio.Event()
        self._is_cut = False
        self._cursor = wanted.version
        self._initial: list[Object] = []
        if wanted.initial:
            self._cursor = store.version
            found = store.all(wanted.resource, wanted.namespace)
            self._initial = [item for _, item in found if wanted.selector.matches(item)]
        self._now = asyncio.get_running_loop().time
        self._end = None if wanted.timeout is None else self._now() + wanted.timeout
        self._bookmark_at = self._next_bookmark()

    def wake(self) -> None:
        """Have it look at what is new."""
        self._woken.set()

    def cut(self) -> None:
        """Break the connection."""
        self._is_cut = True
        self.wake()

    async def lines(self) -> AsyncGenerator[bytes]:
        """Yield the events until the timeout, or until the reader is too slow.

        Raise ConnectionLost when it is cut.
        """
        for item in self._initial:
            if not await self._hears():
                return
            yield self._line("ADDED", item)
        self._initial.clear()
        if self.wanted.initial_end:
            yield self._bookmark({_INITIAL_END: "true"})
        while await self._hears():
            # In portions: the history may be cut short while the reader takes its time.
            changes = list(islice(self._store.since(self._cursor), BATCH))
            if changes and not self._store.remembers(self._cursor):
                return
            for change in changes:
                self._cursor = change.version
                if line := self._of(change):
                    yield line
            if changes:
                continue
            if self._bookmark_at is not None and self._has_come(self._bookmark_at):
                self._bookmark_at = self._next_bookmark()
                yield self._bookmark({})
            await self._sleep()

    async def _hears(self) -> bool:
        # False once it is over: what a deaf watch missed is not told at its end.
        while self._is_deaf() and not self._is_cut and not self._is_over():
            await self._sleep()
        if self._is_cut:
            raise ConnectionLost("the watch was cut")
        return not self._is_over()

    def _of(self, change: Change) -> bytes | None:
        wanted = self.wanted
        if change.resource != wanted.resource or wanted.namespace not in {"", change.namespace}:
            return None
        is_there = change.type != "DELETED" and wanted.selector.matches(change.object)
        was_there = change.before is not None and wanted.selector.matches(change.before)
        if is_there:
            return self._line("MODIFIED" if was_there else "ADDED", change.object)
        if not was_there or change.before is None:
            return None
        # As it was last seen, with the version of its going.
        meta = {**as_object(change.before["metadata"]), "resourceVersion": str(change.version)}
        return self._line("DELETED", {**change.before, "metadata": meta})

    def _line(self, type_: str, item: Object) -> bytes:
        return encode({"type": type_, "object": self.wanted.render(item)}) + b"\n"

    def _bookmark(self, annotations: Object) -> bytes:
        self._cursor = max(self._cursor, self._store.version)
        item = copy(self.wanted.bookmark)
        meta = as_object(item["metadata"])
        meta["resourceVersion"] = str(self._cursor)
        if annotations:
            meta["annotations"] = annotations
        return encode({"type": "BOOKMARK", "object": item}) + b"\n"

    def _next_bookmark(self) -> float | None:
        if not self.wanted.bookmarks:
            return None
        at = self._now() + BOOKMARK_S
        if self._end is not None:
            last = self._end - BEFORE_END_S
            if last < at and not self._has_come(last):
                return last
        return at

    def _is_over(self) -> bool:
        return self._end is not None and self._has_come(self._end)

    def _has_come(self, moment: float) -> bool:
        return self._now() >= moment - EARLY_S

    async def _sleep(self) -> None:
        bookmark_at = None if self._is_deaf() else self._bookmark_at
        moments = [at for at in (self._end, bookmark_at) if at is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(min(moments, default=None)):
                await self._woken.wait()
        self._woken.clear()
