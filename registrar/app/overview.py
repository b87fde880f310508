"""Says what registrar knows and does, from the parts that know it.

With thousands of Services that takes a while: the loop has its turn in between, so that no change
waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import registrar
from registrar.app.turns import in_turns
from registrar.cluster.forms import published
from registrar.judged import Judgement
from registrar.model import (
    Address,
    Endpoint,
    EndpointId,
    Observation,
    PartState,
    ServiceKey,
    ServiceMapping,
)
from registrar.standing import Standing
from registrar.status import (
    BackendStatus,
    HoldStatus,
    PartStatus,
    ServiceStatus,
    SourceStatus,
    Status,
    TurnStatus,
)

if TYPE_CHECKING:
    from registrar.app.app import App


AT_ONCE = 20
"""So many Services are read at once: some milliseconds' work."""


async def status(app: App) -> Status:
    """Return the state of everything, now."""
    now = asyncio.get_running_loop().time()
    mappings = sorted(app.config.mappings, key=lambda mapping: mapping.key)
    services = [_service(app, mapping, now) async for mapping in in_turns(mappings, AT_ONCE)]
    election = app.election
    return Status(
        version=registrar.__version__,
        instance=app.config.instance,
        taken_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        leads=app.leads,
        leader=election.leader if election is not None else "",
        self_preservation=app.checks.is_doubting,
        services=tuple(services),
        sources=tuple(
            _source(name, observations, now)
            for name, observations in sorted(app.feeds.states().items())
        ),
    )


def service_status(app: App, key: ServiceKey) -> ServiceStatus | None:
    """Return the state of one Service, None where it has no mapping."""
    now = asyncio.get_running_loop().time()
    mapping = next((one for one in app.config.mappings if one.key == key), None)
    return None if mapping is None else _service(app, mapping, now)


def source_status(app: App, name: str) -> SourceStatus | None:
    """Return the state of one source, None where nothing is asked of such a one."""
    observations = app.feeds.states().get(name)
    now = asyncio.get_running_loop().time()
    return None if observations is None else _source(name, observations, now)


def standing_of(app: App, key: ServiceKey) -> Standing:
    """Return where a Service stands."""
    return app.reconciler.standings.get(key, Standing())


def _service(app: App, mapping: ServiceMapping, now: float) -> ServiceStatus:
    key = mapping.key
    standing = standing_of(app, key)
    there = published(app.view.held(key), app.config.instance)
    endpoints = there.endpoints if there is not None else frozenset[Endpoint]()
    wanted = standing.desired.endpoints if standing.desired else frozenset[Endpoint]()
    desired = standing.desired
    return ServiceStatus(
        namespace=key.namespace,
        name=key.name,
        state=standing.state,
        ready=sum(endpoint.ready for endpoint in endpoints),
        endpoints=len(endpoints),
        publish=mapping.publish.value,
        sources=mapping.sources,
        holds=tuple(
            HoldStatus(reason=hold.reason.value, detail=hold.detail) for hold in standing.holds
        ),
        notices=desired.notices if desired else (),
        dropped=tuple(f"{d.record}: {d.reason}" for d in (desired.dropped if desired else ())),
        backends=tuple(_backends(endpoints, wanted, app.checks.judgements(key), now)),
        changed=None if standing.changed_at is None else now - standing.changed_at,
        written=standing.written,
    )


def _backends(
    there: frozenset[Endpoint],
    wanted: frozenset[Endpoint],
    judged: Mapping[tuple[Address, int], Judgement],
    now: float,
) -> Iterable[BackendStatus]:
    published_as = {endpoint.id: endpoint.state for endpoint in there}
    drained = {endpoint.id for endpoint in (*wanted, *there) if endpoint.drained}
    known = published_as.keys() | {endpoint.id for endpoint in wanted}
    for one in sorted(known, key=_order):
        judgement = judged.get((one.address, one.port))
        yield BackendStatus(
            port_name=one.port_name,
            protocol=one.protocol,
            address=str(one.address),
            port=one.port,
            published=published_as.get(one, "no"),
            drained=one in drained,
            verdict=judgement.verdict.value if judgement else "unchecked",
            reason=judgement.reason if judgement else "",
            turns=_turns(judgement, now),
        )


def _turns(judgement: Judgement | None, now: float) -> tuple[TurnStatus, ...]:
    turns = judgement.turns if judgement else ()
    return tuple(
        TurnStatus(verdict=turn.verdict.value, age=now - turn.at, reason=turn.reason)
        for turn in turns
    )


def _order(one: EndpointId) -> tuple[str, int, int, int]:
    return one.port_name, one.address.version, int(one.address), one.port


def _source(name: str, observations: Iterable[Observation], now: float) -> SourceStatus:
    """Return what is known of one source. What several queries ask of a part counts as one."""
    observations = tuple(observations)
    parts: dict[str, list[PartState]] = {}
    for observation in observations:
        for part in observation.parts:
            parts.setdefault(part.name, []).append(part)
    return SourceStatus(
        name=name,
        parts=tuple(_part(name, states, now) for name, states in sorted(parts.items())),
        error=next((o.error for o in observations if o.error), None),
    )


def _part(name: str, states: list[PartState], now: float) -> PartStatus:
    """Return what is known of a part: the oldest age, None where one query never had an answer."""
    answered = [state.answered_at for state in states if state.answered_at is not None]
    return PartStatus(
        name=name,
        answered=now - min(answered) if len(answered) == len(states) else None,
        backends=sum(len(state.answer.backends) for state in states if state.answer),
        error=next((state.error for state in states if state.error), None),
    )
