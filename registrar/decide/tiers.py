"""Which tier of a port's backends is published: the lowest in number that has one that is up.

The priorities of RFC 2782 work so: a client tries those of the lowest number, and others only
where it reaches none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from registrar.decide.candidates import Candidate
from registrar.model import Target, Verdict


def best_tiers(
    candidates: Iterable[Candidate], verdicts: Mapping[Target, Verdict]
) -> list[Candidate]:
    """Return the candidates of each port's best tier, and those that are only kept, or drained.

    One that drains counts as not up. Where none is up in any tier the lowest is the best. What a
    person has taken out stays in sight whatever its tier, for that is what remembers it.
    """
    candidates = list(candidates)
    best: dict[tuple[str, str], tuple[bool, int]] = {}
    for one in candidates:
        if one.tier is not None:
            serves = one.is_up(verdicts) and not one.draining
            rank = (not serves, one.tier)
            port = (one.id.port_name, one.id.protocol)
            best[port] = min(rank, best.get(port, rank))
    return [
        one
        for one in candidates
        if one.tier is None or one.drained or one.tier == best[one.id.port_name, one.id.protocol][1]
    ]
