"""What a Service is given by the server, and keeps."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from tests.contract.api import Api, place
from tests.contract.objects import endpoints, service, slice_
from tests.lab import wait_for

V4, V6 = ip_network("10.96.0.0/16"), ip_network("fd00:10:96::/112")


def test_defaults_and_a_cluster_address(api: Api, ns: str) -> None:
    made = api.post(place(ns, "services"), service("a", {"port": 80})).json
    address = made["spec"]["clusterIP"]
    assert ip_address(address) in V4
    assert made["spec"] == {
        "ports": [{"protocol": "TCP", "port": 80, "targetPort": 80}],
        "clusterIP": address,
        "clusterIPs": [address],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
    }
    assert made["status"] == {"loadBalancer": {}}
    assert "generation" not in made["metadata"]


def test_addresses_differ(api: Api, ns: str) -> None:
    specs = [
        api.post(place(ns, "services"), service(name, {"port": 80})).json["spec"]
        for name in ("a", "b", "c")
    ]
    assert len({spec["clusterIP"] for spec in specs}) == 3


@pytest.mark.parametrize(
    ("spec", "families", "policy"),
    [
        ({"ipFamilies": ["IPv6"]}, ["IPv6"], "SingleStack"),
        ({"ipFamilyPolicy": "PreferDualStack"}, ["IPv4", "IPv6"], "PreferDualStack"),
        (
            {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]},
            ["IPv6", "IPv4"],
            "RequireDualStack",
        ),
    ],
)
def test_families(
    api: Api, ns: str, spec: dict[str, object], families: list[str], policy: str
) -> None:
    made = api.post(place(ns, "services"), service("a", {"port": 80}, **spec)).json["spec"]
    assert (made["ipFamilies"], made["ipFamilyPolicy"]) == (families, policy)
    networks = {"IPv4": V4, "IPv6": V6}
    assert len(made["clusterIPs"]) == len(families)
    for address, family in zip(made["clusterIPs"], families, strict=True):
        assert ip_address(address) in networks[family]
    assert made["clusterIP"] == made["clusterIPs"][0]


def test_a_headless_one_has_no_address(api: Api, ns: str) -> None:
    made = api.post(place(ns, "services"), service("a", clusterIP="None")).json["spec"]
    assert made == {
        "clusterIP": "None",
        "clusterIPs": ["None"],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "RequireDualStack",
        "internalTrafficPolicy": "Cluster",
    }
    body = service("b", {"port": 80}, clusterIP="None", selector={"a": "b"})
    made = api.post(place(ns, "services"), body).json["spec"]
    assert (made["ipFamilies"], made["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")


def test_an_external_name_has_nothing_else(api: Api, ns: str) -> None:
    body = service("a", type="ExternalName", externalName="db.example.")
    made = api.post(place(ns, "services"), body).json["spec"]
    assert made == {
        "type": "ExternalName",
        "sessionAffinity": "None",
        "externalName": "db.example.",
    }


def test_a_node_port(api: Api, ns: str) -> None:
    made = api.post(place(ns, "services"), service("a", {"port": 80}, type="NodePort")).json["spec"]
    assert 30000 <= made["ports"][0]["nodePort"] <= 32767
    assert made["externalTrafficPolicy"] == "Cluster"


def test_affinity_has_a_timeout(api: Api, ns: str) -> None:
    body = service("a", {"port": 80}, sessionAffinity="ClientIP")
    made = api.post(place(ns, "services"), body).json["spec"]
    assert made["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


def test_an_address_can_be_asked_for_once(api: Api, ns: str) -> None:
    body = service("a", {"port": 80}, clusterIP="10.96.77.77")
    made = api.post(place(ns, "services"), body)
    assert made.json["spec"]["clusterIPs"] == ["10.96.77.77"]
    taken = api.post(place(ns, "services"), {**body, "metadata": {"name": "b"}})
    assert taken.status == 422
    assert taken.message == (
        'Service "b" is invalid: spec.clusterIPs: Invalid value: ["10.96.77.77"]: failed to'
        " allocate IP 10.96.77.77: provided IP is already allocated"
    )
    api.delete(place(ns, "services", "a"))
    assert api.post(place(ns, "services"), {**body, "metadata": {"name": "b"}}).status == 201
    api.delete(place(ns, "services", "b"))


def test_an_address_out_of_range(api: Api, ns: str) -> None:
    refused = api.post(place(ns, "services"), service("a", {"port": 80}, clusterIP="192.0.2.1"))
    assert refused.message == (
        'Service "a" is invalid: spec.clusterIPs: Invalid value: ["192.0.2.1"]: failed to allocate'
        " IP 192.0.2.1: the provided network does not match the current range"
    )


def test_two_families_need_a_policy(api: Api, ns: str) -> None:
    refused = api.post(
        place(ns, "services"), service("a", {"port": 80}, ipFamilies=["IPv6", "IPv4"])
    )
    assert refused.message == (
        'Service "a" is invalid: spec.ipFamilyPolicy: Invalid value: "SingleStack": must be'
        " 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"
    )


def test_an_update_keeps_the_address(api: Api, ns: str) -> None:
    made = api.post(place(ns, "services"), service("a", {"port": 80})).json
    changed = api.put(place(ns, "services", "a"), service("a", {"port": 81})).json
    ports = [{"protocol": "TCP", "port": 81, "targetPort": 81}]
    assert changed["spec"] == {**made["spec"], "ports": ports}


def test_an_address_stays(api: Api, ns: str) -> None:
    item = api.post(place(ns, "services"), service("a", {"port": 80})).json
    item["spec"] |= {"clusterIP": "10.96.77.78", "clusterIPs": ["10.96.77.78"]}
    refused = api.put(place(ns, "services", "a"), item)
    words = 'spec.clusterIPs[0]: Invalid value: ["10.96.77.78"]: may not change once set'
    assert refused.message == f'Service "a" is invalid: {words}'


def test_it_can_become_an_external_name_and_back(api: Api, ns: str) -> None:
    item = api.post(place(ns, "services"), service("a", {"port": 80})).json
    item["spec"] |= {"type": "ExternalName", "externalName": "db.example"}
    away = api.put(place(ns, "services", "a"), item)
    assert away.status == 200, away.text
    assert "clusterIP" not in away.json["spec"]
    back = away.json
    back["spec"]["type"] = "ClusterIP"
    del back["spec"]["externalName"]
    assert ip_address(api.put(place(ns, "services", "a"), back).json["spec"]["clusterIP"]) in V4


def test_its_endpoints_and_slices_go_with_it(api: Api, ns: str) -> None:
    meta = api.post(place(ns, "services"), service("a", {"port": 80})).meta
    owner = {"apiVersion": "v1", "kind": "Service", "name": "a", "uid": meta["uid"]}
    owned = slice_("a-1", "10.1.1.1") | {"metadata": {"name": "a-1", "ownerReferences": [owner]}}
    assert api.post(place(ns, "endpoints"), endpoints("a")).status == 201
    assert api.post(place(ns, "endpoints"), endpoints("b")).status == 201
    assert api.post(place(ns, "endpointslices"), owned).status == 201
    api.delete(place(ns, "services", "a"))

    def are_gone() -> bool:
        api.settle()
        paths = (place(ns, "endpoints", "a"), place(ns, "endpointslices", "a-1"))
        return all(api.get(path).status == 404 for path in paths)

    wait_for(are_gone, 30, "the end of what belonged to the Service")
    assert api.get(place(ns, "endpoints", "b")).status == 200


def test_what_is_owned_by_nothing_goes(api: Api, ns: str) -> None:
    uid = "123e4567-e89b-12d3-a456-426614174000"
    owner = {"apiVersion": "v1", "kind": "Service", "name": "a", "uid": uid}
    owned = slice_("a-1", "10.1.1.1") | {"metadata": {"name": "a-1", "ownerReferences": [owner]}}
    assert api.post(place(ns, "endpointslices"), owned).status == 201

    def is_gone() -> bool:
        api.settle()
        return api.get(place(ns, "endpointslices", "a-1")).status == 404

    wait_for(is_gone, 30, "the end of what nothing owns")
