"""What lies around the objects: paths, methods, media types, decoding, discovery, tables."""

from __future__ import annotations

import pytest

from tests.contract.api import Api, place
from tests.contract.objects import endpoints, event, lease, service, slice_, with_subsets

TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


def test_paths_that_lead_nowhere(api: Api, ns: str) -> None:
    missing = api.get(place(ns, "foos"))
    assert missing.status == 404
    assert missing.message == "the server could not find the requested resource"
    assert missing.json["details"] == {}
    for path in ("/foo", "/apis/foo/v1", "/apis/foo/v1/bars"):
        assert (api.get(path).status, api.get(path).text) == (404, "404 page not found\n")


def test_methods_that_are_not_allowed(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    for refused in (
        api.put(path, {}),
        api.post(f"{path}/a", {}),
        api.patch(path, {}, "merge-patch+json"),
    ):
        assert (refused.status, refused.json["reason"]) == (405, "MethodNotAllowed")
        assert refused.message == "the server does not allow this method on the requested resource"


def test_media_types(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    refused = api.ask("POST", path, {}, {"content-type": "text/plain"})
    assert refused.status == 415
    assert refused.message == (
        "the body of the request was in an unknown format - accepted media types include:"
        " application/json, application/yaml, application/vnd.kubernetes.protobuf"
    )
    refused = api.ask("GET", path, None, {"accept": "text/html"})
    assert (refused.status, refused.json["reason"]) == (406, "NotAcceptable")
    assert api.ask("GET", path, None, {"accept": "text/html, application/json"}).status == 200
    yaml = b"apiVersion: v1\nkind: Endpoints\nmetadata: {name: a}\n"
    assert api.ask("POST", path, yaml, {"content-type": "application/yaml"}).status == 201


def test_a_body_is_not_too_large(api: Api, ns: str) -> None:
    body = endpoints("a", annotations={"a": "b" * 3 * 1024 * 1024})
    refused = api.post(place(ns, "endpoints"), body)
    assert (refused.status, refused.json["reason"]) == (413, "RequestEntityTooLarge")
    assert refused.message == "Request entity too large: limit is 3145728"


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"nonsense"])
def test_bodies_that_are_no_object(api: Api, ns: str, body: bytes) -> None:
    refused = api.ask("POST", place(ns, "endpoints"), body, {"content-type": "application/json"})
    assert (refused.status, refused.json["reason"]) == (400, "BadRequest")
    words = "the object provided is unrecognized (must be of type Endpoints): couldn't get"
    assert refused.message.startswith(f"{words} version/kind; json parse error: ")


def test_kinds_that_do_not_belong_there(api: Api, ns: str) -> None:
    path, before = place(ns, "endpoints"), "cannot be handled as a Endpoints"
    scheme = 'in scheme "pkg/runtime/scheme.go:111"'
    for kind, version, why in (
        ("Service", "v1", "converting (v1.Service) to (core.Endpoints): unknown conversion"),
        (
            "Foo",
            "v1",
            f'no kind "Foo" is registered for version "v1" {scheme}',
        ),
        (
            "Endpoints",
            "v9",
            f'no kind "Endpoints" is registered for version "v9" {scheme}',
        ),
    ):
        refused = api.post(path, {**endpoints("a"), "kind": kind, "apiVersion": version})
        message = f'{kind} in version "{version}" {before}: {why}'
        assert (refused.status, refused.message) == (400, message)
    assert api.post(path, {"metadata": {"name": "a"}}).status == 201


@pytest.mark.parametrize(
    ("subsets", "value", "field", "type_"),
    [
        ([{"addresses": [{"ip": 5}]}], "number", "EndpointAddress.subsets.addresses.ip", "string"),
        ([{"ports": [{"port": "8"}]}], "string", "EndpointPort.subsets.ports.port", "int32"),
        ([{"ports": [{"port": 8.5}]}], "number 8.5", "EndpointPort.subsets.ports.port", "int32"),
        (
            [{"ports": [{"port": 99999999999}]}],
            "number 99999999999",
            "EndpointPort.subsets.ports.port",
            "int32",
        ),
        (
            [{"addresses": {"ip": "10.1.1.1"}}],
            "object",
            "EndpointSubset.subsets.addresses",
            "[]v1.EndpointAddress",
        ),
        (["x"], "string", "Endpoints.subsets", "v1.EndpointSubset"),
    ],
)
def test_values_of_another_type(
    api: Api, ns: str, subsets: object, value: str, field: str, type_: str
) -> None:
    refused = api.post(place(ns, "endpoints"), with_subsets("a", subsets))
    why = f"json: cannot unmarshal {value} into Go struct field {field} of type {type_}"
    message = f'Endpoints in version "v1" cannot be handled as a Endpoints: {why}'
    assert (refused.status, refused.message) == (400, message)


