"""What the API server says: objects, lists, errors, watches, and annotations that anybody edits."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from registrar.cluster import endpoints, slices
from registrar.cluster.client import (
    ENDPOINTS,
    LEASES,
    NODES,
    SERVICE_CIDRS,
    SERVICES,
    SLICES,
    Client,
    ObjectList,
    Resource,
    Scope,
    _decode,
    _error,
)
from registrar.cluster.drained import DRAINED, drained_by
from registrar.cluster.objects import Lease, ObjectMeta
from registrar.cluster.ranges import _of_api_server, _of_node, _of_services
from registrar.cluster.relay import ANSWER, ORDER, _Answer, _Order, _read
from registrar.cluster.services import service_state
from registrar.cluster.watched import Watched
from registrar.errors import ClusterBusy, ClusterError
from tests.embedded_cluster import EmbeddedCluster
from tests.fuzz.mutation import bodies, texts

META = {
    "name": "web",
    "namespace": "shop",
    "uid": "u",
    "resourceVersion": "7",
    "labels": {"a": "b"},
}
ADDRESSES = [{"ip": "10.20.0.1", "hostname": "a"}, {"ip": "2001:db8::1"}]
OBJECTS: dict[str, tuple[Resource[Any], Any]] = {
    "service": (
        SERVICES,
        {
            "metadata": META,
            "spec": {
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
                "ipFamilies": ["IPv4"],
                "clusterIP": "10.96.0.7",
            },
        },
    ),
    "endpoints": (
        ENDPOINTS,
        {
            "metadata": META,
            "subsets": [{"addresses": ADDRESSES, "ports": [{"name": "http", "port": 80}]}],
        },
    ),
    "slice": (
        SLICES,
        {
            "metadata": META,
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.20.0.1"], "conditions": {"ready": True}}],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        },
    ),
    "node": (
        NODES,
        {
            "metadata": META,
            "spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.90.0.2"}]},
        },
    ),
    "cidr": (SERVICE_CIDRS, {"metadata": META, "spec": {"cidrs": ["10.96.0.0/16"]}}),
    "lease": (
        LEASES,
        {"metadata": META, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}},
    ),
}
KINDS = st.sampled_from(sorted(OBJECTS))
STATUS = {
    "kind": "Status",
    "code": 403,
    "message": "no",
    "reason": "Forbidden",
    "details": {"causes": [{"reason": "NamespaceTerminating"}]},
}
NOW = datetime.now(UTC)


@given(st.data(), KINDS)
def test_an_object(data: st.DataObject, kind: str) -> None:
    resource, valid = OBJECTS[kind]
    try:
        found = _decode(data.draw(bodies(valid)), resource.type)
    except ClusterBusy:
        return
    if kind == "service":
        service_state(found)
    elif kind == "endpoints":
        endpoints.decode(found)
        endpoints.is_ours(found, "office")
    elif kind == "slice":
        slices.decode([found])
        list(_of_api_server(found))
    elif kind == "node":
        list(_of_node(found))
    elif kind == "cidr":
        list(_of_services(found))


class _Items(msgspec.Struct):
    items: list[msgspec.Raw]


@given(st.data(), KINDS)
def test_a_list(data: st.DataObject, kind: str) -> None:
    resource, valid = OBJECTS[kind]
    whole = {"items": [valid], "metadata": {"resourceVersion": "8", "continue": ""}}
    body = data.draw(bodies(whole))
    try:
        found: ObjectList[Any] = _decode(body, ObjectList[resource.type])  # type: ignore[name-defined]  # a value
    except ClusterBusy:
        return
    assert len(found.items) == len(msgspec.json.decode(body, type=_Items).items)


class Refusal:
    """An answer with a status of its own."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status, self.reason, self.headers = status, "because", headers


@given(bodies(STATUS), st.sampled_from([400, 401, 403, 404, 409, 410, 429, 500]), texts("3"))
def test_a_refusal(body: bytes, status: int, retry_after: str) -> None:
    refusal: Any = Refusal(status, {"Retry-After": retry_after})
    assert isinstance(_error(refusal, body), ClusterError)


@given(st.data(), KINDS, st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]))
def test_a_line_of_a_watch(data: st.DataObject, kind: str, news: str) -> None:
    resource, valid = OBJECTS[kind]
    client = Client(EmbeddedCluster().transport)
    told: list[str] = []
    watched: Watched[Any] = Watched(
        client,
        resource,
        Scope("shop"),
        lambda one: one.metadata.name,
        told.append,
        Random(1),  # noqa: S311  the same in each run
    )
    about = STATUS if news == "ERROR" else valid
    line = data.draw(bodies({"type": news, "object": about}))
    try:
        watched._apply(line)  # noqa: SLF001  a line at a time, without a server
    except ClusterError:
        assert not told  # what can't be read has changed nothing


@given(texts("10.20.0.1:80,[2001:db8::1]:80"))
def test_the_mark_of_drained_backends(text: str) -> None:
    for one in drained_by(ObjectMeta(annotations={DRAINED: text})):
        assert 0 < one.port < 65_536


ORDERED = {"id": "0a", "kind": "resync", "body": "x", "until": "2099-01-01T00:00:00Z"}


@given(
    bodies(ORDERED).map(lambda data: data.decode(errors="replace")),
    bodies({"id": "0a", "body": "x"}).map(lambda data: data.decode(errors="replace")),
)
def test_an_order_that_stands_in_the_lease(order: str, answer: str) -> None:
    lease = Lease(metadata=ObjectMeta(annotations={ORDER: order, ANSWER: answer}))
    found = _read(lease, ORDER, _Order)
    assert found is None or isinstance(found.until < NOW, bool)
    _read(lease, ANSWER, _Answer)
