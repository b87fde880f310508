from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from registrar.model import Answer, Backend
from registrar.rotation import Seen, unite
from tests.fakes import answer


def named(seen: Seen) -> set[str]:
    return {str(backend.address) for backend, _ in seen.values()}


def test_an_answer_without_a_window_stands_for_itself_alone() -> None:
    seen = unite({}, answer("10.0.0.1"), 0.0)
    assert named(unite(seen, answer("10.0.0.2"), 0.0)) == {"10.0.0.2"}


def test_what_was_named_within_the_window_counts_and_then_is_gone() -> None:
    seen: Seen = {}
    for now, address in enumerate(["10.0.0.1", "10.0.0.2", "10.0.0.3"]):
        seen = unite(seen, replace(answer(address), window=3.0), float(now))
    assert named(seen) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    seen = unite(seen, replace(answer("10.0.0.2"), window=3.0), 3.0)
    assert named(seen) == {"10.0.0.2", "10.0.0.3"}


def test_what_is_said_last_of_a_backend_holds() -> None:
    old = Answer((Backend(IPv4Address("10.0.0.1"), 80, zone="a"),), window=60.0)
    new = Answer((Backend(IPv4Address("10.0.0.1"), 80, zone="b"),), window=60.0)
    seen = unite(unite({}, old, 0.0), new, 1.0)
    assert [backend.zone for backend, _ in seen.values()] == ["b"]


gaps = st.floats(0.1, 20)
histories = st.lists(st.tuples(gaps, st.sets(st.integers(1, 5))), min_size=1)


@given(histories, st.floats(0, 60))
def test_who_is_named_at_least_once_a_window_is_never_gone(
    answers: list[tuple[float, set[int]]], window: float
) -> None:
    seen: Seen = {}
    now = 0.0
    last: dict[str, float] = {}
    for gap, numbers in answers:
        now += gap
        addresses = [f"10.0.0.{n}" for n in numbers]
        seen = unite(seen, replace(answer(*addresses), window=window), now)
        last |= dict.fromkeys(addresses, now)
        assert named(seen) == {a for a, at in last.items() if now - at < window or at == now}
