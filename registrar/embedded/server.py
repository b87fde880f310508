"""The API server: one coroutine from a Request to a Response, with everything in memory.

It must never do I/O, nor look at another clock than its event loop's and the one it is given.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random

import msgspec

from registrar.embedded.addresses import RANGES
from registrar.embedded.bodies import Options, options_of, read
from registrar.embedded.controllers import Controllers
from registrar.embedded.discovery import without_target
from registrar.embedded.faults import Break, Delay, Fault, Faults, Refuse, Silence, refusal
from registrar.embedded.patching import Patches
from registrar.embedded.reads import list_page
from registrar.embedded.render import Render, accepted
from registrar.embedded.request import (
    ConnectionLost,
    Request,
    Response,
    Seen,
    Target,
    target_of,
)
from registrar.embedded.resources import NAMESPACES, SERVICE_CIDRS
from registrar.embedded.status import StatusError, bad_request, not_allowed, too_large
from registrar.embedded.store import Change, Place, Store
from registrar.embedded.values import Json, Object, as_object, encode, metadata, parse
from registrar.embedded.watches import Watches
from registrar.embedded.writes import Writes

MOST_BYTES = 3 * 1024 * 1024
START_NAMESPACES = ("default", "kube-system")
_WRITES = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}


class ApiServer:
    """An API server of its own, empty but for the namespaces and the ranges that every cluster has.

    `controllers` says whether owned objects and Endpoints go with what they belong to; `changes`
    and `requests` are how many of each are remembered. Use it within one event loop.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: Random | None = None,
        controllers: bool = False,
        changes: int = 100_000,
        requests: int = 100_000,
    ) -> None:
        self.faults = Faults(self._wake)
        self.requests: deque[Seen] = deque(maxlen=requests)
        self._now = now
        self._store = Store(now, _seconds, changes)
        # Not a secret: it makes uids and the ends of names.
        self._writes = Writes(self._store, now, rng or Random())  # noqa: S311  it guards nothing
        self._patches = Patches(self._store, self._writes)
        self._watches = Watches(self._store, self.faults)
        Controllers(self._store, all_=controllers)
        for name in START_NAMESPACES:
            item = _new_namespace(name)
            self._writes.create(NAMESPACES, "", item, Options())
        cidrs: list[Json] = [str(network) for network in RANGES.values()]
        own: Object = {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": cidrs}, "status": {}}
        self._writes.create(SERVICE_CIDRS, "", own, Options())

    # --- for tests and checkers ----------------------------------------------------------------

    @property
    def history(self) -> Sequence[Change]:
        """Every change, the oldest first, as far as they are remembered."""
        return self._store.history

    @property
    def version(self) -> int:
        """The resourceVersion of the last change."""
        return self._store.version

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """Return an object by its resource's plural name. It must not be changed."""
        return self._store.get(resource, (namespace, name))

    def listen(self, heard: Callable[[Change], None]) -> None:
        """Have every change told as it happens, before whoever asked for it has an answer."""
        self._store.listeners.append(heard)

    def compact(self) -> None:
        """Make every version before now too old to watch from, and every open list's end."""
        self._store.compact()

    def cut_watches(self, resource: str = "", namespace: str = "") -> int:
        """Break the open watches of a resource and a namespace, or all; return how many."""
        return self._watches.cut(resource, namespace)

    def watching(self, resource: str = "") -> int:
        """Return how many watches are open."""
        return self._watches.count(resource)

    # --- requests ------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Response:
        """Answer a request. Raise ConnectionLost where a fault breaks the connection."""
        came, status = _seconds(), 0
        target = target_of(request)
        try:
            response = await self._answer(request, target)
            status = response.status
        finally:
            self._note(request, target, status, came)
        return response

    async def _answer(self, request: Request, target: Target | None) -> Response:
        try:
            if target is None or target.subresource:
                return without_target(request)
            if len(request.body) > MOST_BYTES:
                raise too_large(MOST_BYTES)
            agent = request.headers.get("user-agent", "")
            after = await self._meet(self.faults.met_by(target, agent), target)
            self._store.asker = agent
            try:
                response = self._respond(request, target)
            finally:
                self._store.asker = ""
            await _lose(after)
        except StatusError as error:
            return _failed(error)
        return response

    async def _meet(self, faults: list[Fault], target: Target) -> Fault | None:
        after: Fault | None = None
        for fault in faults:
            if isinstance(fault, Delay):
                await asyncio.sleep(fault.seconds)
            elif isinstance(fault, Refuse):
                raise refusal(fault, target)
            elif isinstance(fault, Silence | Break):
                if not fault.applied:
                    await _lose(fault)
                after = fault
        return after

    def _respond(self, request: Request, target: Target) -> Response:
        if target.verb not in target.resource.verbs:
            raise not_allowed()
        if (target.verb in {"update", "patch", "delete", "get"}) is not bool(target.name):
            raise not_allowed()
        render = Render(target.resource, accepted(request), self._now)
        if target.verb == "watch":
            return self._watches.open(request, target, render)
        place = (target.namespace, target.name)
        status, options = 200, Options()
        if target.verb == "list":
            page = list_page(self._store, target, request.query)
            body: Json = render.many(page.items, page.metadata)
        elif target.verb == "get":
            body = render.one(self._found(target, place))
        elif target.verb in {"delete", "deletecollection"}:
            body = self._delete(request, target, render)
        else:
            options = options_of(request.query, _WRITES[request.method])
            item, created = self._write(request, target, place, options)
            status, body = (201 if created else 200), render.one(item)
        return render.response(status, body, options.warnings)

    def _found(self, target: Target, place: Place) -> Object:
        item = self._store.get(target.resource.plural, place)
        if item is None:
            raise target.resource.not_found(target.name)
        return item

    def _write(
        self, request: Request, target: Target, place: Place, options: Options
    ) -> tuple[Object, bool]:
        resource = target.resource
        if target.verb == "patch":
            return self._patches.patch(resource, place, request, options)
        item = read(request, resource, options)
        if target.verb == "create":
            return self._writes.create(resource, target.namespace, item, options), True
        return self._writes.replace(resource, place, item, options)

    def _delete(self, request: Request, target: Target, render: Render) -> Json:
        try:
            sent = as_object(parse(request.body)) if request.body else {}
        except msgspec.DecodeError:
            raise bad_request("the DeleteOptions can't be read") from None
        dry = "All" in {request.query.get("dryRun"), *map(str, _dry_runs(sent))}
        resource = target.resource
        if target.verb == "delete":
            place = (target.namespace, target.name)
            item, gone = self._writes.delete(resource, place, sent, dry_run=dry)
            if gone and not resource.returns_deleted:
                return render.deleted(item)
            return render.one(item)
        query = {key: value for key, value in request.query.items() if key != "limit"}
        page = list_page(self._store, target, query)
        for item in page.items:
            meta = metadata(item)
            place = (str(meta.get("namespace") or ""), str(meta["name"]))
            self._writes.delete(resource, place, {}, dry_run=dry)
        return render.many(page.items, {"resourceVersion": str(self._store.version)})

    def _wake(self) -> None:
        self._watches.wake()

    def _note(self, request: Request, target: Target | None, status: int, came: float) -> None:
        what = ("", "", "", "")
        if target is not None:
            what = (target.verb, target.resource.plural, target.namespace, target.name)
        agent = request.headers.get("user-agent", "")
        self.requests.append(Seen(request.method, *what, agent, status, came))


async def _lose(fault: Fault | None) -> None:
    if isinstance(fault, Silence):
        await asyncio.Event().wait()
    elif isinstance(fault, Break):
        raise ConnectionLost("the connection broke")


def _dry_runs(options: Object) -> list[Json]:
    found = options.get("dryRun")
    return found if isinstance(found, list) else []


def _failed(error: StatusError) -> Response:
    headers = {"content-type": "application/json"}
    after = as_object(error.status.get("details")).get("retryAfterSeconds")
    if after is not None:
        headers["retry-after"] = str(after)
    return Response(error.code, encode(error.status), headers)


def _new_namespace(name: str) -> Object:
    return {"metadata": {"name": name}, "spec": {}, "status": {}}


def _seconds() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0  # what is there before the loop runs
