"""Lists: their pages, what selects, and what is too old."""

from __future__ import annotations

import pytest

from tests.contract.api import Answer, Api, place
from tests.contract.objects import endpoints, event, lease, service


def names(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [item["metadata"]["name"] for item in answer.json["items"]]


def fill(api: Api, ns: str) -> None:
    colors = {"a": {"color": "red", "size": "1"}, "b": {"color": "blue"}, "c": {"size": "3"}}
    for name, labels in (*colors.items(), ("d", {})):
        api.post(place(ns, "endpoints"), endpoints(name, labels=labels))


def test_a_list(api: Api, ns: str) -> None:
    assert api.get(place(ns, "leases")).json["items"] == []
    made = api.post(place(ns, "leases"), lease("a", holderIdentity="x"))
    found = api.get(place(ns, "leases")).json
    assert (found["kind"], found["apiVersion"]) == ("LeaseList", "coordination.k8s.io/v1")
    assert int(found["metadata"]["resourceVersion"]) >= int(made.meta["resourceVersion"])
    (item,) = found["items"]
    item["metadata"].pop("managedFields", None)
    expected = made.json
    expected["metadata"].pop("managedFields", None)
    assert item == {key: expected[key] for key in ("metadata", "spec")}


def test_all_namespaces(api: Api, ns: str) -> None:
    api.post(place(ns, "leases"), lease("a"))
    api.post(place("default", "leases"), lease(ns))
    found = api.get("/apis/coordination.k8s.io/v1/leases").json["items"]
    places = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found}
    assert {(ns, "a"), ("default", ns)} <= places
    only = api.get("/apis/coordination.k8s.io/v1/leases", fieldSelector=f"metadata.namespace={ns}")
    assert names(only) == ["a"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("color=red", "a"),
        ("color==red", "a"),
        ("color!=red", "bcd"),
        ("color", "ab"),
        ("!color", "cd"),
        ("color in (red, blue)", "ab"),
        ("color notin (red)", "bcd"),
        ("color,size", "a"),
        ("color in (red,blue),size=1", "a"),
        ("size>2", "c"),
        ("size<2", "a"),
        (" color = blue ", "b"),
        ("color=", ""),
    ],
)
def test_labels_select(api: Api, ns: str, selector: str, expected: str) -> None:
    fill(api, ns)
    assert names(api.get(place(ns, "endpoints"), labelSelector=selector)) == list(expected)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a!b=c", "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in", "unable to parse requirement: found '' expected: '('"),
    ],
)
def test_labels_that_select_nothing_known(api: Api, ns: str, selector: str, message: str) -> None:
    refused = api.get(place(ns, "endpoints"), labelSelector=selector)
    assert (refused.status, refused.json["reason"]) == (400, "BadRequest")
    assert refused.message == message


@pytest.mark.parametrize(
    ("selector", "before"),
    [
        ("-a=b", 'unable to parse requirement: <nil>: Invalid value: "-a": name part must'),
        ("a=-b", 'unable to parse requirement: values[0][a]: Invalid value: "-b": a valid label'),
    ],
)
def test_labels_that_are_none(api: Api, ns: str, selector: str, before: str) -> None:
    refused = api.get(place(ns, "endpoints"), labelSelector=selector)
    assert refused.status == 400
    assert refused.message.startswith(before)


def test_fields_select(api: Api, ns: str) -> None:
    fill(api, ns)
    path = place(ns, "endpoints")
    assert names(api.get(path, fieldSelector="metadata.name=b")) == ["b"]
    assert names(api.get(path, fieldSelector="metadata.name!=b")) == ["a", "c", "d"]
    both = f"metadata.name=b,metadata.namespace={ns}"
    assert names(api.get(path, fieldSelector=both)) == ["b"]


