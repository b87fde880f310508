from __future__ import annotations

import pytest

from registrar.decide.health import HealthState, adopt, revive, step
from registrar.model import Outcome, Verdict
from tests.fakes import CHECK

P, F, S, U = Outcome.PASSED, Outcome.FAILED, Outcome.SILENT, Outcome.UNKNOWN


def run(state: HealthState, *outcomes: Outcome) -> Verdict:
    for outcome in outcomes:
        state = step(state, outcome, CHECK, 0.0)
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


def test_what_was_not_published_is_as_if_never_seen() -> None:
    assert adopt(ready=None) == HealthState()


def test_silence_takes_down_as_failures_do_and_is_remembered() -> None:
    state = adopt(ready=True)
    for now in range(CHECK.fall):
        state = step(state, S, CHECK, float(now))
    assert (state.verdict, state.silent, state.silenced_at) == (Verdict.DOWN, True, 2.0)
    again = step(state, S, CHECK, 9.0)
    assert (again.silent, again.silenced_at) == (True, 2.0)
    answered = step(state, P, CHECK, 9.0)
    assert not answered.silent
    assert step(adopt(ready=True), F, CHECK, 0.0).silent is False


def test_silence_that_is_doubted_is_noted_and_says_nothing() -> None:
    state = adopt(ready=True)
    for now in range(10):
        state = step(state, S, CHECK, float(now), doubted=True)
    assert (state.verdict, state.against, state.silent) == (Verdict.UP, 0, True)
    for now in range(CHECK.fall):
        state = step(state, F, CHECK, float(now), doubted=True)
    assert (state.verdict, state.silenced_at) == (Verdict.DOWN, None)


def test_who_is_revived_is_up_and_silent() -> None:
    state = revive(HealthState(Verdict.DOWN, settled=True, silenced_at=1.0))
    assert (state.verdict, state.settled, state.silent) == (Verdict.UP, True, True)
    assert state.silenced_at is None


def test_it_is_settled_once_the_process_itself_has_judged() -> None:
    assert not adopt(ready=True).settled
    assert step(adopt(ready=True), P, CHECK, 0.0).settled
    assert not step(adopt(ready=True), F, CHECK, 0.0).settled
    assert not step(HealthState(), U, CHECK, 0.0).settled
    assert step(HealthState(), P, CHECK, 0.0).settled
