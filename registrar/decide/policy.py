"""What ought to be published of the candidates, given the verdicts on them, or why to hold.

Not knowing changes nothing: what no check has judged is kept as it is published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from registrar.decide.candidates import Candidate, Candidates
from registrar.model import (
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


def decide(
    mapping: ServiceMapping,
    found: Candidates,
    published: Published | None,
    verdicts: Mapping[Target, Verdict],
) -> Desired | Hold:
    """Return what ought to be published of the candidates, given the verdicts on them.

    Up is ready, down is not ready. Unknown stays as it is published, and stays out where it is
    not published. A Service that asks for every address, ready or not, gets all as ready
    (Kubernetes API reference, ServiceSpec.publishNotReadyAddresses).
    """
    if too_many := _too_many(mapping, found):
        return too_many
    endpoints: set[Endpoint] = set()
    for candidate in found.all:
        if found.everything_ready:
            endpoints.add(_endpoint(replace(candidate, draining=False), is_up=True))
        elif (is_up := _is_up(candidate, verdicts)) is not None:
            endpoints.add(_endpoint(candidate, is_up=is_up))
    if found.all and not endpoints and not (published and published.endpoints):
        return Hold(
            HoldReason.WAITING,
            f"for the first verdict on any of its {len(found.all)} backends",
        )
    return Desired(frozenset(endpoints), found.holds, found.dropped, found.notices, found.withdrawn)


def _too_many(mapping: ServiceMapping, found: Candidates) -> Hold | None:
    if len(found.all) > mapping.max_backends:
        return Hold(
            HoldReason.TOO_MANY_BACKENDS,
            f"{len(found.all)} backends, and `maxBackends` is {mapping.max_backends}; "
            "raise it if they are meant",
        )
    addresses = len({candidate.id.address for candidate in found.all})
    if mapping.publish is Publish.ENDPOINTS and addresses > MAX_ENDPOINTS_ADDRESSES:
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
    )


def _is_up(candidate: Candidate, verdicts: Mapping[Target, Verdict]) -> bool | None:
    target = candidate.target
    verdict = Verdict.UP if target is None else verdicts.get(target, Verdict.UNKNOWN)
    if verdict is Verdict.UNKNOWN:
        return candidate.was_up
    return verdict is Verdict.UP
