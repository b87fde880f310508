from __future__ import annotations

from registrar.decide.plan import plan
from registrar.model import Desired, Published
from tests.fakes import endpoint

A, B, C = endpoint("10.0.0.1"), endpoint("10.0.0.2"), endpoint("10.0.0.3")
B_DOWN = endpoint("10.0.0.2", ready=False)


def test_nothing_to_do_where_nothing_differs() -> None:
    assert plan(Desired(frozenset({A, B})), Published(frozenset({B, A}))).is_empty


def test_adds_removals_and_changes_are_told_apart() -> None:
    difference = plan(Desired(frozenset({A, B_DOWN})), Published(frozenset({B, C})))
    assert difference.adds == {A}
    assert difference.removals == {C}
    assert difference.changes == {B_DOWN}
    assert not difference.is_empty


def test_where_nothing_is_there_all_is_added() -> None:
    assert plan(Desired(frozenset({A})), None).adds == {A}
    assert plan(Desired(frozenset()), None).is_empty
