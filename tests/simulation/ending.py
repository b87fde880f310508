"""Invariant 5: once all faults are over, what is published is what ought to be, and stays so.

What ought to be is worked out from the truth alone, and must never be asked of registrar.
"""

from __future__ import annotations

from registrar.embedded.values import text_at
from tests.simulation.checker import Checker, ServiceSeen
from tests.simulation.cluster import MANAGED_BY, OURS, addresses_of, is_ours
from tests.simulation.truth import ServiceTruth

MOST_IN_A_SLICE = 100


def differences(checker: Checker) -> list[str]:
    """Return how what is published differs from what ought to be, in words; none is right."""
    if not checker.written:
        return ["the history is empty: registrar has written nothing at all"]
    found = []
    for name, service in checker.truth.services.items():
        found += _of_service(checker, name, service, checker.services.get(name, ServiceSeen()))
    for name in sorted(checker.truth.unmapped):
        found += _of_unmapped(name, checker.services.get(name, ServiceSeen()))
    return found


def _of_service(checker: Checker, name: str, service: ServiceTruth, seen: ServiceSeen) -> list[str]:
    ours = {n: s for n, s in seen.slices.items() if is_ours("endpointslices", s)}
    if not seen.uid or seen.has_selector:
        return [f"{name}: {len(ours)} slices of ours, and it needs none"] if ours else []
    endpoints = seen.endpoints
    if endpoints is not None and not is_ours("endpoints", endpoints) and not service.adopt:
        return []  # it is somebody else's, whom invariant 3 protects
    wanted, found = checker.ought(name), []
    for one in ours.values():
        if f"'uid': '{seen.uid}'" not in str(one["metadata"]):
            found.append(f"{name}: a slice of an earlier Service is left")
        if len(addresses_of(one)) > MOST_IN_A_SLICE:
            found.append(f"{name}: a slice of more than {MOST_IN_A_SLICE}")
    if seen.published != wanted:
        found.append(f"{name}: slices say {_said(seen.published)}, not {_said(wanted)}")
    said = None if endpoints is None else addresses_of(endpoints)
    if service.publish == "endpointslices":
        found += [f"{name}: it has Endpoints, and needs none"] if endpoints else []
    elif said != wanted:
        found.append(f"{name}: Endpoints say {_said(said)}, not {_said(wanted)}")
    managers = {text_at(one, "metadata", "labels", MANAGED_BY) for one in seen.slices.values()}
    if service.publish == "endpoints" and OURS in managers:
        found.append(f"{name}: slices of ours are left beside the mirrored")
    return found


def _of_unmapped(name: str, seen: ServiceSeen) -> list[str]:
    items = [("endpointslices", one) for one in seen.slices.values()]
    if seen.endpoints is not None:
        items.append(("endpoints", seen.endpoints))
    return [f"{name} is mapped no more, and has {r} of ours" for r, i in items if is_ours(r, i)]


def _said(addresses: dict[str, bool] | None) -> str:
    if addresses is None:
        return "nothing"
    shown = [f"{a}{'' if ready else ' (not ready)'}" for a, ready in sorted(addresses.items())]
    return f"[{', '.join(shown[:8])}{' ...' if len(shown) > 8 else ''}]"
