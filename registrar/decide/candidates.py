"""Who might be published for a Service, or why nothing of it may change.

Not knowing changes nothing: what a part has never answered for is kept as it is published. Only an
address that must not be published goes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from registrar.decide.guard import Missing, Removals, guard, heard
from registrar.decide.services import no_port, refused_service, service_port
from registrar.decide.withdrawal import left_out, not_publishable, withdrawn_of
from registrar.model import (
    Backend,
    BackendId,
    Confirm,
    DropCause,
    Dropped,
    Endpoint,
    EndpointId,
    HealthCheck,
    Hold,
    HoldReason,
    NetworkRules,
    Observation,
    PortMapping,
    Published,
    QueryRef,
    ServiceMapping,
    ServicePort,
    ServiceState,
    Target,
    Verdict,
    Withdrawn,
)

LOCAL_TRAFFIC = (
    "the Service has traffic policy Local: backends outside the cluster are on no node, so nodes "
    "drop its traffic; set internalTrafficPolicy and externalTrafficPolicy to Cluster"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backend that may be published for one port of a Service, once its health is known.

    `published` is what the cluster holds for it now, None where it holds nothing. `said` is what
    its source says of its health, where that is what counts. `tier` None: no source lists it now,
    so it is only kept. `drained`: a person has taken it out.
    """

    id: EndpointId
    check: HealthCheck | None
    hostname: str | None = None
    app_protocol: str | None = None
    zone: str | None = None
    draining: bool = False
    published: Endpoint | None = None
    said: Verdict | None = None
    tier: int | None = None
    drained: bool = False

    @property
    def backend(self) -> BackendId:
        """The backend that it would publish."""
        return BackendId(self.id.address, self.id.port)

    @property
    def was_up(self) -> bool | None:
        """As what it is published: what drains is up, and only gets no new connections."""
        return None if self.published is None else self.published.ready or self.published.draining

    @property
    def target(self) -> Target | None:
        """What its check is run against; None where it isn't checked."""
        return Target(self.id.address, self.id.port, self.check) if self.check else None

    def is_up(self, verdicts: Mapping[Target, Verdict]) -> bool | None:
        """Whether it is up: as judged, else as published; None where neither says anything."""
        target = self.target
        verdict = self.said or Verdict.UP
        if target is not None:
            verdict = verdicts.get(target, Verdict.UNKNOWN)
        return self.was_up if verdict is Verdict.UNKNOWN else verdict is Verdict.UP


@dataclass(frozen=True, slots=True)
class Candidates:
    """All candidates of a Service, what was left out, and what is kept though it isn't known.

    `missing` is what the next look is to be given; one is of use after `look_after` seconds.
    `withdrawn` is what is published and must not be.
    """

    all: tuple[Candidate, ...]
    dropped: tuple[Dropped, ...] = ()
    holds: tuple[Hold, ...] = ()
    notices: tuple[str, ...] = ()
    everything_ready: bool = False
    missing: Mapping[EndpointId, Missing] = field(default_factory=dict)
    look_after: float | None = None
    withdrawn: tuple[Withdrawn, ...] = ()


