from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from registrar.decide.candidates import Candidates, candidates
from registrar.decide.policy import decide
from registrar.model import (
    Answer,
    Desired,
    Endpoint,
    NetworkRules,
    Observation,
    PartState,
    PortMapping,
    Published,
    QueryRef,
    ServicePort,
    Target,
    Verdict,
)
from tests.fakes import CHECK, QUERY, backend, endpoint, mapping, service, target

FIRST, SECOND = "10.0.0.1", "10.0.0.2"
UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN


def tiers(**tier_of: int) -> Observation:
    """Return an observation of the backends 10.0.0.N, written as `_N=tier`."""
    found = tuple(
        replace(backend(f"10.0.0.{name[1:]}"), tier=tier) for name, tier in tier_of.items()
    )
    return Observation((PartState("all", Answer(found), 1.0),))


def ready(
    observation: Observation,
    verdicts: Mapping[Target, Verdict],
    before: Published | None = None,
) -> dict[str, bool]:
    """Return which addresses are published, and whether as ready."""
    found = candidates(mapping(), service(), before, {QUERY: observation}, NetworkRules(), {}, 0.0)
    assert isinstance(found, Candidates)
    desired = decide(mapping(), found, before, verdicts)
    assert isinstance(desired, Desired)
    return {str(one.id.address): one.ready for one in desired.endpoints}


def published(*endpoints: Endpoint) -> Published:
    return Published(frozenset(endpoints))


def test_of_two_tiers_the_lower_number_is_published() -> None:
    verdicts = {target(f"10.0.0.{n}"): UP for n in (1, 2, 3)}
    assert ready(tiers(_1=20, _2=10, _3=10), verdicts) == {"10.0.0.2": True, "10.0.0.3": True}


def test_the_next_tier_takes_over_once_all_of_a_tier_are_down() -> None:
    both = tiers(_1=10, _2=20)
    one_down = {target(FIRST): DOWN, target(SECOND): UP}
    assert ready(both, one_down, published(endpoint(FIRST))) == {SECOND: True}
    within = tiers(_1=10, _3=10, _2=20)
    still = {**one_down, target("10.0.0.3"): UP}
    assert ready(within, still) == {FIRST: False, "10.0.0.3": True}


def test_a_tier_that_returns_takes_over_again() -> None:
    both = tiers(_1=10, _2=20)
    verdicts = {target(FIRST): UP, target(SECOND): UP}
    assert ready(both, verdicts, published(endpoint(SECOND))) == {FIRST: True}


def test_what_is_published_stays_while_a_better_tier_is_not_known() -> None:
    both = tiers(_1=10, _2=20)
    verdicts = {target(FIRST): UNKNOWN, target(SECOND): UP}
    assert ready(both, verdicts, published(endpoint(SECOND))) == {SECOND: True}
    assert ready(both, {}, published(endpoint(FIRST))) == {FIRST: True}


def test_where_nobody_is_up_the_best_tier_is_shown_as_down() -> None:
    both = tiers(_1=10, _2=20)
    verdicts = {target(FIRST): DOWN, target(SECOND): DOWN}
    assert ready(both, verdicts, published(endpoint(SECOND))) == {FIRST: False}


def test_what_drains_leaves_its_place_to_the_next_tier() -> None:
    leaving = replace(backend(FIRST), tier=10, draining=True)
    found = Answer((leaving, replace(backend(SECOND), tier=20)))
    verdicts = {target(FIRST): UP, target(SECOND): UP}
    assert ready(Observation((PartState("all", found, 1.0),)), verdicts) == {SECOND: True}


def test_what_is_only_kept_belongs_to_every_tier() -> None:
    unsure = Observation((PartState("a", error="refused"), *tiers(_2=20, _3=30).parts))
    before = published(endpoint(FIRST), endpoint(SECOND))
    verdicts = {target(SECOND): UP, target("10.0.0.3"): UP}
    assert ready(unsure, verdicts, before) == {FIRST: True, SECOND: True}


def test_each_port_has_tiers_of_its_own() -> None:
    http, admin = (ServicePort(name, target_port=port) for name, port in (("h", 80), ("a", 81)))
    other = QueryRef("racks", "admin")
    asks = mapping(PortMapping("h", (QUERY,), None, CHECK), PortMapping("a", (other,), None, CHECK))
    observed = {QUERY: tiers(_1=10), other: tiers(_2=20)}
    found = candidates(asks, service(http, admin), None, observed, NetworkRules(), {}, 0.0)
    assert isinstance(found, Candidates)
    desired = decide(asks, found, None, {target(FIRST): UP, target(SECOND): UP})
    assert isinstance(desired, Desired)
    assert {str(one.id.address) for one in desired.endpoints} == {FIRST, SECOND}
