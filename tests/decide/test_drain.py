from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.decide.candidates import Candidates, candidates
from registrar.decide.drain import Chosen, chosen, ends_service, in_order
from registrar.decide.plan import plan
from registrar.decide.policy import decide
from registrar.model import (
    BackendId,
    Desired,
    Endpoint,
    NetworkRules,
    Observation,
    Published,
    ServiceState,
    Target,
    Verdict,
)
from tests.decide.test_properties import observations, published, tiered, verdicts
from tests.decide.test_tiers import tiers
from tests.fakes import QUERY, endpoint, mapping, service, target

ONE, TWO, SIX = (
    BackendId(ip_address("10.0.0.1"), 80),
    BackendId(ip_address("10.0.0.1"), 81),
    BackendId(ip_address("2001:db8::1"), 80),
)
MANY = ", ".join(f"10.0.1.{n}:80" for n in range(10))
UP, DOWN = Verdict.UP, Verdict.DOWN
FIRST, SECOND = target("10.0.0.1"), target("10.0.0.2")


def look(
    observation: Observation,
    before: Published | None,
    known: dict[Target, Verdict],
    drained: frozenset[BackendId] = frozenset(),
    of: ServiceState | None = None,
    panic: float = 0.0,
) -> Desired | None:
    asked = replace(mapping(), panic_threshold=panic)
    rules = NetworkRules()
    found = candidates(asked, of or service(), before, {QUERY: observation}, rules, {}, 0.0)
    if not isinstance(found, Candidates):
        return None
    desired = decide(asked, found, before, known, drained=drained)
    return desired if isinstance(desired, Desired) else None


def said(desired: Desired | None) -> dict[str, str]:
    assert desired is not None
    return {str(e.id.address): e.state for e in desired.endpoints}


# --- who is meant --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        (Chosen(ONE.address), frozenset({ONE, TWO})),
        (Chosen(ONE.address, 81), frozenset({TWO})),
        (Chosen(SIX.address), frozenset({SIX})),
    ],
)
def test_an_address_means_all_its_backends_and_a_port_one(
    wanted: Chosen, meant: frozenset[BackendId]
) -> None:
    assert chosen({ONE, TWO, SIX}, [wanted]) == meant


def test_several_may_be_named() -> None:
    assert chosen({ONE, TWO, SIX}, [Chosen(*TWO), Chosen(*SIX)]) == frozenset({TWO, SIX})


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (
            {SIX, ONE},
            f"10.0.0.9:80 is no backend of this Service; its backends: {ONE}, {SIX}",
        ),
        (set(), "10.0.0.9:80 is no backend of this Service; it has none"),
        (
            {BackendId(ip_address("10.0.1.0") + n, 80) for n in range(12)},
            f"10.0.0.9:80 is no backend of this Service; its backends: {MANY} and 2 more",
        ),
    ],
)
def test_what_is_no_backend_is_refused_with_those_that_are(
    there: set[BackendId], words: str
) -> None:
    other = Chosen(ip_address("10.0.0.9"), 80)
    assert chosen(there, [*(Chosen(*one) for one in there), other]) == words


def test_an_address_is_said_as_it_was_written() -> None:
    assert chosen(set(), [Chosen(SIX.address)]) == (
        "2001:db8::1 is no backend of this Service; it has none"
    )


def test_backends_are_listed_by_number() -> None:
    ten = BackendId(ip_address("10.0.0.10"), 80)
    assert in_order({SIX, ten, TWO, ONE}) == [ONE, TWO, ten, SIX]


# --- what comes of it ----------------------------------------------------------------------------


def test_a_drained_backend_drains_while_it_is_up_and_is_down_while_it_is_down() -> None:
    both = tiers(_1=0, _2=0)
    drained = frozenset({ONE})
    up = look(both, None, {FIRST: UP, SECOND: UP}, drained)
    assert said(up) == {"10.0.0.1": "draining", "10.0.0.2": "ready"}
    down = look(both, None, {FIRST: DOWN, SECOND: UP}, drained)
    assert said(down) == {"10.0.0.1": "not-ready", "10.0.0.2": "ready"}
    assert down is not None
    assert {str(e.id.address) for e in down.endpoints if e.drained} == {"10.0.0.1"}


def test_one_that_nobody_has_judged_is_remembered_as_not_ready() -> None:
    known = {SECOND: UP}
    assert said(look(tiers(_1=0, _2=0), None, known, frozenset({ONE}))) == {
        "10.0.0.1": "not-ready",
        "10.0.0.2": "ready",
    }


