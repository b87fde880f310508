"""Nodes and Service ranges: what the cluster's own ranges are read from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.api import Api, place
from tests.contract.objects import slice_

NODES = "/api/v1/nodes"
CIDRS = "/apis/networking.k8s.io/v1/servicecidrs"
ADDRESSES = [
    {"type": "InternalIP", "address": "192.0.2.1"},
    {"type": "ExternalIP", "address": "2001:db8::1"},
    {"type": "Hostname", "address": "contract"},
]
NAMES = ("contract-a", "contract-b")


def node(name: str, *addresses: dict[str, str], **spec: object) -> dict[str, Any]:
    body = {"metadata": {"name": name}, "spec": spec, "status": {"addresses": list(addresses)}}
    return {"apiVersion": "v1", "kind": "Node", **body}


def cidr(name: str, *cidrs: str) -> dict[str, Any]:
    body = {"metadata": {"name": name}, "spec": {"cidrs": list(cidrs)}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", **body}


@pytest.fixture(autouse=True)
def tidy(api: Api) -> Iterator[None]:
    yield
    for root in (NODES, CIDRS):
        for name in NAMES:
            api.delete(f"{root}/{name}")


def test_a_node(api: Api) -> None:
    made = api.post(NODES, node("contract-a", *ADDRESSES, podCIDRs=["10.245.0.0/24"]))
    assert made.status == 201, made.text
    for found in (made, api.get(f"{NODES}/contract-a")):
        assert found.json["kind"] == "Node"
        assert found.json["status"]["addresses"] == ADDRESSES
        assert found.json["spec"]["podCIDR"] == "10.245.0.0/24"
        assert found.json["spec"]["podCIDRs"] == ["10.245.0.0/24"]
        assert "namespace" not in found.meta
    again = api.post(NODES, node("contract-a"))
    assert (again.status, again.message) == (409, 'nodes "contract-a" already exists')


def test_an_update_of_a_node_leaves_its_status(api: Api) -> None:
    api.post(NODES, node("contract-a", *ADDRESSES))
    changed = node("contract-a")
    changed["metadata"]["labels"] = {"a": "b"}
    done = api.put(f"{NODES}/contract-a", changed)
    assert done.status == 200, done.text
    assert done.meta["labels"]["a"] == "b"
    assert done.json["status"]["addresses"] == ADDRESSES
    patched = api.patch(
        f"{NODES}/contract-a", {"metadata": {"labels": {"a": "c"}}}, "merge-patch+json"
    )
    assert (patched.status, patched.meta["labels"]["a"]) == (200, "c")


def test_a_node_is_not_made_by_an_update(api: Api) -> None:
    refused = api.put(f"{NODES}/contract-a", node("contract-a"))
    assert (refused.status, refused.message) == (404, 'nodes "contract-a" not found')


def test_nodes_are_listed_and_watched(api: Api) -> None:
    version = api.version(NODES)
    api.post(NODES, node("contract-a", *ADDRESSES))
    listed = api.get(NODES, fieldSelector="metadata.name=contract-a").json
    assert (listed["kind"], listed["apiVersion"]) == ("NodeList", "v1")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["contract-a"]
    gone = api.delete(f"{NODES}/contract-a")
    assert (gone.status, gone.json["status"]) == (200, "Success")
    assert gone.json["details"]["kind"] == "nodes"
    query = {"resourceVersion": version, "fieldSelector": "metadata.name=contract-a"}
    with api.watch(NODES, **query) as events:
        seen = [events.next()]
        while seen[-1][0] != "DELETED":
            seen.append(events.next())
    assert seen[0][0] == "ADDED"
    assert seen[0][1]["status"]["addresses"] == ADDRESSES


def test_the_service_ranges_that_every_cluster_has(api: Api) -> None:
    found = api.get(f"{CIDRS}/kubernetes").json
    assert found["spec"] == {"cidrs": ["10.96.0.0/16", "fd00:10:96::/112"]}


def test_a_service_range(api: Api) -> None:
    made = api.post(CIDRS, cidr("contract-a", "10.97.0.0/24", "fd00:10:97::/112"))
    assert made.status == 201, made.text
    found = api.get(f"{CIDRS}/contract-a").json
    assert (found["kind"], found["apiVersion"]) == ("ServiceCIDR", "networking.k8s.io/v1")
    assert found["spec"] == {"cidrs": ["10.97.0.0/24", "fd00:10:97::/112"]}
    assert found["status"] == {}
    version = api.version(CIDRS)
    gone = api.delete(f"{CIDRS}/contract-a")
    assert (gone.status, gone.json["status"]) == (200, "Success")
    with api.watch(CIDRS, resourceVersion=version) as events:
        kind, last = events.next()
    assert (kind, last["spec"]) == ("DELETED", found["spec"])
    missing = api.get(f"{CIDRS}/contract-a")
    message = 'servicecidrs.networking.k8s.io "contract-a" not found'
    assert (missing.status, missing.message) == (404, message)


def test_an_update_of_a_service_range(api: Api) -> None:
    api.post(CIDRS, cidr("contract-a", "10.97.0.0/24"))
    changed = cidr("contract-a", "10.97.0.0/24", "fd00:10:97::/112")
    done = api.put(f"{CIDRS}/contract-a", changed)
    assert done.status == 200, done.text
    assert done.json["spec"] == changed["spec"]


def test_neither_is_in_a_namespace(api: Api, ns: str) -> None:
    assert api.get(place(ns, "nodes")).status == 404


def test_slices_are_listed_and_watched_by_name(api: Api, ns: str) -> None:
    path = place(ns, "endpointslices")
    api.post(path, slice_("one", "10.1.1.1"))
    api.post(path, slice_("two", "10.1.1.2"))
    query = {"fieldSelector": "metadata.name=two"}
    listed = api.get(path, **query).json
    assert [item["metadata"]["name"] for item in listed["items"]] == ["two"]
    with api.watch(path, **query, resourceVersion=listed["metadata"]["resourceVersion"]) as events:
        api.delete(place(ns, "endpointslices", "one"))
        api.delete(place(ns, "endpointslices", "two"))
        assert events.names(1) == [("DELETED", "two")]
