from __future__ import annotations

import json

import msgspec

from registrar.cluster.endpoints import decode, encode, is_ours, says_the_same, subsets
from registrar.cluster.objects import Endpoints
from tests.fakes import KEY, endpoint


def stored(text: str) -> Endpoints:
    return msgspec.json.decode(text, type=Endpoints)


def sent(value: object) -> object:
    return json.loads(msgspec.json.encode(value))


def test_the_object_is_written_as_the_api_reference_has_it() -> None:
    wanted = frozenset(
        {endpoint("10.0.0.10"), endpoint("10.0.0.9"), endpoint("10.0.0.1", ready=False)}
    )
    assert sent(encode(KEY, "office", wanted, None, mirrored=True)) == {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "labels": {"app.kubernetes.io/managed-by": "registrar"},
            "annotations": {"registrar.internal/instance": "office"},
        },
        "subsets": [
            {
                "addresses": [{"ip": "10.0.0.9"}, {"ip": "10.0.0.10"}],
                "notReadyAddresses": [{"ip": "10.0.0.1"}],
                "ports": [{"port": 80, "protocol": "TCP"}],
            }
        ],
    }


def test_an_update_carries_uid_and_version_and_leaves_other_marks_alone() -> None:
    current = stored(
        '{"metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7",'
        ' "labels": {"team": "a"}, "annotations": {"note": "b"}}}'
    )
    meta = encode(KEY, "office", frozenset(), current, mirrored=True).metadata
    assert (meta.uid, meta.resource_version) == ("u", "7")
    assert meta.labels == {"team": "a", "app.kubernetes.io/managed-by": "registrar"}
    assert meta.annotations == {"note": "b", "registrar.internal/instance": "office"}


def test_readiness_is_a_matter_of_address_and_port() -> None:
    wanted = {
        endpoint("10.0.0.1", name="http"),
        endpoint("10.0.0.1", name="admin", port=90, ready=False),
        endpoint("10.0.0.2", name="http"),
        endpoint("10.0.0.2", name="admin", port=90),
    }
    assert sent(subsets(wanted)) == [
        {
            "notReadyAddresses": [{"ip": "10.0.0.1"}],
            "ports": [{"name": "admin", "port": 90, "protocol": "TCP"}],
        },
        {
            "addresses": [{"ip": "10.0.0.2"}],
            "ports": [
                {"name": "admin", "port": 90, "protocol": "TCP"},
                {"name": "http", "port": 80, "protocol": "TCP"},
            ],
        },
        {
            "addresses": [{"ip": "10.0.0.1"}],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        },
    ]


def test_an_address_that_serves_one_port_of_a_service_on_two_numbers() -> None:
    # As two containers on one Docker host do. In a subset the API server wants ports told apart
    # by name, and so does the mirroring controller, which makes a slice of each.
    wanted = {endpoint("10.0.0.1", port=80), endpoint("10.0.0.1", port=81)}
    assert [[port.port for port in one.ports] for one in subsets(wanted)] == [[80], [81]]
    wanted = {
        *(endpoint(f"10.0.0.{n}", name="http", port=port) for n in (1, 2) for port in (80, 81)),
        endpoint("10.0.0.1", name="admin", port=90),
    }
    assert sent(subsets(wanted)) == [
        {
            "addresses": [{"ip": "10.0.0.1"}],
            "ports": [
                {"name": "admin", "port": 90, "protocol": "TCP"},
                {"name": "http", "port": 80, "protocol": "TCP"},
            ],
        },
        {
            "addresses": [{"ip": "10.0.0.2"}],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        },
        {
            "addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}],
            "ports": [{"name": "http", "port": 81, "protocol": "TCP"}],
        },
    ]


def test_what_is_not_to_be_mirrored_says_so() -> None:
    marked = encode(KEY, "office", frozenset(), None, mirrored=False)
    assert marked.metadata.labels["endpointslice.kubernetes.io/skip-mirror"] == "true"
    again = encode(KEY, "office", frozenset(), marked, mirrored=True)
    assert "endpointslice.kubernetes.io/skip-mirror" not in again.metadata.labels


def test_the_mark_of_the_endpoints_controller_goes_when_an_object_is_taken_over() -> None:
    # It deletes what carries that label once there is no pod behind it.
    theirs = stored(
        '{"metadata": {"name": "web", "labels": {"a": "b",'
        ' "endpoints.kubernetes.io/managed-by": "endpoints-controller"}}}'
    )
    taken = encode(KEY, "office", frozenset(), theirs, mirrored=True)
    assert taken.metadata.labels == {"a": "b", "app.kubernetes.io/managed-by": "registrar"}


def test_above_its_capacity_it_holds_the_first_thousand_ready_ones_first_and_says_so() -> None:
    addresses = [f"10.1.{n // 250}.{n % 250 + 1}" for n in range(1200)]
    wanted = frozenset(endpoint(a, ready=n != 3) for n, a in enumerate(addresses))
    new = encode(KEY, "office", wanted, None, mirrored=False)
    assert new.metadata.annotations["endpoints.kubernetes.io/over-capacity"] == "truncated"
    kept = {str(e.id.address) for e in decode(new)}
    assert kept == {*addresses[:1001]} - {addresses[3]}
    few = encode(KEY, "office", frozenset({endpoint("10.1.0.1")}), new, mirrored=False)
    assert "endpoints.kubernetes.io/over-capacity" not in few.metadata.annotations


def test_it_is_ours_only_with_both_marks() -> None:
    label = '"labels": {"app.kubernetes.io/managed-by": "registrar"}'
    mark = '"annotations": {"registrar.internal/instance": "office"}'
    assert is_ours(stored(f'{{"metadata": {{{label}, {mark}}}}}'), "office")
    assert not is_ours(stored(f'{{"metadata": {{{label}, {mark}}}}}'), "other")
    assert not is_ours(stored(f'{{"metadata": {{{label}}}}}'), "office")
    assert not is_ours(stored(f'{{"metadata": {{{mark}}}}}'), "office")


def test_what_a_hand_added_or_reordered_is_another_object() -> None:
    wanted = frozenset({endpoint("10.0.0.1"), endpoint("10.0.0.2")})
    ours = encode(KEY, "office", wanted, None, mirrored=True)
    good = msgspec.json.encode(ours).decode()
    one, two = '{"ip":"10.0.0.1"}', '{"ip":"10.0.0.2"}'
    assert says_the_same(encode(KEY, "office", wanted, stored(good), mirrored=True), stored(good))
    for edited in (
        good.replace(f"{one},{two}", f"{two},{one}"),
        good.replace('"ip":"10.0.0.1"', '"ip":"10.0.0.1","nodeName":"n1"'),
        good.replace('"ip":"10.0.0.1"', '"ip":"10.0.0.1","targetRef":{"kind":"Pod"}'),
        good.replace('"10.0.0.1"', '"not an address"'),
    ):
        assert edited != good
        found = stored(edited)
        assert not says_the_same(encode(KEY, "office", wanted, found, mirrored=True), found)
