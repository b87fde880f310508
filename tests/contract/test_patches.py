"""The ways to change a part of an object."""

from __future__ import annotations

from typing import Any

from tests.contract.api import Answer, Api, place
from tests.contract.objects import endpoints, service

STRATEGIC = "strategic-merge-patch+json"
MERGE = "merge-patch+json"
JSON = "json-patch+json"
APPLY = "apply-patch+yaml"


def two_ports(api: Api, ns: str) -> str:
    body = service("a", {"port": 80, "name": "x"}, {"port": 81, "name": "y"})
    assert api.post(place(ns, "services"), body).status == 201
    return place(ns, "services", "a")


def ports(answer: Answer) -> list[tuple[Any, ...]]:
    assert answer.status in {200, 201}, answer.text
    return [(p.get("name"), p["port"], p["targetPort"]) for p in answer.json["spec"]["ports"]]


def test_a_strategic_patch_merges_ports_by_their_number(api: Api, ns: str) -> None:
    path = two_ports(api, ns)
    added = api.patch(path, {"spec": {"ports": [{"port": 82, "name": "z"}]}}, STRATEGIC)
    assert ports(added) == [("z", 82, 82), ("x", 80, 80), ("y", 81, 81)]
    renamed = api.patch(path, {"spec": {"ports": [{"port": 81, "name": "yy"}]}}, STRATEGIC)
    assert ports(renamed) == [("z", 82, 82), ("x", 80, 80), ("yy", 81, 81)]
    gone = {"spec": {"ports": [{"port": 81, "$patch": "delete"}]}}
    assert ports(api.patch(path, gone, STRATEGIC)) == [("z", 82, 82), ("x", 80, 80)]
    ordered = {
        "spec": {
            "$setElementOrder/ports": [{"port": 80}, {"port": 82}],
            "ports": [{"port": 82, "targetPort": 1}],
        }
    }
    assert ports(api.patch(path, ordered, STRATEGIC)) == [("x", 80, 80), ("z", 82, 1)]
    replaced = {"spec": {"ports": [{"port": 90, "name": "n"}, {"$patch": "replace"}]}}
    assert ports(api.patch(path, replaced, STRATEGIC)) == [("n", 90, 90)]


def test_a_strategic_patch_of_labels(api: Api, ns: str) -> None:
    path = two_ports(api, ns)
    api.patch(path, {"metadata": {"labels": {"a": "1", "b": "2"}}}, STRATEGIC)
    changed = api.patch(path, {"metadata": {"labels": {"a": None, "c": "3"}}}, STRATEGIC)
    assert changed.meta["labels"] == {"b": "2", "c": "3"}


def test_a_strategic_patch_replaces_subsets_whole(api: Api, ns: str) -> None:
    api.post(place(ns, "endpoints"), endpoints("a"))
    subsets = [{"addresses": [{"ip": "10.9.9.9"}]}]
    changed = api.patch(place(ns, "endpoints", "a"), {"subsets": subsets}, STRATEGIC)
    assert changed.json["subsets"] == subsets


def test_a_merge_patch_replaces_lists(api: Api, ns: str) -> None:
    path = two_ports(api, ns)
    changed = api.patch(path, {"spec": {"ports": [{"port": 82}]}}, MERGE)
    assert ports(changed) == [(None, 82, 82)]


def test_a_json_patch(api: Api, ns: str) -> None:
    path = two_ports(api, ns)
    operations = [
        {"op": "test", "path": "/spec/ports/0/port", "value": 80},
        {"op": "replace", "path": "/spec/ports/0/port", "value": 90},
        {"op": "add", "path": "/metadata/labels", "value": {"example.com/x": "y"}},
        {"op": "copy", "from": "/metadata/labels/example.com~1x", "path": "/metadata/labels/z"},
        {"op": "remove", "path": "/spec/ports/1"},
    ]
    changed = api.patch(path, operations, JSON)
    assert ports(changed) == [("x", 90, 80)]
    assert changed.meta["labels"] == {"example.com/x": "y", "z": "y"}


def test_a_json_patch_that_can_not_be(api: Api, ns: str) -> None:
    path = two_ports(api, ns)
    for operation in (
        {"op": "test", "path": "/spec/ports/0/port", "value": 1},
        {"op": "remove", "path": "/spec/foo"},
    ):
        refused = api.patch(path, [operation], JSON)
        message = "the server rejected our request due to an error in our request"
        assert (refused.status, refused.message) == (422, message)
        assert refused.json["reason"] == "Invalid"


