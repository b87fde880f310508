from __future__ import annotations

import pytest

from registrar.decide.health import HealthState, adopt, step
from registrar.model import Outcome, Verdict
from tests.fakes import CHECK

P, F, U = Outcome.PASSED, Outcome.FAILED, Outcome.UNKNOWN


def run(state: HealthState, *outcomes: Outcome) -> Verdict:
    for outcome in outcomes:
        state = step(state, outcome, CHECK)
    return state.verdict


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ((), Verdict.UNKNOWN),
        ((P,), Verdict.UP),
        ((F, F), Verdict.UNKNOWN),
        ((F, F, F), Verdict.DOWN),
        ((F, F, P), Verdict.UP),
        ((P, F, F), Verdict.UP),
        ((P, F, F, P, F, F), Verdict.UP),
        ((P, F, F, F), Verdict.DOWN),
        ((F, F, F, P), Verdict.DOWN),
        ((F, F, F, P, F, P), Verdict.DOWN),
        ((F, F, F, P, P), Verdict.UP),
        ((P, U, F, U, F, U, F), Verdict.DOWN),
    ],
)
def test_never_judged(outcomes: tuple[Outcome, ...], verdict: Verdict) -> None:
    assert run(HealthState(), *outcomes) is verdict


def test_adopted_as_ready_stays_up_until_judged_down() -> None:
    assert run(adopt(ready=True)) is Verdict.UP
    assert run(adopt(ready=True), F, F) is Verdict.UP
    assert run(adopt(ready=True), F, F, F) is Verdict.DOWN


def test_adopted_as_not_ready_counts_as_down() -> None:
    assert run(adopt(ready=False), P) is Verdict.DOWN
    assert run(adopt(ready=False), P, P) is Verdict.UP


def test_it_is_settled_once_the_process_itself_has_judged() -> None:
    assert not adopt(ready=True).settled
    assert step(adopt(ready=True), P, CHECK).settled
    assert not step(adopt(ready=True), F, CHECK).settled
    assert not step(HealthState(), U, CHECK).settled
    assert step(HealthState(), P, CHECK).settled
