"""The open watches: how one is asked for, who is woken by a change, and how they are cut.

It must never keep a watch that nobody reads any more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from registrar.embedded.faults import Faults
from registrar.embedded.reads import check_not_too_old, selector_of, watch_start
from registrar.embedded.render import Render
from registrar.embedded.request import Request, Response, Target, is_true
from registrar.embedded.status import StatusError, bad_request
from registrar.embedded.store import Change, Store
from registrar.embedded.values import encode, is_number
from registrar.embedded.watch import Wanted, Watch


class Watches:
    """The open watches of one store."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self._open: dict[Watch, Target] = {}
        store.listeners.append(self._tell)

    def open(self, request: Request, target: Target, render: Render) -> Response:
        """Answer with the stream that a request asks for. Raise StatusError if it can't be."""
        query, agent = request.query, request.headers.get("user-agent", "")
        selector = selector_of(target, query)
        seconds = query.get("timeoutSeconds", "")
        start = watch_start(self._store, query)
        if seconds and not is_number(seconds):
            raise bad_request(f'strconv.ParseInt: parsing "{seconds}": invalid syntax')
        wanted = Wanted(
            resource=target.resource.plural,
            namespace=target.namespace,
            selector=selector,
            version=start.version,
            bookmark=render.bookmark(),
            render=render.event,
            initial=start.initial,
            initial_end=start.initial_end,
            bookmarks=is_true(query, "allowWatchBookmarks"),
            timeout=float(seconds) if seconds else None,
        )
        try:
            check_not_too_old(self._store, start)
        except StatusError as error:
            return render.response(200, _one_line(error))
        watch = Watch(self._store, wanted, lambda: self._faults.are_deaf(target, agent))
        return render.response(200, self._lines(watch, target))

    def cut(self, resource: str, namespace: str) -> int:
        """Break those of a resource and a namespace, where given; return how many."""
        cut = [
            watch
            for watch, target in self._open.items()
            if resource in {"", target.resource.plural} and namespace in {"", target.namespace}
        ]
        for watch in cut:
            watch.cut()
        return len(cut)

    def count(self, resource: str) -> int:
        """Return how many are open, of one resource if given."""
        return sum(resource in {"", target.resource.plural} for target in self._open.values())

    def wake(self) -> None:
        """Have all look at what is new."""
        for watch in self._open:
            watch.wake()

    async def _lines(self, watch: Watch, target: Target) -> AsyncGenerator[bytes]:
        self._open[watch] = target
        try:
            async for line in watch.lines():
                yield line
        finally:
            del self._open[watch]

    def _tell(self, change: Change) -> None:
        for watch in self._open:
            if watch.wanted.resource == change.resource:
                watch.wake()


async def _one_line(error: StatusError) -> AsyncGenerator[bytes]:
    yield encode({"type": "ERROR", "object": error.status}) + b"\n"
