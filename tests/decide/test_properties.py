"""What holds of the decisions whatever the values are."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from registrar.decide.candidates import Candidates, candidates
from registrar.decide.health import HealthState, adopt, step
from registrar.decide.networks import refusal
from registrar.decide.plan import plan
from registrar.decide.policy import decide
from registrar.decide.withdrawal import withdrawal
from registrar.model import (
    Address,
    Answer,
    Backend,
    ClusterRange,
    ClusterRanges,
    Desired,
    Endpoint,
    EndpointId,
    HealthCheck,
    Hold,
    HoldReason,
    NetworkRules,
    Observation,
    Outcome,
    PartState,
    Published,
    RangeKind,
    Target,
    TcpProbe,
    Verdict,
)
from tests.fakes import CHECK, QUERY, mapping, service

# A small world, so that the same backend turns up in answers, in verdicts and as published.
addresses = st.sampled_from(
    [IPv4Address(f"10.0.0.{n}") for n in range(1, 6)]
    + [IPv4Address("127.0.0.1"), IPv6Address("2001:db8::1"), IPv6Address("fe80::1")]
)


def _observations(tiers: st.SearchStrategy[int]) -> st.SearchStrategy[Observation]:
    backends = st.builds(Backend, addresses, st.sampled_from([80, 81]), tier=tiers)
    answers = st.builds(Answer, st.lists(backends, max_size=6).map(tuple))
    parts = st.one_of(
        st.builds(PartState, st.just("a"), answers, st.just(1.0), st.none() | st.just("stale")),
        st.builds(PartState, st.just("b"), st.none(), st.none(), st.just("refused")),
    )
    return st.builds(
        Observation, st.lists(parts, max_size=3).map(tuple), st.none() | st.just("no file")
    )


observations = _observations(st.just(0))
tiered = _observations(st.sampled_from([0, 10, 20]))
endpoints = st.builds(
    Endpoint,
    st.builds(EndpointId, st.just(""), st.just("TCP"), addresses, st.just(80)),
    st.booleans(),
)
published = st.none() | st.builds(
    Published,
    st.dictionaries(endpoints.map(lambda e: e.id), endpoints).map(
        lambda d: frozenset(Endpoint(i, e.ready) for i, e in d.items())
    ),
)
verdicts = st.dictionaries(
    st.builds(Target, addresses, st.sampled_from([80, 81]), st.just(CHECK)),
    st.sampled_from(list(Verdict)),
)
_NODE = ClusterRange(ip_network("10.0.0.2/32"), RangeKind.NODE, "n1")
RULES = NetworkRules(cluster=ClusterRanges((_NODE,)))
HOLD = Hold(HoldReason.WAITING, "for somebody")


def look(
    observation: Observation, before: Published | None, known: dict[Target, Verdict]
) -> Desired | None:
    found = candidates(mapping(), service(), before, {QUERY: observation}, RULES, {}, 0.0)
    if not isinstance(found, Candidates):
        return None
    desired = decide(mapping(), found, before, known)
    return desired if isinstance(desired, Desired) else None


@given(tiered, published, verdicts)
def test_nothing_is_published_that_must_not_be(
    observation: Observation, before: Published | None, known: dict[Target, Verdict]
) -> None:
    desired = look(observation, before, known)
    for endpoint in desired.endpoints if desired else ():
        assert refusal(endpoint.id.address, RULES) is None


@given(published)
def test_whatever_holds_only_what_must_not_be_published_goes(before: Published | None) -> None:
    there = before.endpoints if before else frozenset()
    refused = {e for e in there if refusal(e.id.address, RULES) is not None}
    left = withdrawal(service(), before, RULES, HOLD)
    assert (left is not None) is bool(refused)
    if left is not None:
        assert left.endpoints == there - refused
        assert {one.id for one in left.withdrawn} == {e.id for e in refused}
        assert left.holds == (HOLD,)
        again = withdrawal(service(), Published(left.endpoints), RULES, HOLD)
        assert again is None


@given(observations, published, verdicts)
def test_what_is_withdrawn_was_published_and_is_not_any_more(
    observation: Observation, before: Published | None, known: dict[Target, Verdict]
) -> None:
    desired = look(observation, before, known)
    if desired is None:
        return
    gone = {one.id for one in desired.withdrawn}
    assert gone <= {e.id for e in (before.endpoints if before else ())}
    assert gone.isdisjoint({e.id for e in desired.endpoints})


networks = st.builds(
    lambda number, length: ip_network((number, length), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)


@given(st.lists(networks, max_size=8), st.integers(0, 2**32 - 1))
def test_every_range_over_an_address_is_found(found: list[IPv4Network], number: int) -> None:
    ranges = ClusterRanges(tuple(ClusterRange(one, RangeKind.SERVICES) for one in found))
    over = [one.network for one in ranges.over(IPv4Address(number))]
    assert sorted(over) == sorted(one for one in found if IPv4Address(number) in one)


@given(observations, published, verdicts)
def test_a_published_backend_goes_only_when_every_part_has_answered_without_it(
    observation: Observation, before: Published | None, known: dict[Target, Verdict]
) -> None:
    desired = look(observation, before, known)
    if desired is None or before is None:
        return
    kept = {endpoint.id for endpoint in desired.endpoints}
    listed = {(b.address, b.port) for b in observation.backends}
    for endpoint in before.endpoints:
        if refusal(endpoint.id.address, RULES) is None and endpoint.id not in kept:
            assert observation.heard_all
            assert (endpoint.id.address, endpoint.id.port) not in listed


@given(observations, published, verdicts)
def test_a_ready_endpoint_becomes_not_ready_only_by_a_verdict_of_down(
    observation: Observation, before: Published | None, known: dict[Target, Verdict]
) -> None:
    desired = look(observation, before, known)
    if desired is None or before is None:
        return
    ready = {e.id for e in before.endpoints if e.ready}
    for endpoint in desired.endpoints:
        if endpoint.id in ready and not endpoint.ready:
            at = Target(endpoint.id.address, endpoint.id.port, CHECK)
            assert known[at] is Verdict.DOWN


@given(tiered, published, verdicts)
def test_a_tier_gives_way_only_to_a_better_one_that_serves(
    observation: Observation, before: Published | None, known: dict[Target, Verdict]
) -> None:
    desired = look(observation, before, known)
    if desired is None or before is None:
        return
    tier_of: dict[tuple[Address, int | None], int] = {}
    for backend in observation.backends:
        tier_of.setdefault((backend.address, backend.port), backend.tier)
    kept = {endpoint.id for endpoint in desired.endpoints}
    for endpoint in before.endpoints:
        place = (endpoint.id.address, endpoint.id.port)
        is_up = known.get(Target(*place, CHECK)) in {Verdict.UP, None} and endpoint.ready
        if not is_up or endpoint.id in kept or place not in tier_of:
            continue
        if refusal(endpoint.id.address, RULES) is None:
            assert any(
                tier_of.get((one.id.address, one.id.port), 99) < tier_of[place]
                for one in desired.endpoints
                if one.ready
            )


@given(tiered, published, verdicts)
def test_what_was_decided_is_decided_again_once_it_is_published(
    observation: Observation, before: Published | None, known: dict[Target, Verdict]
) -> None:
    desired = look(observation, before, known)
    if desired is None:
        return
    after = Published(desired.endpoints)
    again = look(observation, after, known)
    assert again is None or plan(again, after).is_empty


@given(st.frozensets(endpoints), published)
def test_a_plan_leads_from_what_is_to_what_ought_to_be(
    wanted: frozenset[Endpoint], before: Published | None
) -> None:
    wanted = frozenset({e.id: e for e in wanted}.values())
    difference = plan(Desired(wanted), before)
    now = {e.id: e for e in before.endpoints} if before else {}
    for endpoint in difference.removals:
        assert now.pop(endpoint.id) == endpoint
    for endpoint in difference.adds:
        assert endpoint.id not in now
    now |= {e.id: e for e in difference.adds | difference.changes}
    assert frozenset(now.values()) == wanted


checks = st.builds(HealthCheck, st.just(TcpProbe()), rise=st.integers(1, 5), fall=st.integers(1, 5))
states = st.sampled_from([HealthState(), adopt(ready=True), adopt(ready=False)])


@given(states, checks, st.lists(st.sampled_from(list(Outcome))))
def test_a_verdict_turns_only_on_enough_outcomes_in_a_row(
    state: HealthState, check: HealthCheck, outcomes: list[Outcome]
) -> None:
    told: list[Outcome] = []
    for outcome in outcomes:
        before, state = state, step(state, outcome, check, 0.0)
        if outcome is not Outcome.UNKNOWN:
            told.append(Outcome.FAILED if outcome is Outcome.SILENT else outcome)
        if state.verdict is before.verdict:
            continue
        assert state.verdict is not Verdict.UNKNOWN
        says = Outcome.PASSED if state.verdict is Verdict.UP else Outcome.FAILED
        needed = check.fall if says is Outcome.FAILED else check.rise
        if before.verdict is Verdict.UNKNOWN and says is Outcome.PASSED:
            needed = 1
        assert told[-needed:] == [says] * needed


@given(states, checks)
def test_enough_outcomes_in_a_row_always_turn_a_verdict(
    state: HealthState, check: HealthCheck
) -> None:
    for outcome, verdict, needed in (
        (Outcome.FAILED, Verdict.DOWN, check.fall),
        (Outcome.PASSED, Verdict.UP, check.rise),
        (Outcome.FAILED, Verdict.DOWN, check.fall),
    ):
        for _ in range(needed):
            state = step(state, outcome, check, 0.0)
        assert state.verdict is verdict