def test_the_fields_of_services_and_events_select(api: Api, ns: str) -> None:
    api.post(place(ns, "services"), service("a", {"port": 80}))
    api.post(place(ns, "services"), service("b", clusterIP="None"))
    found = api.get(place(ns, "services"), fieldSelector="spec.clusterIP=None")
    assert names(found) == ["b"]
    api.post(place(ns, "events"), event("a", ns))
    about = {"kind": "Service", "name": "db", "namespace": ns, "uid": "u"}
    api.post(place(ns, "events"), event("b", ns, involvedObject=about, type="Normal"))
    for selector, expected in (
        ("involvedObject.name=db", ["b"]),
        ("involvedObject.uid=u,involvedObject.kind=Service", ["b"]),
        # A real API server has Warnings of its own for a Service.
        ("type=Warning,reason=Held", ["a"]),
        ("reason=Held", ["a", "b"]),
    ):
        assert names(api.get(place(ns, "events"), fieldSelector=selector)) == expected


@pytest.mark.parametrize(
    ("plural", "selector", "message"),
    [
        (
            "endpoints",
            "a=b",
            '"a" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        ("endpoints", "ab", "invalid selector: 'ab'; can't understand 'ab'"),
        ("services", "a=b", "field label not supported: a"),
        ("events", "a=b", "field label not supported: a"),
    ],
)
def test_fields_that_select_nothing_known(
    api: Api, ns: str, plural: str, selector: str, message: str
) -> None:
    refused = api.get(place(ns, plural), fieldSelector=selector)
    assert (refused.status, refused.message) == (400, message)


# --- pages -----------------------------------------------------------------------------------


def test_pages_are_of_one_moment(api: Api, ns: str) -> None:
    fill(api, ns)
    path = place(ns, "endpoints")
    first = api.get(path, limit=2)
    assert names(first) == ["a", "b"]
    assert first.meta["remainingItemCount"] == 2
    api.delete(place(ns, "endpoints", "c"))
    api.post(path, endpoints("e"))
    changed = api.get(place(ns, "endpoints", "d")).json
    changed["metadata"]["labels"] = {"new": "yes"}
    api.put(place(ns, "endpoints", "d"), changed)
    second = api.get(path, limit=2, **{"continue": first.meta["continue"]})
    assert names(second) == ["c", "d"]
    assert "labels" not in second.json["items"][1]["metadata"]
    assert second.meta["resourceVersion"] == first.meta["resourceVersion"]
    assert "continue" not in second.meta
    assert names(api.get(path)) == ["a", "b", "d", "e"]


def test_pages_of_what_is_selected(api: Api, ns: str) -> None:
    fill(api, ns)
    first = api.get(place(ns, "endpoints"), limit=1, labelSelector="size")
    assert names(first) == ["a"]
    assert "remainingItemCount" not in first.meta
    rest = {"continue": first.meta["continue"], "labelSelector": "size"}
    assert names(api.get(place(ns, "endpoints"), **rest)) == ["c"]


def test_what_pages_can_not_be(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    refused = api.get(path, limit="foo")
    message = 'strconv.ParseInt: parsing "foo": invalid syntax'
    assert (refused.status, refused.message) == (400, message)
    refused = api.get(path, **{"continue": "foo"})
    assert refused.status == 400
    assert refused.message.startswith("invalid continue token: continue key is not valid: ")
    fill(api, ns)
    token = api.get(path, limit=1).meta["continue"]
    refused = api.get(path, resourceVersion="5", **{"continue": token})
    message = "specifying resource version is not allowed when using continue"
    assert (refused.status, refused.message) == (400, message)


def test_versions_that_there_are_not(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    refused = api.get(path, resourceVersion="foo")
    why = 'strconv.ParseUint: parsing "foo": invalid syntax'
    message = f'invalid resource version: resourceVersion: Invalid value: "foo": {why}'
    assert (refused.status, refused.message) == (400, message)
    refused = api.get(path, resourceVersion="99999999")
    assert (refused.status, refused.json["reason"]) == (504, "Timeout")
    assert refused.message.startswith("Timeout: Too large resource version: 99999999, current: ")
    assert refused.json["details"] == {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