def test_labels_are_strings(api: Api, ns: str) -> None:
    refused = api.post(place(ns, "endpoints"), endpoints("a", labels={"a": 1}))
    assert refused.message.endswith(
        "cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"
    )


def test_fields_that_nobody_knows(api: Api, ns: str) -> None:
    path, body = place(ns, "endpoints"), {**endpoints("a", bar=1), "foo": 1}
    made = api.post(path, body)
    assert made.status == 201
    assert "foo" not in made.json
    assert "bar" not in made.meta
    for name in ("metadata.bar", "foo"):
        assert f'299 - "unknown field \\"{name}\\""' in made.headers["warning"]
    body["metadata"]["name"] = "b"
    refused = api.post(path, body, fieldValidation="Strict")
    assert refused.status == 400
    assert refused.message.endswith(
        'strict decoding error: unknown field "metadata.bar", unknown field "foo"'
    )
    silent = api.post(path, body, fieldValidation="Ignore")
    assert "unknown" not in silent.headers["warning"]


def test_what_is_empty_is_left_out(api: Api, ns: str) -> None:
    body = endpoints("a", labels={}, annotations=None, ownerReferences=[])
    body["subsets"][0]["addresses"][0] |= {"hostname": "", "nodeName": None}
    body["subsets"][0]["notReadyAddresses"] = []
    made = api.post(place(ns, "endpoints"), body)
    made.meta.pop("managedFields", None)
    ports = [{"port": 80, "protocol": "TCP"}]
    assert made.json["subsets"] == [{"addresses": [{"ip": "10.1.1.1"}], "ports": ports}]
    known = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp", "managedFields"}
    assert made.meta.keys() <= known


def test_endpoints_warn_that_they_are_deprecated(api: Api, ns: str) -> None:
    words = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
    assert api.get(place(ns, "endpoints")).headers["warning"] == f'299 - "{words}"'
    assert "warning" not in api.get(place(ns, "services")).headers


def test_events_have_two_views(api: Api, ns: str) -> None:
    api.post(place(ns, "events"), event("a", ns))
    seen = api.get(f"/apis/events.k8s.io/v1/namespaces/{ns}/events/a").json
    assert (seen["kind"], seen["apiVersion"]) == ("Event", "events.k8s.io/v1")
    assert (seen["note"], seen["regarding"]["name"]) == ("no answer", "web")
    assert seen["deprecatedCount"] == 1


# --- discovery -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "root",
    [
        "/api/v1",
        "/apis/discovery.k8s.io/v1",
        "/apis/coordination.k8s.io/v1",
        "/apis/events.k8s.io/v1",
    ],
)
def test_resources_are_announced(api: Api, root: str) -> None:
    found = api.get(root).json
    ours = {"namespaces", "services", "endpoints", "endpointslices", "leases", "events"}
    listed = {r["name"]: r for r in found["resources"] if r["name"] in ours}
    assert listed
    for name, resource in listed.items():
        resource.pop("storageVersionHash", None)
        verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        if name == "namespaces":
            verbs.remove("deletecollection")
        assert resource["verbs"] == verbs
        assert resource["namespaced"] is (name != "namespaces")
    short = {"services": ["svc"], "endpoints": ["ep"], "namespaces": ["ns"], "events": ["ev"]}
    for name, names in short.items():
        if name in listed:
            assert listed[name]["shortNames"] == names


def test_groups_and_versions_are_announced(api: Api) -> None:
    assert api.get("/api").json["versions"] == ["v1"]
    groups = {group["name"] for group in api.get("/apis").json["groups"]}
    assert {"discovery.k8s.io", "coordination.k8s.io", "events.k8s.io"} <= groups
    version = api.get("/version").json
    assert (version["major"], version["minor"]) == ("1", "37")
    for path in ("/healthz", "/readyz", "/livez"):
        assert (api.get(path).status, api.get(path).text) == (200, "ok")


# --- tables ----------------------------------------------------------------------------------

SERVICE_COLUMNS = "Name Type Cluster-IP External-IP Port(s) Age Selector"


