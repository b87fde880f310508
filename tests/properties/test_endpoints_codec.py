"""The codec of Endpoints: nothing is lost, and equal endpoints are equal bytes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from random import Random
from unittest.mock import patch

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from registrar.cluster import endpoints as endpoints_codec
from registrar.cluster.drained import drained_by
from registrar.cluster.endpoints import decode, encode, is_ours, says_the_same, subsets
from registrar.cluster.objects import Endpoints
from registrar.model import Address, Endpoint, EndpointId
from tests.fakes import KEY

addresses = st.sampled_from(
    [IPv4Address(f"10.0.0.{n}") for n in (1, 2, 10)] + [IPv6Address("2001:db8::1")]
)
ids = st.builds(
    EndpointId,
    st.sampled_from(["", "http", "admin"]),
    st.sampled_from(["TCP", "UDP"]),
    addresses,
    st.integers(80, 82),
)
endpoints = st.dictionaries(
    ids, st.tuples(st.booleans(), st.none() | st.just("web-1"), st.none() | st.just("h2c"))
).map(lambda d: frozenset(Endpoint(i, *rest) for i, rest in d.items()))
drained = st.frozensets(addresses)


@given(endpoints, st.booleans())
def test_what_is_encoded_is_decoded_and_not_written_again(
    wanted: frozenset[Endpoint],
    mirrored: bool,  # noqa: FBT001  a parameter
) -> None:
    new = encode(KEY, "office", wanted, None, mirrored=mirrored)
    stored = msgspec.json.decode(msgspec.json.encode(new), type=Endpoints)
    assert decode(stored) == wanted
    assert is_ours(stored, "office")
    assert says_the_same(encode(KEY, "office", wanted, stored, mirrored=mirrored), stored)
    assert not says_the_same(encode(KEY, "office", wanted, stored, mirrored=not mirrored), stored)


@given(endpoints, drained)
def test_what_is_drained_is_remembered_even_of_those_beyond_the_capacity(
    wanted: frozenset[Endpoint], taken_out: frozenset[Address]
) -> None:
    wanted = frozenset(
        replace(e, ready=False, draining=True, drained=True) if e.id.address in taken_out else e
        for e in wanted
    )
    new = encode(KEY, "office", wanted, None, mirrored=True)
    stored = msgspec.json.decode(msgspec.json.encode(new), type=Endpoints)
    assert decode(stored) == wanted
    assert says_the_same(encode(KEY, "office", wanted, stored, mirrored=True), stored)
    before = frozenset(replace(e, draining=False, drained=False) for e in wanted)
    assert decode(encode(KEY, "office", before, stored, mirrored=True)) == before
    with patch.object(endpoints_codec, "MAX_ADDRESSES", 1):
        cut = encode(KEY, "office", wanted, None, mirrored=True)
    assert drained_by(cut.metadata) == {e.backend for e in wanted if e.drained}


@given(endpoints, st.randoms(use_true_random=False))
def test_equal_endpoints_are_equal_bytes(wanted: frozenset[Endpoint], rng: Random) -> None:
    shuffled = list(wanted)
    rng.shuffle(shuffled)
    assert msgspec.json.encode(subsets(shuffled)) == msgspec.json.encode(subsets(wanted))


@given(endpoints)
def test_no_address_stands_twice_in_a_subset_and_no_port_set_twice(
    wanted: frozenset[Endpoint],
) -> None:
    groups = subsets(wanted)
    for subset in groups:
        both = [*subset.addresses, *subset.not_ready_addresses]
        assert subset.ports
        assert len({port.name for port in subset.ports}) == len(subset.ports)
        assert len({(a.ip, a.hostname) for a in subset.addresses}) == len(subset.addresses)
        assert both
    assert len({subset.ports for subset in groups}) == len(groups)
