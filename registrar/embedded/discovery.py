"""What the server says of itself: versions, groups, resources, and the OpenAPI that kubectl needs.

It must never announce what is not served.
"""

from __future__ import annotations

from collections.abc import Callable

from registrar.embedded.request import Request, Response
from registrar.embedded.resources import GROUPS, RESOURCES, Resource
from registrar.embedded.status import no_such_path, not_allowed
from registrar.embedded.values import Json, Object, encode

VERSION: Object = {
    "major": "1",
    "minor": "37",
    "gitVersion": "v1.37.0+embedded",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "",
}
HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


def document(path: str) -> Object | None:
    """Return the document that is served at a path, None if there is none."""
    found = _DOCUMENTS.get(path.rstrip("/") or "/")
    return found() if found else None


def _paths() -> Object:
    paths: list[Json] = [*sorted([*_DOCUMENTS, *HEALTH])]
    return {"paths": paths}


def _api_versions() -> Object:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _groups() -> Object:
    groups: list[Json] = [_group(name) for name in GROUPS]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(name: str) -> Object:
    version: Object = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": name,
        "versions": [version],
        "preferredVersion": version,
    }


def _resources(group: str) -> Object:
    ours: list[Json] = [_resource(r) for r in RESOURCES if r.group == group]
    version = f"{group}/v1" if group else "v1"
    document: Object = {"kind": "APIResourceList", "groupVersion": version, "resources": ours}
    return document | ({"apiVersion": "v1"} if group else {})


def _resource(resource: Resource) -> Object:
    found: Object = {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        found["shortNames"] = list(resource.short_names)
    if resource.plural == "services":
        found["categories"] = ["all"]
    return found


def _openapi_index() -> Object:
    roots = sorted({resource.root for resource in RESOURCES})
    return {
        "paths": {
            root.removeprefix("/"): {"serverRelativeURL": f"/openapi/v3{root}"} for root in roots
        }
    }


def _openapi(root: str) -> Object:
    """Return the least that lets kubectl see that fields are validated, and how it may patch."""
    paths: Object = {}
    for resource in RESOURCES:
        if resource.root != root:
            continue
        middle = "/namespaces/{namespace}" if resource.namespaced else ""
        kind: Object = {"group": resource.group, "version": "v1", "kind": resource.kind}
        parameters: list[Json] = [
            {"name": name, "in": "query", "schema": {"type": "string"}}
            for name in ("dryRun", "fieldManager", "fieldValidation")
        ]
        content: Object = {media: {"schema": {"type": "object"}} for media in _PATCHES}
        paths[f"{root}{middle}/{resource.plural}/{{name}}"] = {
            "patch": {
                "parameters": parameters,
                "requestBody": {"content": content},
                "responses": {},
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": kind,
            }
        }
    info: Object = {"title": "registrar's embedded API server", "version": "v1.37.0"}
    return {"openapi": "3.0.0", "info": info, "paths": paths}


def _documents() -> dict[str, Callable[[], Object]]:
    found: dict[str, Callable[[], Object]] = {
        "/": _paths,
        "/version": lambda: VERSION,
        "/api": _api_versions,
        "/apis": _groups,
        "/api/v1": lambda: _resources(""),
        "/openapi/v3": _openapi_index,
    }
    for name in GROUPS:
        found[f"/apis/{name}"] = lambda name=name: _group(name)  # type: ignore[misc]  # a default binds it now
        found[f"/apis/{name}/v1"] = lambda name=name: _resources(name)  # type: ignore[misc]  # as above
    for root in {resource.root for resource in RESOURCES}:
        found[f"/openapi/v3{root}"] = lambda root=root: _openapi(root)  # type: ignore[misc]  # as above
    return found


_DOCUMENTS = _documents()


def without_target(request: Request) -> Response:
    """Answer what is not about objects. Raise StatusError, 404 or 405, where there is nothing."""
    if request.path in HEALTH:
        return Response(200, b"ok", {"content-type": "text/plain; charset=utf-8"})
    found = document(request.path)
    if found is not None:
        if request.method != "GET":
            raise not_allowed()
        return Response(200, encode(found), {"content-type": "application/json"})
    if request.path.startswith(("/api/v1/", "/apis/")) and document(_root(request.path)):
        raise no_such_path()
    return Response(404, b"404 page not found\n", {"content-type": "text/plain; charset=utf-8"})


def _root(path: str) -> str:
    return "/".join(path.split("/")[: 3 if path.startswith("/api/") else 4])
