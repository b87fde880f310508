"""Decides on one Service after the other: from the latest of everything, and what it remembers.

What it remembers is what was decided and what was missing in this term; a new one begins without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import chain
from typing import Protocol

from registrar.checks import Checks
from registrar.clock import loop_time
from registrar.cluster.forms import bears_marks, drained, published, strange
from registrar.cluster.term import Term
from registrar.cluster.view import Held
from registrar.decide.candidates import candidates
from registrar.decide.guard import Missing
from registrar.drains import Drains
from registrar.due import Due
from registrar.model import (
    Desired,
    Endpoint,
    EndpointId,
    Hold,
    NetworkRules,
    Observation,
    Published,
    QueryRef,
    ServiceKey,
    ServiceMapping,
)


class Observations(Protocol):
    """What the sources say."""

    def observe(self, queries: Iterable[QueryRef]) -> Mapping[QueryRef, Observation]:
        """Return the latest observation of each query."""
        ...

    def hurry(self, queries: Iterable[QueryRef], within: float) -> None:
        """Ask each part of the queries again, within so many seconds."""
        ...


class Deciding:
    """Decides, and has a Service looked at again where time alone changes the decision."""

    def __init__(
        self,
        instance: str,
        due: Due,
        observations: Observations,
        checks: Checks,
        clock: Callable[[], float] = loop_time,
    ) -> None:
        self.drains = Drains()
        self._instance = instance
        self._due = due
        self._observations = observations
        self._checks = checks
        self._clock = clock
        self._missing: dict[ServiceKey, Mapping[EndpointId, Missing]] = {}
        self._accepted: set[ServiceKey] = set()
        self._decided: dict[ServiceKey, frozenset[Endpoint]] = {}
        self._left: dict[ServiceKey, frozenset[Endpoint]] = {}  # by the leader before, as last seen

    def begin(self, term: Term | None) -> None:
        """Begin a term, or stand by: what was decided before, by whoever led, is no guide."""
        self._left, self._decided = ({} if term is None else self._decided), {}
        self.drains.begin()

    def doubt(self, key: ServiceKey) -> None:
        """Have what is gone of a Service confirmed anew, for its mapping is another."""
        self._missing.pop(key, None)

    def accept(self, keys: Iterable[ServiceKey]) -> None:
        """Have the next decision on each Service believe what has gone, however much it is."""
        self._accepted.update(keys)

    def forget(self, key: ServiceKey) -> None:
        """Remember nothing of a Service any more."""
        self._checks.forget(key)
        self.drains.forget(key)
        self._missing.pop(key, None)
        self._decided.pop(key, None)
        self._left.pop(key, None)
        self._accepted.discard(key)

    def basis(self, mapping: ServiceMapping) -> tuple[object, ...] | None:
        """Return all that a decision rests on besides what the cluster holds, and the rules.

        None where it rests on time as well, or on what somebody has asked for.
        """
        key = mapping.key
        asked = key in self._accepted or self.drains.concern(key)
        if asked or key in self._missing or self._checks.is_doubting:
            return None
        queries = dict.fromkeys(query for port in mapping.ports for query in port.queries)
        observed = self._observations.observe(queries).values()
        said = ((observation.error, *observation.parts) for observation in observed)
        return (mapping, *chain.from_iterable(said), *self._checks.tally(key))

    def published(self, key: ServiceKey, held: Held, term: Term) -> Published | None:
        """Return what is published, and what of it was never decided by whoever may."""
        self._adopt_drained(key, held, term if self.drains.knows(key) else None)
        there = published(held, self._instance)
        known = self._decided.get(key)
        if known is None and strange(held, self._instance, term):
            known = self._left.get(key)
        if there is None or known is None:  # it is adopted as it is
            return there
        strange_ones = _strange(there.endpoints, known)
        return replace(there, strange=strange_ones) if strange_ones else there

    def published_by_another(self, key: ServiceKey, held: Held) -> Published | None:
        """Return what is published, as whoever leads has decided."""
        self.drains.forget(key)
        self._adopt_drained(key, held, None)
        return published(held, self._instance)

    def leave(self, key: ServiceKey, there: Published | None) -> None:
        """Note what another has published, in place of what was decided here."""
        self._decided[key] = there.endpoints if there is not None else frozenset()

    def decide(
        self,
        mapping: ServiceMapping,
        held: Held,
        there: Published | None,
        rules: NetworkRules | Hold,
    ) -> Desired | Hold:
        """Return what ought to be published, or why nothing may change."""
        if isinstance(rules, Hold):
            return rules
        key, now = mapping.key, self._clock()
        queries = {query for port in mapping.ports for query in port.queries}
        observed = self._observations.observe(queries)
        missing = self._missing.get(key, {})
        if key in self._accepted:
            self._accepted.discard(key)
            ports = tuple(replace(port, confirm=None) for port in mapping.ports)
            mapping = replace(mapping, ports=ports)
        found = candidates(mapping, held.service, there, observed, rules, missing, now)
        if isinstance(found, Hold):
            return found
        if found.missing:
            self._missing[key] = found.missing
        else:
            self._missing.pop(key, None)
        if found.look_after is not None:
            self._observations.hurry(queries, found.look_after)
            self._due.mark(key, found.look_after)
        self._checks.want(key, {c.target: c.was_up for c in found.all if c.target is not None})
        verdicts, doubted = self._checks.verdicts(key), self._checks.doubted(key)
        desired = self.drains.decide(mapping, found, there, verdicts, doubted, now)
        if isinstance(desired, Desired):
            self._decided[key] = desired.endpoints
        return desired

    def _adopt_drained(self, key: ServiceKey, held: Held, before: Term | None) -> None:
        # Hardly ever is there anything of it, and to read all slices takes time.
        some = self.drains.marks(key) or bears_marks(held)
        self.drains.adopt(key, drained(held, self._instance, before) if some else {})


def _strange(there: frozenset[Endpoint], decided: frozenset[Endpoint]) -> frozenset[EndpointId]:
    """Return what is published and was not decided; usually nothing differs at all."""
    others = there - decided
    return frozenset(e.id for e in others) - {e.id for e in decided} if others else frozenset()
