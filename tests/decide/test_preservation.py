from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.decide.health import HealthState, adopt
from registrar.decide.preservation import (
    LONGEST_WINDOW_S,
    Alarm,
    Canary,
    Census,
    census,
    judge,
    was_up,
    window,
)
from registrar.model import ServiceKey, Verdict
from tests.fakes import KEY, target


@dataclass
class Standing:
    state: HealthState
    owners: Collection[ServiceKey]


WIDE = Census(up=10, silent=6, services=3, networks=2)
HOLD_S = 120.0


@pytest.mark.parametrize(
    ("counted", "raised"),
    [
        (WIDE, True),
        (Census(10, 5, 3, 2), False),  # half is not more than half
        (Census(10, 6, 2, 2), False),
        (Census(10, 6, 3, 1), False),
        (Census(), False),
    ],
)
def test_it_takes_more_than_half_in_several_services_and_networks(
    counted: Census,
    raised: bool,  # noqa: FBT001  a parameter
) -> None:
    assert judge(Alarm(), counted, Canary.NONE, 5.0, HOLD_S).is_raised is raised
    assert judge(Alarm(), counted, Canary.REACHED, 5.0, HOLD_S).is_raised is raised
    assert judge(Alarm(), counted, Canary.UNREACHED, 5.0, HOLD_S).is_raised


def test_it_lasts_its_time_and_is_not_raised_again_before_it_was_over() -> None:
    alarm = judge(Alarm(), WIDE, Canary.NONE, 0.0, HOLD_S)
    assert judge(alarm, WIDE, Canary.NONE, 119.0, HOLD_S) == alarm
    spent = judge(alarm, WIDE, Canary.NONE, 120.0, HOLD_S)
    assert not spent.is_raised
    assert not judge(spent, WIDE, Canary.NONE, 121.0, HOLD_S).is_raised
    over = judge(spent, Census(10, 1, 1, 1), Canary.NONE, 200.0, HOLD_S)
    assert over == Alarm()
    assert judge(over, WIDE, Canary.NONE, 201.0, HOLD_S).is_raised


def test_while_a_canary_says_so_it_lasts() -> None:
    alarm = judge(Alarm(), WIDE, Canary.UNREACHED, 0.0, HOLD_S)
    assert judge(alarm, WIDE, Canary.UNREACHED, 9999.0, HOLD_S).is_raised
    spent = judge(alarm, WIDE, Canary.NONE, 9999.0, HOLD_S)
    assert judge(spent, WIDE, Canary.UNREACHED, 10_000.0, HOLD_S).is_raised


def test_the_window_is_the_longest_interval_and_half_a_minute_at_most() -> None:
    assert window([5.0, 10.0]) == 10.0
    assert window([5.0, 600.0]) == LONGEST_WINDOW_S
    assert window([]) == LONGEST_WINDOW_S


def test_who_was_up() -> None:
    assert was_up(adopt(ready=True), 10.0, 0.0)
    assert not was_up(adopt(ready=False), 10.0, 0.0)
    assert not was_up(HealthState(), 10.0, 0.0)
    silenced = HealthState(Verdict.DOWN, silent=True, silenced_at=100.0)
    assert was_up(silenced, 10.0, 110.0)
    assert not was_up(silenced, 10.0, 111.0)


def test_the_census_counts_services_and_networks_of_the_silent_alone() -> None:
    up, silent = adopt(ready=True), HealthState(Verdict.UP, silent=True)
    other = ServiceKey("shop", "other")
    states = {
        target("10.0.1.1"): silent,
        target("10.0.1.2"): silent,
        target("10.0.2.1"): up,
        target("2001:db8::1"): silent,
        target("2001:db8::2"): silent,
        target("10.0.9.1"): HealthState(Verdict.DOWN, silent=True),
    }
    judged = {one: Standing(state, {KEY}) for one, state in states.items()}
    judged[target("10.0.1.2")].owners = {KEY, other}
    assert census(judged, 10.0, 0.0) == Census(up=5, silent=4, services=2, networks=2)


@given(
    st.lists(
        st.tuples(
            st.floats(0.5, 50.0),
            st.builds(Census, *[st.integers(0, 6)] * 4),
            st.sampled_from([Canary.NONE, Canary.REACHED]),
        )
    )
)
def test_without_a_canary_that_says_so_no_silence_is_doubted_for_longer_than_its_time(
    looks: list[tuple[float, Census, Canary]],
) -> None:
    alarm, now = Alarm(), 0.0
    raised_since: float | None = None
    for wait, counted, canary in looks:
        now += wait
        alarm = judge(alarm, counted, canary, now, HOLD_S)
        if not alarm.is_raised:
            raised_since = None
            continue
        raised_since = now if raised_since is None else raised_since
        assert now - raised_since < HOLD_S