def candidates(
    mapping: ServiceMapping,
    service: ServiceState | None,
    published: Published | None,
    observations: Mapping[QueryRef, Observation],
    rules: NetworkRules,
    before: Mapping[EndpointId, Missing],
    now: float,
) -> Candidates | Hold:
    """Return who might be published for a mapping, or why nothing of it may change.

    A backend that two queries give is one candidate; the first query, in the order of the
    mapping, decides on its hostname, zone and tier, and the first that knows on its health. Where a
    query has not answered in full since the start, what is published for that port counts as its
    answer. `before` is what the last look has found missing, `now` monotonic time in seconds.
    """
    if service is None:
        return Hold(HoldReason.SERVICE_MISSING, f"there is no Service {mapping.key}")
    if refused := refused_service(mapping, service, published):
        return refused
    drafts: list[_Draft] = []
    for port_mapping in mapping.ports:
        port = service_port(mapping, port_mapping, service)
        if isinstance(port, Hold):
            return port
        draft = _draft(mapping, port_mapping, port, published, observations, before, now)
        if isinstance(draft, Hold):
            return draft
        drafts.append(draft)

    there = dict.fromkeys(endpoint.id for endpoint in published.endpoints) if published else {}
    kept: list[Candidate] = []
    dropped = [drop for draft in drafts for drop in draft.dropped]
    withdrawn = withdrawn_of(there, service, rules)
    why_not = {one.id: one.reason for one in withdrawn}
    dropped += [left_out(one.id, one.reason) for one in withdrawn]
    for candidate in (candidate for draft in drafts for candidate in draft.found.values()):
        reason = why_not.get(candidate.id)
        if candidate.published is None:  # else it was asked for above
            reason = not_publishable(candidate.id, service, rules)
        if reason is None:
            kept.append(candidate)
        else:
            dropped.append(left_out(candidate.id, reason))
    holds = tuple(dict.fromkeys(hold for draft in drafts for hold in draft.holds))
    if not kept and not withdrawn and not all(draft.heard_all for draft in drafts):
        # A part may have neither answered nor failed yet: that is not knowing, too.
        waiting = Hold(HoldReason.WAITING, "for the first answer of its sources")
        return holds[0] if holds else waiting
    return Candidates(
        tuple(kept),
        tuple(dict.fromkeys(dropped)),
        holds,
        _notices(service),
        everything_ready=service.publish_not_ready,
        missing={one: missing for d in drafts for one, missing in d.removals.missing.items()},
        look_after=min(
            (d.removals.look_after for d in drafts if d.removals.look_after), default=None
        ),
        withdrawn=withdrawn,
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """What one port's queries give, before any address is refused."""

    found: Mapping[EndpointId, Candidate]
    dropped: tuple[Dropped, ...]
    holds: tuple[Hold, ...]
    heard_all: bool
    removals: Removals


def _draft(
    mapping: ServiceMapping,
    port_mapping: PortMapping,
    port: ServicePort,
    published: Published | None,
    observations: Mapping[QueryRef, Observation],
    before: Mapping[EndpointId, Missing],
    now: float,
) -> _Draft | Hold:
    answers = {query: observations.get(query, Observation()) for query in port_mapping.queries}
    seen = list(answers.values())
    dropped = [drop for observation in seen for drop in _dropped_by_source(observation)]
    there = _published_for(port, published)
    heard_all = all(observation.heard_all for observation in seen)
    found: dict[EndpointId, Candidate] = {}
    without_port: list[Backend] = []
    for backend in (backend for observation in seen for backend in observation.backends):
        number = backend.port or port_mapping.port or port.target_port
        if number is None:
            without_port.append(backend)
            continue
        endpoint_id = EndpointId(port.name, port.protocol, backend.address, number)
        candidate = found.setdefault(
            endpoint_id,
            Candidate(
                endpoint_id,
                port_mapping.check,
                backend.hostname,
                port.app_protocol,
                backend.zone,
                backend.draining,
                there.get(endpoint_id),
                said=backend.health if port_mapping.by_source else None,
                tier=backend.tier,
            ),
        )
        if candidate.said is Verdict.UNKNOWN:
            found[endpoint_id] = replace(candidate, said=backend.health)
    if without_port and not found:
        return no_port(mapping, port, without_port)
    dropped += [
        Dropped(str(backend.address), "it has no port", DropCause.NO_PORT)
        for backend in without_port
    ]
    holds = [
        Hold(HoldReason.SOURCE_UNKNOWN, error, query.source)
        for query, observation in answers.items()
        for error in observation.errors
    ]
    strange = published.strange if published and not mapping.paused else frozenset()
    known = there.keys() - strange
    removals = Removals(frozenset(known), {})
    if heard_all and not mapping.paused:
        removals = guard(known, found, heard(answers), port_mapping.confirm, before, now)
        if removals.kept and port_mapping.confirm is not None:
            holds.append(_unconfirmed(port, removals, len(known), port_mapping.confirm))
    for one in removals.kept:
        endpoint = there[one]
        adopted = Candidate(
            one,
            port_mapping.check,
            endpoint.hostname,
            port.app_protocol,
            endpoint.zone,
            endpoint.draining and not endpoint.drained,
            endpoint,
            said=Verdict.UNKNOWN if port_mapping.by_source else None,
        )
        found.setdefault(one, adopted)
    return _Draft(found, tuple(dropped), tuple(holds), heard_all, removals)


def _published_for(port: ServicePort, published: Published | None) -> Mapping[EndpointId, Endpoint]:
    return {
        endpoint.id: endpoint
        for endpoint in (published.endpoints if published else ())
        if (endpoint.id.port_name, endpoint.id.protocol) == (port.name, port.protocol)
    }


def _unconfirmed(port: ServicePort, removals: Removals, published: int, confirm: Confirm) -> Hold:
    which = f" for port {port.name!r}" if port.name else ""
    return Hold(
        HoldReason.REMOVALS_UNCONFIRMED,
        f"the sources no longer list {len(removals.kept)} of the {published} backends that are "
        f"published{which}; that is believed after {confirm.answers} answers over "
        f"{confirm.seconds:g} s",
    )


def _notices(service: ServiceState) -> tuple[str, ...]:
    if service.local_traffic:
        return (LOCAL_TRAFFIC,)
    return ()


def _dropped_by_source(observation: Observation) -> Iterable[Dropped]:
    return (drop for part in observation.parts if part.answer for drop in part.answer.dropped)
