from __future__ import annotations

from dataclasses import replace

import pytest

from registrar.decide.candidates import Candidates, candidates
from registrar.decide.policy import decide
from registrar.model import (
    Answer,
    Desired,
    NetworkRules,
    Observation,
    PartState,
    PortMapping,
    Published,
    QueryRef,
    Verdict,
)
from tests.fakes import QUERY, backend, endpoint, mapping, service

ADDRESS = "10.0.0.1"
OTHER = QueryRef("racks", "other")
UP, DOWN, UNKNOWN = Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN


def ready(*said: Verdict, before: bool | None = None, lists: bool = True) -> bool | None:
    """Return how one backend is published, None for not at all.

    Each verdict is what a source says of it, of as many as there are; `before` is how it is
    published already.
    """
    asks = mapping(PortMapping(None, (QUERY, OTHER)[: len(said)], None, None, by_source=True))
    there = Published(frozenset({endpoint(ADDRESS, ready=before)})) if before is not None else None
    observed = {
        query: Observation(
            (
                PartState("all", Answer((replace(backend(ADDRESS), health=health),)), 1.0)
                if lists
                else PartState("all", error="refused"),
            )
        )
        for query, health in zip((QUERY, OTHER), said, strict=False)
    }
    found = candidates(asks, service(), there, observed, NetworkRules(), {}, 0.0)
    assert isinstance(found, Candidates)
    desired = decide(asks, found, there, {})
    if not isinstance(desired, Desired):
        return None
    return next((one.ready for one in desired.endpoints), None)


def test_it_is_published_as_its_source_says() -> None:
    assert ready(UP) is True
    assert ready(DOWN) is False
    assert ready(UP, before=False) is True
    assert ready(DOWN, before=True) is False


@pytest.mark.parametrize("before", [True, False, None])
def test_a_source_that_does_not_know_changes_nothing(*, before: bool | None) -> None:
    assert ready(UNKNOWN, before=before) is before


@pytest.mark.parametrize("before", [True, False])
def test_a_source_that_has_never_answered_changes_nothing(*, before: bool) -> None:
    assert ready(DOWN, before=before, lists=False) is before


def test_of_two_sources_the_first_that_knows_is_believed() -> None:
    assert ready(DOWN, UP) is False
    assert ready(UNKNOWN, UP) is True
    assert ready(UNKNOWN, DOWN, before=True) is False