def test_a_patch_that_changes_nothing_is_none(api: Api, ns: str) -> None:
    path = two_ports(api, ns)
    before = api.get(path).meta["resourceVersion"]
    for body in ({}, {"spec": {"type": "ClusterIP"}}):
        assert api.patch(path, body, MERGE).meta["resourceVersion"] == before


def test_a_patch_of_an_old_version_is_refused(api: Api, ns: str) -> None:
    refused = api.patch(two_ports(api, ns), {"metadata": {"resourceVersion": "1"}}, MERGE)
    assert (refused.status, refused.json["reason"]) == (409, "Conflict")
    assert refused.message.startswith('Operation cannot be fulfilled on services "a": the object')


def test_what_no_patch_changes(api: Api, ns: str) -> None:
    path = two_ports(api, ns)
    refused = api.patch(path, {"metadata": {"name": "x"}}, MERGE)
    message = "the name of the object (x) does not match the name on the URL (a)"
    assert (refused.status, refused.message) == (400, message)
    refused = api.patch(path, {"metadata": {"uid": "x"}}, MERGE)
    words = 'metadata.uid: Invalid value: "x": field is immutable'
    assert (refused.status, refused.message) == (422, f'Service "a" is invalid: {words}')


def test_a_patch_is_validated(api: Api, ns: str) -> None:
    path = two_ports(api, ns)
    assert api.patch(path, {"spec": {"ports": []}}, MERGE).status == 422
    refused = api.patch(path, {"spec": {"ports": [{"port": "x"}]}}, MERGE)
    assert refused.status == 422
    assert refused.message.endswith(
        "json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type"
        " int32"
    )
    refused = api.patch(path, {"foo": 1}, MERGE, fieldValidation="Strict")
    assert refused.status == 422
    assert refused.message.endswith('strict decoding error: unknown field "foo"')


def test_what_is_not_there_is_not_patched(api: Api, ns: str) -> None:
    for kind in (MERGE, STRATEGIC):
        assert api.patch(place(ns, "services", "a"), {}, kind).status == 404


def test_no_other_kind_of_patch(api: Api, ns: str) -> None:
    refused = api.patch(two_ports(api, ns), {}, "json")
    message = "415: Unsupported Media Type"
    assert (refused.status, refused.message) == (415, message)
    assert refused.json["reason"] == "UnsupportedMediaType"


# --- server-side apply -----------------------------------------------------------------------


def test_apply_creates_and_takes_back(api: Api, ns: str) -> None:
    path = place(ns, "services", "a")
    body = service("a", {"port": 80, "name": "p"}, {"port": 81, "name": "q"})
    body["metadata"]["labels"] = {"a": "1", "b": "2"}
    made = api.patch(path, body, APPLY, fieldManager="m")
    assert made.status == 201
    api.patch(path, {"metadata": {"labels": {"theirs": "3"}}}, MERGE)
    less = service("a", {"port": 81, "name": "q"})
    less["metadata"]["labels"] = {"a": "1"}
    changed = api.patch(path, less, APPLY, fieldManager="m")
    assert changed.status == 200
    assert ports(changed) == [("q", 81, 81)]
    assert changed.meta["labels"] == {"a": "1", "theirs": "3"}


def test_apply_leaves_what_it_does_not_speak_of(api: Api, ns: str) -> None:
    path = two_ports(api, ns)
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "labels": {"x": "y"}}}
    changed = api.patch(path, body, APPLY, fieldManager="m", force="true")
    assert ports(changed) == [("x", 80, 80), ("y", 81, 81)]
    assert changed.meta["labels"] == {"x": "y"}
    same = api.patch(path, body, APPLY, fieldManager="m")
    assert same.meta["resourceVersion"] == changed.meta["resourceVersion"]


def test_apply_needs_a_manager_and_a_version(api: Api, ns: str) -> None:
    path = place(ns, "services", "a")
    refused = api.patch(path, service("a", {"port": 80}), APPLY)
    words = "fieldManager: Required value: is required for apply patch"
    message = f'PatchOptions.meta.k8s.io "" is invalid: {words}'
    assert (refused.status, refused.message) == (422, message)
    body = {"kind": "Service", "metadata": {"name": "a"}}
    refused = api.patch(path, body, APPLY, fieldManager="m")
    assert (refused.status, refused.message) == (400, "invalid object type: /, Kind=Service")
