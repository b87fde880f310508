"""The codec of EndpointSlices: nothing is lost on the way, and nothing moves without need."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from unittest.mock import patch

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from registrar.cluster import packing
from registrar.cluster.objects import EndpointSlice
from registrar.cluster.packing import SliceOwner, pack
from registrar.cluster.slices import decode, is_ours
from registrar.model import Endpoint, EndpointId, ServiceState
from tests.fakes import KEY

OWNER = SliceOwner(KEY, ServiceState("uid-1", ()), "office")
NOW = "2026-01-01T00:00:00Z"

addresses = st.integers(1, 40).map(lambda n: IPv4Address(f"10.0.0.{n}")) | st.integers(1, 9).map(
    lambda n: IPv6Address(f"2001:db8::{n}")
)
ids = st.builds(EndpointId, st.sampled_from(["", "http"]), st.just("TCP"), addresses, st.just(80))
states = st.sampled_from(
    [
        (True, False, False),
        (False, False, False),
        (False, True, False),
        *((False, True, True), (False, False, True)),  # taken out by a person
    ]
)
endpoints = st.dictionaries(ids, st.tuples(states, st.none() | st.just("a")), max_size=40).map(
    lambda d: frozenset(
        Endpoint(i, ready, draining=draining, zone=zone, drained=drained)
        for i, ((ready, draining, drained), zone) in d.items()
    )
)
histories = st.lists(endpoints, min_size=1, max_size=5)


class Stored:
    """The slices of an API server, and what each of its watchers would see."""

    def __init__(self) -> None:
        self.now: dict[str, EndpointSlice] = {}
        self.seen: list[frozenset[Endpoint]] = []

    def write(self, wanted: frozenset[Endpoint]) -> int:
        with patch.object(packing, "MAX_ENDPOINTS", 5):
            changes = pack(OWNER, wanted, self.now.values(), NOW)
        for new in (*changes.creates, *changes.updates):
            # As it comes back from an API server.
            stored = msgspec.json.decode(msgspec.json.encode(new), type=EndpointSlice)
            self.now[new.metadata.name] = stored
            self.seen.append(decode(self.now.values()))
        for old in changes.deletes:
            del self.now[old.metadata.name]
            self.seen.append(decode(self.now.values()))
        return len(changes.creates) + len(changes.updates) + len(changes.deletes)


@given(histories)
def test_the_slices_say_what_is_wanted_and_then_nothing_is_written(
    history: list[frozenset[Endpoint]],
) -> None:
    stored = Stored()
    for wanted in history:
        stored.write(wanted)
        assert decode(stored.now.values()) == wanted
        assert stored.write(wanted) == 0
        assert all(is_ours(one, "office", "uid-1") for one in stored.now.values())


@given(histories)
def test_a_slice_has_one_port_one_family_and_room_for_its_endpoints(
    history: list[frozenset[Endpoint]],
) -> None:
    stored = Stored()
    for wanted in history:
        stored.write(wanted)
        for one in stored.now.values():
            found = decode([one])
            if not wanted:  # one slice says that there is nobody
                assert len(stored.now) == 1
                assert found == frozenset()
                continue
            assert len(one.ports or ()) == 1
            assert 1 <= len(found) <= 5
            assert {f"IPv{e.id.address.version}" for e in found} == {one.address_type}
        counted = Counter(e.id for one in stored.now.values() for e in decode([one]))
        assert set(counted.values()) <= {1}


@given(histories)
def test_whoever_stays_ready_is_there_at_every_step(history: list[frozenset[Endpoint]]) -> None:
    stored = Stored()
    before: frozenset[Endpoint] = frozenset()
    for wanted in history:
        stored.seen.clear()
        stored.write(wanted)
        staying = {e.id for e in before if e.ready} & {e.id for e in wanted if e.ready}
        for seen in stored.seen:
            assert staying <= {e.id for e in seen if e.ready}
        before = wanted


@given(histories, st.data())
def test_one_change_is_one_write(history: list[frozenset[Endpoint]], data: st.DataObject) -> None:
    stored = Stored()
    for wanted in history:
        stored.write(wanted)
    last = history[-1]
    if last:
        one = data.draw(st.sampled_from(sorted(last, key=repr)))
        assert stored.write(last - {one} | {_turned(one)}) == 1
        stored.write(last)
        assert stored.write(last - {one}) == 1


def _turned(one: Endpoint) -> Endpoint:
    return replace(one, ready=not one.ready, draining=False, drained=False)


@given(histories, st.data())
def test_taking_one_out_is_one_write(
    history: list[frozenset[Endpoint]], data: st.DataObject
) -> None:
    stored = Stored()
    for wanted in history:
        stored.write(wanted)
    if plain := [e for e in history[-1] if not e.drained]:
        one = data.draw(st.sampled_from(sorted(plain, key=repr)))
        out = replace(one, ready=False, draining=True, drained=True)
        assert stored.write(history[-1] - {one} | {out}) == 1
