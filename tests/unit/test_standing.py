"""What is logged of where a Service stands: each transition once, and no look."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from registrar.cluster.forms import Action, Write
from registrar.cluster.objects import Endpoints
from registrar.model import Desired, Dropped, Hold, HoldReason, Plan
from registrar.standing import LOGGED_DROPS, Standings
from registrar.transitions import HoldBegan, HoldEnded, Transition
from tests.fakes import KEY, endpoint

MISSING = Hold(HoldReason.SERVICE_MISSING, "there is no Service shop/web")
REFUSED = Hold(HoldReason.SOURCE_UNKNOWN, "racks.yaml: connection refused")
TIMED_OUT = Hold(HoldReason.SOURCE_UNKNOWN, "racks.yaml: timed out")
ONE = frozenset({endpoint("10.0.0.1")})
ADDED = Plan(adds=ONE)
WRITES = (Write(Action.CREATE, Endpoints()),)
Step = Callable[[Standings], None]


def settled(*holds: Hold, drops: int = 0, notices: tuple[str, ...] = ()) -> Step:
    dropped = tuple(Dropped(f"127.0.0.{n}", "it is a loopback address") for n in range(drops))
    desired = Desired(ONE, holds, dropped, notices)
    return lambda standings: standings.settle(KEY, desired, Plan(), ())


def held(hold: Hold) -> Step:
    return lambda standings: standings.hold(KEY, hold)


def published(standings: Standings) -> None:
    standings.settle(KEY, Desired(ONE), ADDED, WRITES)


def partly(standings: Standings) -> None:
    standings.wrote(KEY, Desired(ONE), ADDED, WRITES)


def said(*steps: Step) -> list[str]:
    """Return what is logged of some steps, each of them taken three times over."""
    standings = Standings(clock=lambda: 1.0)
    with capture_logs() as logs:
        for step in steps:
            for _ in range(3):
                step(standings)
    return [" ".join(filter(None, (line["event"], line.get("reason")))) for line in logs]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([settled()], []),
        ([held(MISSING)], ["hold service-missing"]),
        ([held(MISSING), settled()], ["hold service-missing", "hold-ended service-missing"]),
        (
            [held(MISSING), held(REFUSED)],
            ["hold service-missing", "hold source-unknown", "hold-ended service-missing"],
        ),
        # Another detail of the same reason is news; the hold has not ended in between.
        ([settled(REFUSED), settled(TIMED_OUT)], ["hold source-unknown"] * 2),
        # Held in part, then as a whole, for the same reason: nothing new.
        ([settled(REFUSED), held(REFUSED)], ["hold source-unknown"]),
        (
            [settled(REFUSED, TIMED_OUT), settled(REFUSED), settled()],
            ["hold source-unknown", "hold source-unknown", "hold-ended source-unknown"],
        ),
        (
            [settled(drops=2), settled(drops=3)],
            ["backend-dropped it is a loopback address"] * 3,
        ),
        ([settled(drops=50)], ["backend-dropped it is a loopback address"] * LOGGED_DROPS),
        ([settled(notices=("it is local",)), settled()], ["notice"]),
        # That it was held meanwhile makes no news of what was said before.
        ([settled(notices=("it is local",)), held(MISSING)], ["notice", "hold service-missing"]),
    ],
)
def test_transitions_are_logged_and_looks_are_not(steps: list[Step], expected: list[str]) -> None:
    assert said(*steps) == expected


def test_what_was_dropped_or_noticed_is_not_said_again_after_a_hold() -> None:
    standings = Standings(clock=lambda: 1.0)
    look = settled(drops=1, notices=("it is local",))
    look(standings)
    held(MISSING)(standings)
    with capture_logs() as logs:
        look(standings)
    assert [line["event"] for line in logs] == ["hold-ended"]


def test_each_write_is_told_in_numbers_and_counted() -> None:
    standings = Standings(clock=lambda: 1.0)
    with capture_logs() as logs:
        published(standings)
        standings.settle(KEY, Desired(frozenset()), Plan(removals=ONE), (*WRITES, *WRITES))
    assert [line["event"] for line in logs] == ["published"] * 2
    told = ("added", "removed", "changed", "endpoints", "writes")
    assert [[line[name] for name in told] for line in logs] == [[1, 0, 0, 1, 1], [0, 1, 0, 0, 2]]
    assert standings[KEY].written == 3


def test_what_is_written_in_two_parts_is_told_once_and_counted_twice() -> None:
    standings = Standings(clock=lambda: 1.0)
    with capture_logs() as logs:
        partly(standings)
        published(standings)
        published(standings)
    assert [line["event"] for line in logs] == ["published"] * 2
    assert standings[KEY].written == 3


def test_what_everything_passes_through_is_no_warning() -> None:
    levels = {}
    with capture_logs() as logs:
        for reason in HoldReason:
            Standings(clock=lambda: 1.0).hold(KEY, Hold(reason, "as told"))
    for line in logs:
        levels[line["reason"]] = line["log_level"]
    assert {reason for reason, level in levels.items() if level == "info"} == {
        "waiting",
        "namespace-terminating",
    }
    assert {level for level in levels.values() if level != "info"} == {"warning"}


def test_a_defect_is_logged_with_its_trace() -> None:
    defect = KeyError("no such thing")
    with capture_logs() as logs:
        Standings(clock=lambda: 1.0).hold(
            KEY, Hold(HoldReason.INTERNAL_ERROR, "a defect"), defect=defect
        )
    assert (logs[0]["log_level"], logs[0]["exc_info"]) == ("error", defect)


def test_a_hold_keeps_what_was_wanted_and_forgets_what_was_written() -> None:
    standings = Standings(clock=lambda: 1.0)
    published(standings)
    standings.hold(KEY, MISSING)
    found = standings[KEY]
    assert found.holds == (MISSING,)
    assert found.desired == Desired(ONE)
    assert (found.writes, found.written, found.plan.is_empty) == ((), 1, True)


def test_with_a_service_that_is_forgotten_its_holds_are_over() -> None:
    told: list[Transition] = []
    standings = Standings(told.append, clock=lambda: 1.0)
    with capture_logs() as logs:
        standings.hold(KEY, REFUSED)
        standings.forget(KEY)
        standings.forget(KEY)
    assert [line["event"] for line in logs] == ["hold", "hold-ended"]
    assert told == [HoldBegan(KEY, REFUSED), HoldEnded(KEY, REFUSED)]
    assert KEY not in standings