def test_tables(api: Api, ns: str) -> None:
    addresses = [{"ip": f"10.1.1.{i}"} for i in range(1, 6)]
    both = [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]
    many = [{"addresses": addresses, "ports": both}]
    away = [{"notReadyAddresses": [{"ip": "10.1.1.1"}]}]
    for body in (
        with_subsets("a", many),
        with_subsets("b", [{"addresses": [{"ip": "fd00::1"}]}]),
        with_subsets("c", away),
        with_subsets("d", []),
    ):
        api.post(place(ns, "endpoints"), body)
    ports = [{"port": i, "name": f"p{i}"} for i in range(1, 6)]
    api.post(place(ns, "endpointslices"), slice_("a", "10.1.1.1", ports=ports))
    api.post(place(ns, "endpointslices"), slice_("b", ports=[{"name": "x"}]))
    api.post(place(ns, "endpointslices"), slice_("c", ports=[]))
    api.post(place(ns, "leases"), lease("a", holderIdentity="me"))
    api.post(place(ns, "leases"), lease("b"))
    api.post(place(ns, "services"), service("x", type="ExternalName", externalName="db.example"))
    body = service("y", {"port": 80}, clusterIP="None", selector={"b": "c", "a": "b"})
    api.post(place(ns, "services"), body)

    def cells(plural: str, columns: str) -> list[list[str]]:
        found = api.ask("GET", place(ns, plural), None, TABLE).json
        assert (found["kind"], found["apiVersion"]) == ("Table", "meta.k8s.io/v1")
        assert " ".join(c["name"] for c in found["columnDefinitions"]) == columns
        for row in found["rows"]:
            assert row["object"]["kind"] == "PartialObjectMetadata"
            assert row["object"]["metadata"]["name"] == row["cells"][0]
        age = columns.split().index("Age")
        return [[c for i, c in enumerate(row["cells"]) if i != age] for row in found["rows"]]

    assert cells("endpoints", "Name Endpoints Age")[:4] == [
        ["a", "10.1.1.1:80,10.1.1.2:80,10.1.1.3:80 + 7 more..."],
        ["b", "fd00::1"],
        ["c", ""],
        ["d", "<none>"],
    ]
    assert [
        row[:4]
        for row in cells("endpointslices", "Name AddressType Ports Endpoints Age")
        if row[0] in "abc"
    ] == [
        ["a", "IPv4", "1,2,3 + 2 more...", "10.1.1.1"],
        ["b", "IPv4", "x", "<unset>"],
        ["c", "IPv4", "<unset>", "<unset>"],
    ]
    assert cells("leases", "Name Holder Age") == [["a", "me"], ["b", ""]]
    assert cells("services", SERVICE_COLUMNS) == [
        ["x", "ExternalName", "<none>", "db.example", "<none>", "<none>"],
        ["y", "ClusterIP", "None", "<none>", "80/TCP", "a=b,b=c"],
    ]


def test_a_table_of_events(api: Api, ns: str) -> None:
    about = {"kind": "Service", "name": "web", "namespace": ns, "fieldPath": "spec.x"}
    api.post(place(ns, "events"), event("a", ns, involvedObject=about, count=3))
    found = api.ask("GET", place(ns, "events"), None, TABLE).json
    shown = [(c["name"], c["format"], c["priority"]) for c in found["columnDefinitions"]]
    assert shown == [
        ("Last Seen", "", 0),
        ("Type", "", 0),
        ("Reason", "", 0),
        ("Object", "", 0),
        ("Subobject", "", 1),
        ("Source", "", 1),
        ("Message", "", 0),
        ("First Seen", "", 1),
        ("Count", "", 1),
        ("Name", "name", 1),
    ]
    cells = found["rows"][0]["cells"]
    assert cells[1:7] == ["Warning", "Held", "service/web", "spec.x", "registrar", "no answer"]
    assert cells[8:] == [3, "a"]


def test_a_watch_of_tables_has_columns_once(api: Api, ns: str) -> None:
    path = place(ns, "leases")
    for name in ("a", "b"):
        api.post(path, lease(name))
    with api.watch_with(TABLE, path) as events:
        kind, first = events.next()
        assert (kind, first["kind"]) == ("ADDED", "Table")
        assert len(first["columnDefinitions"]) == 3
        _, second = events.next()
        assert second["columnDefinitions"] is None
        assert second["rows"][0]["cells"][0] == "b"
