from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from registrar.checks import Checks
from registrar.model import CheckResult, Outcome, ServiceKey, Verdict
from tests.fakes import CHECK, RecordingEngine, target

WEB, API = ServiceKey("shop", "web"), ServiceKey("shop", "api")
A, B = target("10.0.0.1"), target("10.0.0.2")
PASSED = CheckResult(Outcome.PASSED, "connected")
FAILED = CheckResult(Outcome.FAILED, "connection refused")
NOT_RUN = CheckResult(Outcome.UNKNOWN, "could not be run: too many open files")


class World:
    """Checks with an engine that the test plays, and a note of whom changes were told."""

    def __init__(self) -> None:
        self.told: list[ServiceKey] = []
        self.checks = Checks(self.told.append)
        self.engine = RecordingEngine()
        self.checks.start(self.engine)


@pytest.fixture
def world() -> World:
    return World()


def test_what_a_service_wants_is_checked_and_judged(world: World) -> None:
    world.checks.want(WEB, {A: None, B: None})
    assert set(world.engine.targets) == {A, B}
    world.checks.report(A, PASSED)
    assert world.checks.verdicts(WEB) == {A: Verdict.UP, B: Verdict.UNKNOWN}


def test_what_was_wanted_before_the_engine_came_is_checked_too() -> None:
    told: list[ServiceKey] = []
    checks, engine = Checks(told.append), RecordingEngine()
    checks.want(WEB, {A: None})
    checks.start(engine)
    assert engine.targets == [A]


def test_what_is_published_is_adopted(world: World) -> None:
    world.checks.want(WEB, {A: True, B: False})
    assert world.checks.verdicts(WEB) == {A: Verdict.UP, B: Verdict.DOWN}
    for _ in range(CHECK.fall - 1):
        world.checks.report(A, FAILED)
    assert world.checks.verdicts(WEB)[A] is Verdict.UP
    world.checks.report(A, FAILED)
    assert world.checks.verdicts(WEB)[A] is Verdict.DOWN


def test_what_was_judged_is_not_adopted_again(world: World) -> None:
    world.checks.want(WEB, {A: None})
    world.checks.report(A, PASSED)
    world.checks.want(WEB, {A: False})
    assert world.checks.verdicts(WEB) == {A: Verdict.UP}


def test_services_that_ask_the_same_share_the_check(world: World) -> None:
    world.checks.want(WEB, {A: None})
    world.checks.want(API, {A: None})
    assert world.engine.targets == [A]
    world.checks.report(A, PASSED)
    assert world.checks.verdicts(WEB) == world.checks.verdicts(API) == {A: Verdict.UP}
    assert sorted(world.told) == [API, WEB]


def test_services_that_ask_differently_do_not(world: World) -> None:
    other = replace(A, check=replace(CHECK, fall=5))
    world.checks.want(WEB, {A: None})
    world.checks.want(API, {other: None})
    world.checks.report(A, PASSED)
    assert world.checks.verdicts(API) == {other: Verdict.UNKNOWN}
    assert world.told == [WEB]


def test_a_target_is_forgotten_when_the_last_who_wants_it_is_gone(world: World) -> None:
    world.checks.want(WEB, {A: None})
    world.checks.want(API, {A: None})
    world.checks.report(A, PASSED)
    world.checks.want(WEB, {})
    assert world.engine.targets == [A]
    assert world.checks.verdicts(WEB) == {}
    world.checks.want(API, {B: None})
    assert world.engine.targets == [B]
    world.checks.want(WEB, {A: None})
    assert world.checks.verdicts(WEB) == {A: Verdict.UNKNOWN}


def test_an_outcome_that_comes_too_late_is_ignored(world: World) -> None:
    world.checks.want(WEB, {A: None})
    world.checks.want(WEB, {})
    world.checks.report(A, PASSED)
    assert world.told == []


def test_only_transitions_are_told_and_each_is_logged_once(world: World) -> None:
    world.checks.want(WEB, {A: None})
    with capture_logs() as logs:
        world.checks.report(A, PASSED)
        for _ in range(20):
            world.checks.report(A, PASSED)
        assert world.told == [WEB]
        for _ in range(20):
            world.checks.report(A, FAILED)
    assert world.told == [WEB, WEB]
    assert [(line["event"], line["before"], line["verdict"]) for line in logs] == [
        ("verdict", "unknown", "up"),
        ("verdict", "up", "down"),
    ]
    assert logs[1]["backend"] == "10.0.0.1 port 80"
    assert logs[1]["reason"] == "connection refused"
    assert logs[1]["services"] == ["shop/web"]


def test_standing_by_what_was_adopted_is_told_but_is_no_transition(world: World) -> None:
    world.checks.want(WEB, {A: True})
    with capture_logs() as logs:
        assert not world.checks.settled(WEB)
        world.checks.report(A, PASSED)
        world.checks.report(A, PASSED)
    assert world.checks.settled(WEB)
    assert world.told == [WEB]
    assert logs == []


def test_a_service_is_settled_when_all_its_targets_are(world: World) -> None:
    world.checks.want(WEB, {A: None, B: True})
    world.checks.report(A, PASSED)
    assert not world.checks.settled(WEB)
    for _ in range(CHECK.fall):
        world.checks.report(B, FAILED)
    assert world.checks.settled(WEB)


def test_checks_that_could_not_be_run_change_nothing_and_are_said_once(world: World) -> None:
    world.checks.want(WEB, {A: True, B: True})
    with capture_logs() as logs:
        for _ in range(20):
            world.checks.report(A, NOT_RUN)
            world.checks.report(B, NOT_RUN)
        assert world.told == []
        assert world.checks.verdicts(WEB) == {A: Verdict.UP, B: Verdict.UP}
        world.checks.report(A, PASSED)
        world.checks.want(WEB, {A: True})
    assert [line["event"] for line in logs] == ["checks-not-run", "checks-run-again"]
    assert logs[0]["reason"] == NOT_RUN.reason


def test_the_reason_of_the_last_check_of_each_backend_is_known(world: World) -> None:
    world.checks.want(WEB, {A: True, B: None})
    world.checks.want(API, {B: None})
    assert world.checks.reasons(WEB) == {}
    world.checks.report(A, PASSED)
    world.checks.report(A, FAILED)  # it is still up, and this is how its last check ended
    world.checks.report(B, PASSED)
    assert world.checks.reasons(WEB) == {
        (A.address, 80): "connection refused",
        (B.address, 80): "connected",
    }
    assert world.checks.reasons(API) == {(B.address, 80): "connected"}
    world.checks.want(WEB, {})
    world.checks.want(WEB, {A: None})
    assert world.checks.reasons(WEB) == {}  # what was forgotten is not told of its successor
