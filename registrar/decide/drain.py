"""Which backends a person has taken out: what is asked for, whether it may be, what comes of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from registrar.decide.candidates import Candidate, Candidates
from registrar.model import Address, BackendId, Desired

LISTED = 10


@dataclass(frozen=True, slots=True)
class Chosen:
    """A backend that a person names; without `port` it is all backends of the address."""

    address: Address
    port: int | None = None

    def __str__(self) -> str:
        return str(self.address if self.port is None else BackendId(self.address, self.port))

    def covers(self, backend: BackendId) -> bool:
        """Whether a backend is meant."""
        return backend.address == self.address and self.port in {None, backend.port}


def in_order(backends: Iterable[BackendId]) -> list[BackendId]:
    """Return backends sorted as people expect it."""
    return sorted(backends, key=lambda one: (one.address.version, int(one.address), one.port))


def chosen(found: Collection[BackendId], wanted: Iterable[Chosen]) -> frozenset[BackendId] | str:
    """Return those of the Service's backends that are meant, or in words what is no such."""
    meant: set[BackendId] = set()
    for one in wanted:
        covered = {backend for backend in found if one.covers(backend)}
        if not covered:
            return f"{one} is no backend of this Service; {_those(found)}"
        meant |= covered
    return frozenset(meant)


def ends_service(before: Desired, after: Desired) -> str | None:
    """Return for which port of the Service `after` leaves nothing ready that `before` has ready.

    None if it does so for none, so that it needs nobody's word.
    """
    had = {(e.id.port_name, e.id.protocol) for e in before.endpoints if e.ready}
    left = {(e.id.port_name, e.id.protocol) for e in after.endpoints if e.ready}
    for name, _ in sorted(had - left):
        return f"port {name!r}" if name else "the Service"
    return None


def marked(found: Candidates, drained: Collection[BackendId]) -> Candidates:
    """Return the candidates as they are with those backends taken out."""
    if not drained:
        return found
    return replace(found, all=tuple(_marked(one, drained) for one in found.all))


def _marked(one: Candidate, drained: Collection[BackendId]) -> Candidate:
    if one.backend not in drained:
        return one
    return replace(one, drained=True, draining=True)


def _those(found: Collection[BackendId]) -> str:
    if not found:
        return "it has none"
    listed = ", ".join(map(str, in_order(found)[:LISTED]))
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return f"its backends: {listed}{more}"
