"""How objects are sent: whole or as tables, one or many, under the name of their group.

It must never change what is stored.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from registrar.embedded.decoding import blank
from registrar.embedded.request import Request, Response
from registrar.embedded.resources import Resource
from registrar.embedded.status import failure
from registrar.embedded.tables import partial, table
from registrar.embedded.values import Json, Object, encode, metadata

_REPRESENTATIONS = (
    "application/json, application/yaml, application/vnd.kubernetes.protobuf,"
    " application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
)


@dataclass(frozen=True)
class Accepted:
    """What a client wants: a table, and what of the object its rows should hold."""

    as_table: bool = False
    include: str = "Metadata"


def accepted(request: Request) -> Accepted:
    """Return what a request accepts. Raise StatusError, 406, if there is nothing we have."""
    for part in request.headers.get("accept", "*/*").split(","):
        media, *parameters = [word.strip() for word in part.split(";")]
        if media not in {"application/json", "application/*", "*/*"}:
            continue
        if "as=Table" in parameters:
            include = request.query.get("includeObject", "Metadata")
            return Accepted(as_table=True, include=include)
        if not any(word.startswith("as=") for word in parameters):
            return Accepted()
    words = f"406: Not Acceptable\n\nAvailable representations: {_REPRESENTATIONS}"
    raise failure(406, "NotAcceptable", words)


class Render:
    """Renders the objects of one answer."""

    def __init__(self, resource: Resource, wanted: Accepted, now: Callable[[], datetime]) -> None:
        self._resource = resource
        self._wanted = wanted
        self._now = now
        self._is_first = True
        self._names = {stored: name for name, stored in resource.renamed.items()}

    def one(self, item: Object) -> Object:
        """Return an object with its kind, or a table of it."""
        if self._wanted.as_table:
            version = metadata(item).get("resourceVersion", "")
            return self._table([item], {"resourceVersion": version})
        return self._whole(item)

    def many(self, items: Sequence[Object], meta: Object) -> Object:
        """Return a list."""
        if self._wanted.as_table:
            return self._table(items, meta)
        kind, version = f"{self._resource.kind}List", self._resource.version
        listed: list[Json] = [self._view(item) for item in items]
        return {"kind": kind, "apiVersion": version, "metadata": meta, "items": listed}

    def event(self, item: Object) -> Object:
        """Return an object as a watch sends it: only its first table has columns."""
        rendered = self.one(item)
        if self._wanted.as_table and not self._is_first:
            rendered["columnDefinitions"] = None
        self._is_first = False
        return rendered

    def bookmark(self) -> Object:
        """Return what a bookmark holds, but for its version."""
        return self._whole(blank(self._resource.type))

    def deleted(self, item: Object) -> Object:
        """Return what says that an object is gone."""
        details: Object = {"name": metadata(item)["name"]}
        if self._resource.group:
            details["group"] = self._resource.group
        details |= {"kind": self._resource.plural, "uid": metadata(item)["uid"]}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }

    def response(
        self, status: int, body: Json | AsyncGenerator[bytes], warnings: Sequence[str] = ()
    ) -> Response:
        """Return the answer with its headers."""
        headers = {"content-type": "application/json"}
        if said := [word for word in (self._resource.warning, *warnings) if word]:
            headers["warning"] = ", ".join(f"299 - {encode(word).decode()}" for word in said)
        data = body if isinstance(body, AsyncGenerator) else encode(body)
        return Response(status, data, headers)

    def _view(self, item: Object) -> Object:
        if not self._names:
            return item
        return {self._names.get(key, key): value for key, value in item.items()}

    def _whole(self, item: Object) -> Object:
        kind, version = self._resource.kind, self._resource.version
        return {"kind": kind, "apiVersion": version, **self._view(item)}

    def _table(self, items: Sequence[Object], meta: Object) -> Object:
        rows = [(item, self._row_object(item)) for item in items]
        return table(self._resource, rows, meta, self._now())

    def _row_object(self, item: Object) -> Json:
        if self._wanted.include == "Object":
            return self._whole(item)
        return None if self._wanted.include == "None" else partial(item)
