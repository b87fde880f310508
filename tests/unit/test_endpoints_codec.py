from __future__ import annotations

import json

import msgspec

from registrar.cluster.endpoints import decode, encode, subsets
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
    assert sent(encode(KEY, "office", wanted, None)) == {
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
    meta = encode(KEY, "office", frozenset(), current).metadata
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


def test_it_is_ours_only_with_both_marks() -> None:
    label = '"labels": {"app.kubernetes.io/managed-by": "registrar"}'
    mark = '"annotations": {"registrar.internal/instance": "office"}'
    assert decode(stored(f'{{"metadata": {{{label}, {mark}}}}}'), "office").ours
    assert not decode(stored(f'{{"metadata": {{{label}, {mark}}}}}'), "other").ours
    assert not decode(stored(f'{{"metadata": {{{label}}}}}'), "office").ours
    assert not decode(stored(f'{{"metadata": {{{mark}}}}}'), "office").ours


def test_what_a_hand_added_or_reordered_is_not_canonical() -> None:
    one, two = '{"ip": "10.0.0.1"}', '{"ip": "10.0.0.2"}'
    ports = '"ports": [{"port": 80, "protocol": "TCP"}]'
    good = f'{{"addresses": [{one}, {two}], {ports}}}'
    assert decode(stored(f'{{"subsets": [{good}]}}'), "office").canonical
    for edited in (
        good.replace(f"{one}, {two}", f"{two}, {one}"),
        good.replace('"ip": "10.0.0.1"', '"ip": "10.0.0.1", "nodeName": "n1"'),
        good.replace('"ip": "10.0.0.1"', '"ip": "10.0.0.1", "targetRef": {"kind": "Pod"}'),
        good.replace('"10.0.0.1"', '"not an address"'),
    ):
        assert not decode(stored(f'{{"subsets": [{edited}]}}'), "office").canonical
