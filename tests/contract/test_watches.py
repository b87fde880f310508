"""Watches: what they say, from where on, and how they end."""

from __future__ import annotations

from typing import Any

from tests.contract.api import Api, place
from tests.contract.objects import endpoints, service


def change(api: Api, ns: str, name: str, **labels: str) -> str:
    item = api.get(place(ns, "endpoints", name)).json
    item["metadata"]["labels"] = labels
    done = api.put(place(ns, "endpoints", name), item)
    assert done.status == 200
    return str(done.meta["resourceVersion"])


def test_a_watch_says_what_happens_after_a_version(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    api.post(path, endpoints("old"))
    with api.watch(path, resourceVersion=api.version(path)) as events:
        made = api.post(path, endpoints("a")).json
        version = change(api, ns, "a", x="y")
        api.put(place(ns, "endpoints", "a"), api.get(place(ns, "endpoints", "a")).json)
        api.delete(place(ns, "endpoints", "a"))
        kind, item = events.next()
        made["metadata"].pop("managedFields", None)
        assert (kind, item) == ("ADDED", made)
        kind, item = events.next()
        assert (kind, item["metadata"]["resourceVersion"]) == ("MODIFIED", version)
        kind, item = events.next()
        assert kind == "DELETED"
        assert item["metadata"]["labels"] == {"x": "y"}
        assert int(item["metadata"]["resourceVersion"]) > int(version)


def test_a_watch_goes_on_where_another_ended(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    first = api.post(path, endpoints("a")).meta["resourceVersion"]
    api.post(path, endpoints("b"))
    api.delete(place(ns, "endpoints", "a"))
    with api.watch(path, resourceVersion=first) as events:
        assert events.names(2) == [("ADDED", "b"), ("DELETED", "a")]


def test_a_watch_from_now_begins_with_all_there_is(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    for name in ("b", "a"):
        api.post(path, endpoints(name))
    for query in ({}, {"resourceVersion": "0"}, {"resourceVersion": ""}):
        with api.watch(path, **query) as events:
            assert events.names(2) == [("ADDED", "a"), ("ADDED", "b")]


def test_a_watch_is_of_its_namespace(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    with api.watch(path, resourceVersion=api.version(path)) as events:
        api.post(place("default", "endpoints"), endpoints(ns))
        api.post(place(ns, "services"), service("s", {"port": 80}))
        api.post(path, endpoints("a"))
        assert events.names(1) == [("ADDED", "a")]
    api.delete(place("default", "endpoints", ns))


def test_a_watch_of_one_name(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    with api.watch(path, fieldSelector="metadata.name=b") as events:
        for name in ("a", "b", "c"):
            api.post(path, endpoints(name))
        api.delete(place(ns, "endpoints", "b"))
        assert events.names(2) == [("ADDED", "b"), ("DELETED", "b")]


def test_what_enters_a_selector_is_added_and_what_leaves_it_deleted(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    api.post(path, endpoints("a", labels={"in": "yes"}))
    api.post(path, endpoints("b"))
    version = api.version(path)
    with api.watch(path, labelSelector="in=yes", resourceVersion=version) as events:
        left = change(api, ns, "a", other="1")
        change(api, ns, "a", other="2")
        change(api, ns, "a", **{"in": "yes", "other": "3"})
        change(api, ns, "a", **{"in": "yes", "other": "4"})
        api.delete(place(ns, "endpoints", "b"))
        api.delete(place(ns, "endpoints", "a"))
        kind, item = events.next()
        assert kind == "DELETED"
        assert item["metadata"]["labels"] == {"in": "yes"}
        assert item["metadata"]["resourceVersion"] == left
        assert [kind for kind, _ in (events.next() for _ in range(3))] == [
            "ADDED",
            "MODIFIED",
            "DELETED",
        ]


def test_a_watch_ends_when_it_is_to(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    query = {"resourceVersion": api.version(path), "timeoutSeconds": 1}
    with api.watch(path, **query) as events:
        assert events.next() == ("END", {})


def test_bookmarks_say_how_far_a_watch_has_come(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    query = {"resourceVersion": api.version(path), "timeoutSeconds": 10}
    with api.watch(path, allowWatchBookmarks="true", **query) as events:
        made = api.post(path, endpoints("a")).meta["resourceVersion"]
        assert events.names(1) == [("ADDED", "a")]
        kind, item = events.next()
        assert kind == "BOOKMARK"
        version = item["metadata"].pop("resourceVersion")
        assert int(version) >= int(made)
        assert item == {"kind": "Endpoints", "apiVersion": "v1", "metadata": {}}


def test_a_list_as_a_watch(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    api.post(path, endpoints("a"))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}

    def begun() -> tuple[str, dict[str, Any]]:
        with api.watch(path, allowWatchBookmarks="true", **query) as events:
            assert events.names(1) == [("ADDED", "a")]
            return events.next()

    kind, item = begun()
    if kind == "END":  # a busy API server may end any watch, and is asked again
        kind, item = begun()
    assert kind == "BOOKMARK"
    assert item["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    refused = api.get(path, watch="true", sendInitialEvents="true")
    words = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    message = f'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: {words}'
    assert (refused.status, refused.message) == (422, message)


def test_what_a_watch_can_not_begin_with(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    refused = api.get(path, watch="true", resourceVersion="foo")
    why = 'strconv.ParseUint: parsing "foo": invalid syntax'
    message = f'resourceVersion: Invalid value: "foo": {why}'
    assert (refused.status, refused.message) == (500, message)
    refused = api.get(path, watch="true", timeoutSeconds="x")
    message = 'strconv.ParseInt: parsing "x": invalid syntax'
    assert (refused.status, refused.message) == (400, message)


def test_a_version_that_is_too_old_is_an_event(api: Api, ns: str) -> None:
    path, old = api.outdated(ns)
    with api.watch(path, resourceVersion=old) as events:
        kind, status = events.next()
        assert kind == "ERROR"
        assert (status["kind"], status["code"], status["reason"]) == ("Status", 410, "Expired")
        assert status["message"].startswith("too old resource version: ")
        assert events.next() == ("END", {})


def test_a_list_that_is_too_old_is_gone(api: Api, ns: str) -> None:
    path = place(ns, "endpoints")
    for name in ("a", "b", "c"):
        api.post(path, endpoints(name))
    token = api.get(path, limit=1).meta["continue"]
    api.post(path, endpoints("d"))
    api.compact()
    late = api.get(path, limit=1, **{"continue": token})
    assert (late.status, late.json["reason"]) == (410, "Expired")
    assert late.message.startswith("The provided continue parameter is too old to display a")
    inconsistent = api.get(path, **{"continue": late.meta["continue"]})
    assert [item["metadata"]["name"] for item in inconsistent.json["items"]] == ["b", "c", "d"]
