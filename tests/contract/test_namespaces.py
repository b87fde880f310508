"""Namespaces: what is in them comes and goes with them."""

from __future__ import annotations

from tests.contract.api import Api, place
from tests.contract.objects import endpoints
from tests.lab import wait_for


def test_those_that_every_cluster_has(api: Api) -> None:
    names = {item["metadata"]["name"] for item in api.get("/api/v1/namespaces").json["items"]}
    assert {"default", "kube-system"} <= names


def test_a_new_one(api: Api, ns: str) -> None:
    made = api.get(f"/api/v1/namespaces/{ns}").json
    assert made["spec"] == {"finalizers": ["kubernetes"]}
    assert made["status"] == {"phase": "Active"}
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": ns}


def test_nothing_is_made_in_one_that_is_not_there(api: Api) -> None:
    missing = api.post(place("missing", "endpoints"), endpoints("a"))
    assert (missing.status, missing.message) == (404, 'namespaces "missing" not found')
    assert missing.json["details"] == {"name": "missing", "kind": "namespaces"}
    assert api.get(place("missing", "endpoints")).json["items"] == []


def test_an_update_makes_none(api: Api) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "missing"}}
    assert api.put("/api/v1/namespaces/missing", body).status == 404


def test_one_that_ends(api: Api, ns: str) -> None:
    path = f"/api/v1/namespaces/{ns}"
    api.post(place(ns, "endpoints"), endpoints("a"))
    ending = api.delete(path)
    assert ending.status == 200
    assert ending.json["status"]["phase"] == "Terminating"
    assert "deletionTimestamp" in ending.meta
    for refused in (
        api.post(place(ns, "endpoints"), endpoints("b")),
        api.put(place(ns, "endpoints", "b"), endpoints("b")),
    ):
        if refused.status == 404:  # it has ended already
            continue
        assert refused.status == 403
        assert refused.message == (
            'endpoints "b" is forbidden: unable to create new content in namespace'
            f" {ns} because it is being terminated"
        )
        assert refused.json["details"]["causes"] == [
            {
                "reason": "NamespaceTerminating",
                "message": f"namespace {ns} is being terminated",
                "field": "metadata.namespace",
            }
        ]

    def is_gone() -> bool:
        api.settle()
        return api.get(path).status == 404

    wait_for(is_gone, 30, "the end of the namespace")
    assert api.get(place(ns, "endpoints")).json["items"] == []
    assert api.delete(path).status == 404


def test_those_that_stay(api: Api) -> None:
    for name in ("default", "kube-system"):
        refused = api.delete(f"/api/v1/namespaces/{name}")
        message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
        assert (refused.status, refused.message) == (403, message)


def test_they_are_not_deleted_at_once(api: Api) -> None:
    assert api.delete("/api/v1/namespaces").status == 405
