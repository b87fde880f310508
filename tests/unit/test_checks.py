from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from registrar.checks import Checks
from registrar.model import CheckResult, Outcome, Preservation, ServiceKey, Verdict
from tests.fakes import CHECK, RecordingEngine, target

WEB, API = ServiceKey("shop", "web"), ServiceKey("shop", "api")
A, B = target("10.0.0.1"), target("10.0.0.2")
PASSED = CheckResult(Outcome.PASSED, "connected")
FAILED = CheckResult(Outcome.FAILED, "connection refused")
NOT_RUN = CheckResult(Outcome.UNKNOWN, "could not be run: too many open files")


class World:
    """Checks with an engine that the test plays, and a note of whom changes were told."""

    def __init__(self, preservation: Preservation | None = None) -> None:
        self.told: list[ServiceKey] = []
        self.now = 0.0
        self.checks = Checks(self.told.append, preservation, lambda: self.now)
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
    checks, engine = Checks(told.append, clock=lambda: 0.0), RecordingEngine()
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


# --- silence that is probably our own fault -------------------------------------------------------

SILENT = CheckResult(Outcome.SILENT, "no answer within 1 s")
KEYS = [ServiceKey("shop", f"s{n}") for n in range(4)]
FARM = {key: target(f"10.0.{n}.1") for n, key in enumerate(KEYS)}


def a_farm(preservation: Preservation | None = None) -> World:
    """Return a world of four Services in four networks, with a backend each, all up."""
    world = World(preservation)
    for key, one in FARM.items():
        world.checks.want(key, {one: None})
        world.checks.report(one, PASSED)
    world.told.clear()
    return world


def verdicts(world: World) -> list[Verdict]:
    return [world.checks.verdicts(key)[one] for key, one in FARM.items()]


def fall_silent(world: World, *keys: ServiceKey, rounds: int = CHECK.fall) -> None:
    for _ in range(rounds):
        for key in keys:
            world.now += CHECK.interval / len(keys)
            world.checks.report(FARM[key], SILENT)


def test_when_most_fall_silent_none_goes_down_and_that_is_said() -> None:
    world = a_farm()
    with capture_logs() as logs:
        fall_silent(world, *KEYS, rounds=6)
    assert verdicts(world) == [Verdict.UP] * 4
    assert [line["event"] for line in logs] == ["self-preservation"]
    assert all(world.checks.doubted(key) == {FARM[key]} for key in KEYS)
    assert set(world.told) == set(KEYS)


def test_it_is_over_when_they_answer() -> None:
    world = a_farm()
    fall_silent(world, *KEYS)
    assert world.engine.tells_all  # so that what has ended is learnt of
    with capture_logs() as logs:
        for key in KEYS:
            world.now += 1
            world.checks.report(FARM[key], PASSED)
    assert not world.engine.tells_all
    assert [line["event"] for line in logs] == ["self-preservation-ended"]
    assert verdicts(world) == [Verdict.UP] * 4
    assert not world.checks.doubted(KEYS[0])
    fall_silent(world, KEYS[0])  # one alone is believed
    assert verdicts(world) == [Verdict.DOWN] + [Verdict.UP] * 3


def test_a_check_that_began_before_it_was_over_takes_nothing_down() -> None:
    canary = target("10.9.9.9", port=53)
    world = a_farm(Preservation(canaries=(canary,), max_hold=60.0))
    fall_silent(world, KEYS[0], rounds=CHECK.fall - 1)
    for _ in range(2):
        world.checks.report(canary, SILENT)
    fall_silent(world, KEYS[0], rounds=1)
    world.checks.report(canary, PASSED)
    world.now += CHECK.interval
    world.checks.report(FARM[KEYS[1]], PASSED)
    assert not world.checks.is_doubting
    world.now += CHECK.timeout  # what ends now has begun while all was lost
    world.checks.report(FARM[KEYS[0]], SILENT)
    world.checks.report(canary, PASSED)
    assert verdicts(world) == [Verdict.UP] * 4
    fall_silent(world, KEYS[0], rounds=1)
    world.checks.report(canary, PASSED)
    assert verdicts(world) == [Verdict.DOWN] + [Verdict.UP] * 3


def test_it_ends_after_its_time_and_then_silence_counts() -> None:
    world = a_farm(Preservation(max_hold=60.0))
    fall_silent(world, *KEYS, rounds=13)
    with capture_logs() as logs:
        fall_silent(world, *KEYS, rounds=CHECK.fall)
    assert verdicts(world) == [Verdict.DOWN] * 4
    assert [line["event"] for line in logs if line["event"] != "verdict"] == []


def test_a_refusal_counts_in_any_case() -> None:
    world = a_farm()
    fall_silent(world, *KEYS[:3])
    for _ in range(CHECK.fall):
        world.checks.report(FARM[KEYS[3]], FAILED)
    assert verdicts(world) == [Verdict.UP] * 3 + [Verdict.DOWN]


def test_a_few_that_really_died_go_down() -> None:
    world = a_farm()
    fall_silent(world, *KEYS[:2])
    assert verdicts(world) == [Verdict.DOWN] * 2 + [Verdict.UP] * 2


