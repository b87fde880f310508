"""What ought to be published of the candidates, given the verdicts on them, or why to hold.

Not knowing changes nothing: what no check has judged is kept as it is published.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from registrar.decide.candidates import Candidate, Candidates
from registrar.decide.drain import marked
from registrar.decide.tiers import best_tiers
from registrar.model import (
    BackendId,
    Desired,
    Endpoint,
    Hold,
    HoldReason,
    Publish,
    Published,
    ServiceMapping,
    Target,
    Verdict,
)

MAX_ENDPOINTS_ADDRESSES = 1000
"""More addresses than this the mirroring controller leaves out of its slices (KEP-0752)."""


SILENCE_DOUBTED = (
    "so many backends fell silent at once, or every canary, that the fault is probably our own; "
    "none of them is taken away for it meanwhile"
)


def decide(
    mapping: ServiceMapping,
    found: Candidates,
    published: Published | None,
    verdicts: Mapping[Target, Verdict],
    doubted: Collection[Target] = frozenset(),
    drained: Collection[BackendId] = frozenset(),
) -> Desired | Hold:
    """Return what ought to be published of the candidates, given the verdicts on them.

    `doubted` are the targets whose silence is not believed now, `drained` the backends that a
    person has taken out: they drain for as long as they are up.

    Up is ready, down is not ready. Unknown stays as it is published, and stays out where it is
    not published. Of each port's tiers only the best is published. A Service that asks for every
    address, ready or not, gets all of it as ready (Kubernetes API reference,
    ServiceSpec.publishNotReadyAddresses).
    """
    if too_many := _too_many(mapping, found):
        return too_many
    if mapping.paused:
        return _frozen(found)
    found = marked(found, drained)
    endpoints: set[Endpoint] = set()
    for candidate in best_tiers(found.all, verdicts):
        if found.everything_ready:
            endpoints.add(_endpoint(replace(candidate, draining=False), is_up=True))
        elif (is_up := candidate.is_up(verdicts)) is not None or candidate.drained:
            endpoints.add(_endpoint(candidate, is_up=bool(is_up)))
    if _is_panic(mapping, endpoints):
        endpoints = {replace(e, ready=e.ready or not (e.draining or e.drained)) for e in endpoints}
    if found.all and not endpoints and not (published and published.endpoints):
        return Hold(
            HoldReason.WAITING,
            f"for the first verdict on any of its {len(found.all)} backends",
        )
    holds = found.holds
    if any(candidate.target in doubted for candidate in found.all):
        holds = (*holds, Hold(HoldReason.SELF_PRESERVATION, SILENCE_DOUBTED))
    return Desired(frozenset(endpoints), holds, found.dropped, found.notices, found.withdrawn)


def _frozen(found: Candidates) -> Desired:
    """Return what is published, less what must not be: a mapping that is paused."""
    paused = Hold(HoldReason.PAUSED, "the mapping says `paused: true`")
    there = frozenset(one.published for one in found.all if one.published is not None)
    holds = (paused, *found.holds)
    return Desired(there, holds, found.dropped, found.notices, found.withdrawn)


def _is_panic(mapping: ServiceMapping, endpoints: Collection[Endpoint]) -> bool:
    """Whether so few are ready that it is better to have all of them tried."""
    in_service = [endpoint for endpoint in endpoints if not endpoint.drained]
    ready = sum(endpoint.ready for endpoint in in_service)
    return ready < mapping.panic_threshold * len(in_service)


def _too_many(mapping: ServiceMapping, found: Candidates) -> Hold | None:
    if len(found.all) > mapping.max_backends:
        return Hold(
            HoldReason.TOO_MANY_BACKENDS,
            f"{len(found.all)} backends, and `maxBackends` is {mapping.max_backends}; "
            "raise it if they are meant",
        )
    if mapping.publish is not Publish.ENDPOINTS:
        return None
    addresses = len({candidate.id.address for candidate in found.all})
    if addresses > MAX_ENDPOINTS_ADDRESSES:
        return Hold(
            HoldReason.TOO_MANY_ADDRESSES,
            f"{addresses} addresses, and v1 Endpoints carry {MAX_ENDPOINTS_ADDRESSES} at most; "
            "use `publish: both` or `publish: endpointslices`",
        )
    return None


def _endpoint(candidate: Candidate, *, is_up: bool) -> Endpoint:
    return Endpoint(
        candidate.id,
        ready=is_up and not candidate.draining,
        hostname=candidate.hostname,
        app_protocol=candidate.app_protocol,
        draining=is_up and candidate.draining,
        zone=candidate.zone,
        drained=candidate.drained,
    )
