"""The cadence of checks, in virtual time: kept, without bursts, and with nobody left out."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from registrar.probe.cadence import FIRST_AT_ONCE, FIRST_PER_S, FIRST_SHARE, Cadence
from registrar.probe.ring import AT_ONCE, AT_ONCE_S, SOONEST, STANDSTILL_S, Slot

TICK = 0.005
BIN_S = 0.1


class Member(Slot):
    """One that is checked, and for how long each of its checks takes."""

    def __init__(self, interval: float, takes: float = 0.0) -> None:
        super().__init__(interval)
        self.takes = takes


class Run:
    """A cadence that is looked at every few milliseconds, as the engine does."""

    def __init__(self) -> None:
        self.cadence: Cadence[Member] = Cadence()
        self.now = 100.0
        self.begun: dict[Member, list[float]] = defaultdict(list)
        self.dues: dict[Member, list[float]] = defaultdict(list)
        self.looks: list[tuple[float, int]] = []
        self._ends: list[tuple[float, Member]] = []
        self.live: set[Member] = set()

    def add(self, count: int, interval: float, takes: float = 0.0) -> list[Member]:
        members = [Member(interval, takes) for _ in range(count)]
        self.cadence.add(members, self.now)
        self.live |= set(members)
        return members

    def remove(self, member: Member) -> None:
        self.live.remove(member)
        self.cadence.remove(member)
        self._ends = [(end, one) for end, one in self._ends if one is not member]

    def hand_back(self, member: Member, soon: float) -> None:
        """End the check of a member that is under way, in transition."""
        self._ends = [(end, one) for end, one in self._ends if one is not member]
        self.cadence.hand_back(member, soon)

    def jump(self, seconds: float) -> None:
        """Have nobody look for a while."""
        self.now += seconds
        self.look()

    def look(self) -> None:
        for end, member in [one for one in self._ends if one[0] <= self.now]:
            self._ends.remove((end, member))
            self.cadence.hand_back(member)
        taken = self.cadence.take(self.now)
        assert len(taken) == len(set(taken))
        under_way = {member for _, member in self._ends}
        for member in taken:
            assert member in self.live, "it was removed"
            assert member not in under_way, "it is under way already"
            assert member.due <= self.now
            self.begun[member].append(self.now)
            self.dues[member].append(member.due)
            self._ends.append((self.now + member.takes, member))
        self.looks.append((self.now, len(taken)))

    def run(self, seconds: float) -> None:
        """Look again and again, at the moments when there may be something to do."""
        until = self.now + seconds
        while self.now < until:
            next_end = min((end for end, _ in self._ends), default=math.inf)
            next_time = min(self.cadence.next_due(self.now), next_end)
            ticks = max(1, math.ceil((next_time - self.now) / TICK)) if next_time < until else 1
            self.now = min(until, self.now + ticks * TICK) if next_time < until else until
            self.look()

    def most_in(self, seconds: float) -> int:
        """Return the most that was begun within any so many seconds."""
        times = sorted(time for begun in self.begun.values() for time in begun)
        return max(
            (bisect_right(times, time + seconds) - at for at, time in enumerate(times)), default=0
        )


intervals = st.sampled_from([0.5, 1.0, 2.0, 3.7])
counts = st.integers(1, 40)


@given(st.lists(st.tuples(counts, intervals), min_size=1, max_size=4))
def test_each_is_checked_at_its_interval_whatever_the_others_do(
    groups: list[tuple[int, float]],
) -> None:
    run = Run()
    members = [one for count, interval in groups for one in run.add(count, interval)]
    run.run(12)
    for member in members:
        first, second, *later = run.dues[member]
        assert first <= 100.0 + member.interval + TICK
        assert second - first >= SOONEST * member.interval
        assert second - first <= (1 + SOONEST) * member.interval + 1e-9
        for number, due in enumerate(later, 1):
            assert abs(due - second - number * member.interval) < 1e-6


@given(st.integers(1, 1200), intervals)
def test_however_many_are_added_at_once_they_come_in_no_burst(count: int, interval: float) -> None:
    run = Run()
    run.add(count, interval)
    run.run(2 * interval + 1)
    rate = count / interval
    first = FIRST_AT_ONCE + BIN_S * max(FIRST_PER_S, FIRST_SHARE * rate)
    assert run.most_in(BIN_S) <= rate * (BIN_S + TICK) + first + 1


@given(st.lists(st.tuples(st.integers(1, 30), st.floats(0, 1.5)), min_size=1, max_size=12))
def test_nor_do_those_that_are_added_one_after_another(added: list[tuple[int, float]]) -> None:
    run = Run()
    for count, pause in added:
        run.add(count, 2.0)
        run.run(pause)
    run.run(4.5)
    begun = run.begun
    run.begun = defaultdict(list)  # first checks are another matter
    run.run(4.0)
    rate = sum(count for count, _ in added) / 2.0
    # Each lot lies evenly, and its slots fall between those of the others as may be.
    assert run.most_in(BIN_S) <= rate * (BIN_S + TICK) + len(added) + 1
    assert set(begun) == set(run.begun) == run.live


@given(
    st.integers(1, 60),
    st.lists(
        st.tuples(st.sampled_from(["add", "remove", "run", "jump"]), st.integers(0, 30)),
        max_size=25,
    ),
    st.floats(0, 1.9),
)
def test_none_is_lost_doubled_or_starved(
    count: int, steps: list[tuple[str, int]], takes: float
) -> None:
    run = Run()
    run.add(count, 2.0, takes)
    for step, number in steps:
        if step == "add":
            run.add(number + 1, 2.0, takes)
        elif step == "remove":
            for member in sorted(run.live, key=lambda one: one.offset)[:number]:
                run.remove(member)
        elif step == "run":
            run.run(number / 10)
        else:
            run.jump(number)
    since = run.now
    run.run((2 + SOONEST) * 2.0 + 2 * takes + 1)
    for member in run.live:
        checked = [time for time in run.begun[member] if time >= since]
        assert checked, "it is left out"
        assert checked[0] - since <= (1 + SOONEST) * 2.0 + takes + 2 * TICK + STANDSTILL_S


@given(st.integers(1, 1000), st.floats(0.1, 10_000))
def test_after_a_standstill_they_go_on_as_before(count: int, seconds: float) -> None:
    run = Run()
    members = run.add(count, 2.0)
    run.run(6.0)
    run.jump(seconds)
    rate = count / 2.0
    _, at_once = run.looks[-1]
    assert at_once <= rate * AT_ONCE_S + AT_ONCE
    since = run.now
    run.begun.clear()
    run.run(2.0 + TICK)
    assert run.most_in(BIN_S) <= rate * (BIN_S + STANDSTILL_S + 2 * TICK) + 2
    for member in members:
        assert any(since - TICK <= time for time in run.begun[member]) or at_once


@given(st.floats(0.01, 1.99))
def test_a_check_that_lasts_nearly_as_long_as_the_interval_loses_no_turn(takes: float) -> None:
    run = Run()
    (member,) = run.add(1, 2.0, takes)
    run.run(30)
    _, second, *later = run.dues[member]
    assert len(later) >= 13
    for number, due in enumerate(later, 1):
        assert abs(due - second - number * 2.0) < 1e-6


def test_a_check_that_lasts_for_the_whole_interval_loses_no_turn_either() -> None:
    run = Run()
    (member,) = run.add(1, 1.0, 1.004)  # it begins a little late, and ends so
    run.run(30)
    assert len(run.begun[member]) >= 28


def test_one_is_checked_at_once_and_so_are_a_few() -> None:
    run = Run()
    few = run.add(FIRST_AT_ONCE, 60.0)
    run.look()
    assert all(run.begun[one] == [100.0] for one in few)


@given(st.floats(0.2, 1.0))
def test_in_transition_the_next_check_comes_sooner(soon: float) -> None:
    run = Run()
    (member,) = run.add(1, 5.0, takes=1000.0)
    run.run(0.1)
    due = member.due
    run.hand_back(member, soon)
    run.run(2.0)
    assert run.dues[member][-1] == due + soon


def test_out_of_turn_the_slot_stays() -> None:
    run = Run()
    (member,) = run.add(1, 4.0)
    run.run(9.0)
    slot = run.dues[member][-1]
    assert run.cadence.take_out_of_turn(member, run.now)
    assert not run.cadence.take_out_of_turn(member, run.now)
    run.cadence.hand_back(member)
    run.run(9.0)
    assert slot + 4.0 in run.dues[member]
