"""What a plan would change for one Service, and why, in words and as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from registrar.cluster.forms import Write
from registrar.model import Address, Endpoint, ServiceKey
from registrar.standing import Standing


@dataclass(frozen=True, slots=True)
class Change:
    """One endpoint that would change: `sign` is +, - or ~, `state` what it would be."""

    sign: str
    endpoint: str
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class Difference:
    """All that would change for a Service; `writes` names the objects, `holds` what is held."""

    service: str
    changes: tuple[Change, ...]
    writes: tuple[str, ...]
    holds: tuple[str, ...]

    @property
    def is_in_place(self) -> bool:
        """Whether nothing differs and nothing is held."""
        return not (self.writes or self.holds)


def difference(
    key: ServiceKey,
    standing: Standing,
    reasons: Mapping[tuple[Address, int], str],
    *,
    takes_over: bool,
) -> Difference:
    """Return the difference that a look in vain has come to.

    `reasons` says of addresses and ports why they are up or down, `takes_over` that the Endpoints
    are somebody else's.
    """
    return Difference(
        str(key),
        tuple(_changes(standing, reasons)),
        tuple(_said(write, takes_over=takes_over) for write in standing.writes),
        tuple(map(str, standing.holds)),
    )


def _said(write: Write, *, takes_over: bool) -> str:
    kind = type(write.object).__name__
    theirs = " (written by somebody else)" if takes_over and kind == "Endpoints" else ""
    return f"{write.action.value} {kind} {write.object.metadata.name}{theirs}"


def _changes(standing: Standing, reasons: Mapping[tuple[Address, int], str]) -> Iterator[Change]:
    dropped = {d.record: d.reason for d in (standing.desired.dropped if standing.desired else ())}
    plan = standing.plan
    for endpoint in _sorted(plan.removals):
        why = dropped.get(str(endpoint.id.address), "no source lists it any more")
        yield Change("-", _place(endpoint), "gone", why)
    for sign, endpoints in (("+", plan.adds), ("~", plan.changes)):
        for endpoint in _sorted(endpoints):
            why = reasons.get((endpoint.id.address, endpoint.id.port), "a source lists it")
            yield Change(sign, _place(endpoint), _state(endpoint), why)


def _sorted(endpoints: frozenset[Endpoint]) -> list[Endpoint]:
    return sorted(
        endpoints,
        key=lambda e: (e.id.port_name, e.id.address.version, int(e.id.address), e.id.port),
    )


def _place(endpoint: Endpoint) -> str:
    identity = endpoint.id
    address = f"[{identity.address}]" if identity.address.version == 6 else identity.address
    name = f"{identity.port_name} " if identity.port_name else ""
    return f"{name}{address}:{identity.port}/{identity.protocol}"


def _state(endpoint: Endpoint) -> str:
    if endpoint.draining:
        return "draining"
    return "ready" if endpoint.ready else "not ready"