def test_those_that_went_down_first_come_back_when_the_rest_falls_silent() -> None:
    world = a_farm()
    fall_silent(world, KEYS[0])
    assert verdicts(world)[0] is Verdict.DOWN
    fall_silent(world, *KEYS[1:], rounds=1)
    assert verdicts(world) == [Verdict.UP] * 4


def test_a_canary_that_is_silent_makes_all_silence_doubtful() -> None:
    canary = target("10.9.9.9", port=53)
    world = a_farm(Preservation(canaries=(canary,), max_hold=60.0))
    assert canary in world.engine.targets
    for _ in range(2):
        world.checks.report(canary, SILENT)
    fall_silent(world, KEYS[0], rounds=100)  # for as long as it lasts
    assert verdicts(world) == [Verdict.UP] * 4
    world.checks.report(canary, FAILED)  # who refuses was reached
    fall_silent(world, KEYS[0])
    assert verdicts(world) == [Verdict.UP] * 4
    world.checks.report(canary, FAILED)
    assert verdicts(world) == [Verdict.DOWN] + [Verdict.UP] * 3


def test_a_canary_is_asked_before_silence_takes_anything_down() -> None:
    """Else all would be down before the canary has been silent for long enough to be noticed."""
    canary = target("10.9.9.9", port=53)
    world = a_farm(Preservation(canaries=(canary,)))
    fall_silent(world, KEYS[0])
    assert world.engine.rechecked == [canary]
    assert verdicts(world) == [Verdict.UP] * 4
    world.checks.report(canary, PASSED)
    assert verdicts(world) == [Verdict.DOWN] + [Verdict.UP] * 3
    for _ in range(CHECK.fall):
        world.checks.report(FARM[KEYS[2]], FAILED)  # and a refusal counts by itself
    assert verdicts(world)[2] is Verdict.DOWN
    assert world.engine.rechecked == [canary]


def test_a_canary_that_answers_late_says_nothing_of_a_silence_before() -> None:
    canary = target("10.9.9.9", port=53)
    world = a_farm(Preservation(canaries=(canary,)))
    fall_silent(world, KEYS[0])
    world.now += 2.0
    world.checks.report(canary, PASSED)
    assert verdicts(world) == [Verdict.UP] * 4
    fall_silent(world, KEYS[0], rounds=1)
    world.checks.report(canary, PASSED)
    assert verdicts(world) == [Verdict.DOWN] + [Verdict.UP] * 3


def test_a_silence_that_is_over_is_not_vouched_for() -> None:
    canary = target("10.9.9.9", port=53)
    world = a_farm(Preservation(canaries=(canary,)))
    fall_silent(world, *KEYS[:2])
    world.checks.report(FARM[KEYS[0]], PASSED)
    world.checks.forget(KEYS[1])  # nor one of which nobody knows any more
    world.checks.report(canary, PASSED)
    assert world.checks.verdicts(KEYS[0])[FARM[KEYS[0]]] is Verdict.UP
    hasty = target("10.0.9.9", check=replace(CHECK, fall=1))
    world.checks.want(KEYS[0], {hasty: True})
    world.checks.report(hasty, SILENT)
    world.checks.report(hasty, PASSED)
    world.checks.report(canary, PASSED)
    assert world.checks.verdicts(KEYS[0])[hasty] is Verdict.UP


def test_silence_settles_once_it_counts_for_no_other() -> None:
    canary = target("10.9.9.9", port=53)
    world = a_farm(Preservation(canaries=(canary,)))
    one = FARM[KEYS[0]]
    assert not world.checks.report(one, SILENT)  # it is up
    fall_silent(world, KEYS[0])
    world.checks.report(canary, PASSED)
    assert verdicts(world)[0] is Verdict.DOWN
    assert not world.checks.report(one, SILENT)  # others may have fallen silent with it
    world.now += 31
    assert world.checks.report(one, SILENT)
    assert not world.checks.report(one, FAILED)
    assert not world.checks.report(canary, SILENT)
    assert not world.checks.report(canary, SILENT)
    world.now += 1
    assert not world.checks.report(one, SILENT)  # all silence is doubted
    assert world.checks.is_doubting


def test_it_can_be_switched_off() -> None:
    world = a_farm(Preservation(enabled=False))
    fall_silent(world, *KEYS)
    assert verdicts(world) == [Verdict.DOWN] * 4


def test_other_canaries_are_checked_after_a_change_and_no_backend_less() -> None:
    first, second, backend = (target(address) for address in ("10.9.9.1", "10.9.9.2", "10.7.7.7"))
    world = a_farm(Preservation(canaries=(first, backend)))
    world.checks.want(next(iter(FARM)), {backend: True})
    world.checks.apply(Preservation(canaries=(second,)))
    assert first not in world.engine.targets
    assert world.engine.targets.count(second) == 1
    assert world.engine.targets.count(backend) == 1
    world.checks.apply(Preservation(canaries=(second, backend)))
    assert world.engine.targets.count(second) == world.engine.targets.count(backend) == 1