def test_one_of_a_worse_tier_is_remembered() -> None:
    known = {FIRST: UP, SECOND: UP}
    second = BackendId(SECOND.address, 80)
    assert said(look(tiers(_1=0, _2=1), None, known, frozenset({second}))) == {
        "10.0.0.1": "ready",
        "10.0.0.2": "draining",
    }


def test_draining_the_better_tier_brings_the_next_one() -> None:
    known = {FIRST: UP, SECOND: UP}
    assert said(look(tiers(_1=0, _2=1), None, known, frozenset({ONE}))) == {
        "10.0.0.1": "draining",
        "10.0.0.2": "ready",
    }


def test_panic_brings_no_drained_backend_back_and_counts_none() -> None:
    known = {FIRST: DOWN, SECOND: UP}
    found = look(tiers(_1=0, _2=0), None, known, frozenset({ONE}), panic=0.9)
    assert said(found) == {"10.0.0.1": "not-ready", "10.0.0.2": "ready"}
    known = {FIRST: DOWN, SECOND: UP, target("10.0.0.3"): DOWN}
    found = look(tiers(_1=0, _2=0, _3=0), None, known, frozenset({ONE}), panic=0.9)
    assert said(found) == {"10.0.0.1": "not-ready", "10.0.0.2": "ready", "10.0.0.3": "ready"}


def test_a_service_that_wants_every_address_keeps_it_with_its_mark() -> None:
    wants_all = replace(service(), publish_not_ready=True)
    found = look(tiers(_1=0), None, {FIRST: UP}, frozenset({ONE}), wants_all)
    assert found is not None
    assert [(e.state, e.drained) for e in found.endpoints] == [("ready", True)]


def test_it_is_said_whether_a_port_would_have_nobody_left() -> None:
    ready, drained = endpoint("10.0.0.1"), endpoint("10.0.0.1", ready=False)
    named = endpoint("10.0.0.2", name="http")
    before = Desired(frozenset({ready, named}))
    assert ends_service(before, before) is None
    assert ends_service(before, Desired(frozenset({drained, named}))) == "the Service"
    gone = replace(named, ready=False)
    assert ends_service(before, Desired(frozenset({ready, gone}))) == "port 'http'"
    none = Desired(frozenset({drained, gone}))
    assert ends_service(none, none) is None


# --- whatever the values are ---------------------------------------------------------------------

marks = st.frozensets(
    st.sampled_from([BackendId(ip_address(f"10.0.0.{n}"), p) for n in (1, 2, 3) for p in (80, 81)])
)


@given(tiered, published, verdicts, marks, st.sampled_from([0.0, 0.5, 1.0]))
def test_what_is_drained_is_never_ready_and_always_marked(
    observation: Observation,
    before: Published | None,
    known: dict[Target, Verdict],
    drained: frozenset[BackendId],
    panic: float,
) -> None:
    desired = look(observation, before, known, drained, panic=panic)
    for one in desired.endpoints if desired else ():
        assert one.drained is (one.backend in drained)
        assert not (one.drained and one.ready)


@given(observations, published, verdicts, marks)
def test_nobody_else_is_touched_and_nobody_goes(
    observation: Observation,
    before: Published | None,
    known: dict[Target, Verdict],
    drained: frozenset[BackendId],
) -> None:
    without = look(observation, before, known)
    desired = look(observation, before, known, drained)
    if without is None or desired is None:
        return

    def others(found: Desired) -> frozenset[Endpoint]:
        return frozenset(e for e in found.endpoints if e.backend not in drained)

    assert others(desired) == others(without)
    assert {e.id for e in without.endpoints} <= {e.id for e in desired.endpoints}


@given(tiered, published, verdicts, marks)
def test_what_was_decided_is_decided_again_and_undraining_undoes_it(
    observation: Observation,
    before: Published | None,
    known: dict[Target, Verdict],
    drained: frozenset[BackendId],
) -> None:
    desired = look(observation, before, known, drained)
    if desired is None:
        return
    after = Published(desired.endpoints)
    again = look(observation, after, known, drained)
    assert again is None or plan(again, after).is_empty
    back = look(observation, after, known)
    for one in back.endpoints if back else ():
        was = {e.id: e for e in desired.endpoints}.get(one.id)
        if was is not None and was.draining:
            assert one.ready
