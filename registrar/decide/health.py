"""Turns the outcomes of single checks into a verdict: rise, fall, and what was adopted.

A state machine of values and monotonic time. An outcome that is unknown changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from registrar.model import HealthCheck, Outcome, Verdict

_MOST = 1024
"""Of states that are kept: most targets are in one of a few, and share it."""


@dataclass(frozen=True, slots=True)
class HealthState:
    """The verdict on one target, and how many outcomes in a row speak against it.

    A target starts as unknown, or, where it is already published, as what it is published as.
    `silent`: the last outcome was silence; `silenced_at`: when silence took it down, in seconds.
    """

    verdict: Verdict = Verdict.UNKNOWN
    against: int = 0
    settled: bool = False
    """Whether the present process has itself seen enough to stand by the verdict."""
    silent: bool = False
    silenced_at: float | None = None


@lru_cache(_MOST)
def _shared(
    verdict: Verdict, against: int = 0, *, settled: bool = False, silent: bool = False
) -> HealthState:
    return HealthState(verdict, against, settled, silent)


def adopt(*, ready: bool | None) -> HealthState:
    """Return the state of a target that was found published: ready counts as up, else as down.

    None: it was not published, and nothing is known of it.
    """
    if ready is None:
        return _shared(Verdict.UNKNOWN)
    return _shared(Verdict.UP if ready else Verdict.DOWN)


def step(
    state: HealthState, outcome: Outcome, check: HealthCheck, now: float, *, doubted: bool = False
) -> HealthState:
    """Return the state after one more outcome.

    A target never judged before is up after its first success and down after `fall` failures;
    one that is down comes up after `rise` successes, one that is up goes down after `fall`
    failures, in a row each. With `doubted`, silence is noted and says nothing.
    """
    if outcome is Outcome.UNKNOWN:
        return state
    silent = outcome is Outcome.SILENT
    if silent and doubted:
        return noted(state)
    says = Verdict.UP if outcome is Outcome.PASSED else Verdict.DOWN
    if says is state.verdict:
        return _like(state, against=0, settled=True, silent=silent)
    against = state.against + 1
    if against < _needed(state, says, check):
        return _like(state, against=against, settled=state.settled, silent=silent)
    if silent:
        return HealthState(says, settled=True, silent=True, silenced_at=now)
    return _shared(says, settled=True)


def noted(state: HealthState) -> HealthState:
    """Return the state of a target that is silent, which says nothing yet."""
    return _like(state, against=state.against, settled=state.settled, silent=True)


def revive(state: HealthState) -> HealthState:
    """Return the state of a target whose silence turns out to say nothing: up, as it was."""
    return _shared(Verdict.UP, settled=state.settled, silent=True)


def _like(state: HealthState, *, against: int, settled: bool, silent: bool) -> HealthState:
    if state.silenced_at is None:
        return _shared(state.verdict, against, settled=settled, silent=silent)
    return HealthState(state.verdict, against, settled, silent, state.silenced_at)


def _needed(state: HealthState, says: Verdict, check: HealthCheck) -> int:
    if says is Verdict.DOWN:
        return check.fall
    return check.rise if state.verdict is Verdict.DOWN else 1
