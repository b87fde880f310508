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


def test_an_object_that_is_not_there_is_a_difference_even_to_nothing() -> None:
    assert not plan(Desired(frozenset()), None).is_empty
    assert plan(Desired(frozenset()), Published(frozenset())).is_empty


def test_another_form_of_the_same_is_rewritten() -> None:
    same = Published(frozenset({A}), canonical=False)
    assert plan(Desired(frozenset({A})), same).rewrite
