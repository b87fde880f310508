"""Which removals are believed: small ones at once, large ones once they are confirmed.

An answer that empties a Service, or halves it, is more often a fault than the truth. What is not
confirmed yet is kept as it is published; what is added meanwhile goes ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from registrar.model import Confirm, EndpointId, Observation, QueryRef

HALF_OF, MANY = 3, 10
MOST_SHARE_OF_MANY = 0.3

LOOK_AFTER_S = 1.0
"""A source is not asked again sooner, whatever `confirm` says."""

Place = tuple[QueryRef, str]
"""A part of a query."""

Heard = Mapping[Place, int]
"""How many complete answers each part has given."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Since when (monotonic seconds) an endpoint is in no answer, and what was heard by then."""

    since: float
    heard: Heard


@dataclass(frozen=True, slots=True)
class Removals:
    """What a guard decides: `kept` are the endpoints that must stay for now.

    `missing` is to be handed in again at the next look, which is of use after `look_after` seconds.
    """

    kept: frozenset[EndpointId]
    missing: Mapping[EndpointId, Missing]
    look_after: float | None = None


def heard(observations: Mapping[QueryRef, Observation]) -> Heard:
    """Return how often each part of the queries has answered in full."""
    return {
        (query, part.name): part.answers
        for query, observation in observations.items()
        for part in observation.parts
    }


def is_drastic(removed: int, published: int) -> bool:
    """Whether a removal needs to be confirmed: of all, of over half of 3, of over 30 % of 10."""
    return (
        removed >= published
        or (published >= HALF_OF and 2 * removed > published)
        or (published >= MANY and removed > MOST_SHARE_OF_MANY * published)
    )


def guard(
    published: Iterable[EndpointId],
    found: Iterable[EndpointId],
    answers: Heard,
    confirm: Confirm | None,
    before: Mapping[EndpointId, Missing],
    now: float,
) -> Removals:
    """Return which of the published endpoints that were not found must stay for now.

    All of one port of a Service: how many go is held against how many it has. `answers` is what
    its queries have been heard to say by now, `before` what the last look has found missing.
    """
    has = frozenset(published)
    gone = has - frozenset(found)
    missing = {one: before.get(one) or Missing(now, answers) for one in gone}
    if confirm is None or not gone or not is_drastic(len(gone), len(has)):
        return Removals(frozenset(), missing if gone else {})
    kept = frozenset(one for one in gone if not _is_confirmed(missing[one], answers, confirm, now))
    return Removals(kept, missing, _look_after(kept, missing, confirm, now))


def _look_after(
    kept: frozenset[EndpointId], missing: Mapping[EndpointId, Missing], confirm: Confirm, now: float
) -> float | None:
    if not kept:
        return None
    left = [missing[one].since + confirm.seconds - now for one in kept]
    soonest = min([confirm.seconds / confirm.answers, *(one for one in left if one > 0)])
    return max(soonest, LOOK_AFTER_S)


def _is_confirmed(missing: Missing, answers: Heard, confirm: Confirm, now: float) -> bool:
    # A part that has come since then has said it in each of its answers.
    lacking = [
        count - missing.heard[place] + 1 if place in missing.heard else count
        for place, count in answers.items()
    ]
    return (
        bool(lacking) and min(lacking) >= confirm.answers and now - missing.since >= confirm.seconds
    )
