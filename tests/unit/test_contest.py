from __future__ import annotations

from registrar.contest import FREE, LONGEST_S, QUIET_S, Contest
from registrar.model import ServiceKey
from tests.fakes import KEY


def test_a_few_corrections_come_at_once_then_ever_later_ones() -> None:
    contest, now, waits = Contest(), 100.0, []
    for _ in range(FREE + 9):
        waits.append(contest.wait(KEY, now))
        now += waits[-1]
        assert contest.wait(KEY, now) == 0
        contest.corrected(KEY, now)
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, LONGEST_S, LONGEST_S, LONGEST_S]


def test_one_fight_delays_no_other_service() -> None:
    contest = Contest()
    for _ in range(10):
        contest.corrected(KEY, 0.0)
    assert contest.wait(ServiceKey("shop", "other"), 0.0) == 0


def test_after_some_quiet_it_begins_anew() -> None:
    contest = Contest()
    for _ in range(10):
        contest.corrected(KEY, 0.0)
    assert contest.wait(KEY, QUIET_S - 1) == 0  # its minute is over, but it is not forgotten
    contest.corrected(KEY, QUIET_S - 1)
    assert contest.wait(KEY, QUIET_S - 1) == LONGEST_S
    later = 2 * QUIET_S
    assert contest.wait(KEY, later) == 0
    contest.corrected(KEY, later)
    assert contest.wait(KEY, later) == 0
    assert contest.corrections(KEY) == 1
