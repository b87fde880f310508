"""Reads what the metrics say of the state of everything, from the parts that know it.

With thousands of Services that takes a while: the loop has its turn in between, so that no change
waits for it.
"""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import registrar
from registrar.app.turns import in_turns
from registrar.metrics import catalogue
from registrar.metrics.exposition import Sample
from registrar.model import (
    DropCause,
    HoldReason,
    Observation,
    ServiceKey,
    Verdict,
)
from registrar.standing import Standing

if TYPE_CHECKING:
    from registrar.app.app import App

AT_ONCE = 50
"""So many Services, or queries, are read at once: a millisecond's work."""


async def samples(app: App) -> list[Sample]:
    """Return what is known now."""
    services = [one async for one in _services(app)]
    sources = [one async for one in _sources(app)]
    return [
        *_program(app),
        *app.meters.own_samples(),
        *services,
        *sources,
        *_cluster(app),
    ]


def _program(app: App) -> list[Sample]:
    checks, due = app.checks, app.due
    found = [
        Sample(catalogue.BUILD_INFO, 1, (registrar.__version__, platform.python_version())),
        Sample(catalogue.READY, app.is_ready),
        Sample(catalogue.LEADER, app.leads),
        Sample(catalogue.QUEUE_LENGTH, due.length),
        Sample(catalogue.QUEUE_AGE, due.age),
        Sample(catalogue.TARGETS, checks.targets),
        Sample(catalogue.CHECKS_NOT_RUN, checks.not_run),
        Sample(catalogue.SELF_PRESERVATION, checks.is_doubting),
        Sample(catalogue.EVENTS_DROPPED, app.events_dropped()),
    ]
    if (engine := checks.engine) is not None:
        found.append(Sample(catalogue.CHECK_LATENESS, engine.lateness))
        for kind, tally in engine.tallies.items():
            counts = asdict(tally).items()
            found += (Sample(catalogue.CHECKS, count, (kind, how)) for how, count in counts)
    turned = checks.turned.items()
    return [*found, *(Sample(catalogue.VERDICTS, count, (to.value,)) for to, count in turned)]


def _cluster(app: App) -> list[Sample]:
    watches = Counter(app.view.watches())
    return [
        Sample(catalogue.WATCHES, watches[resource, heard], (resource, state))
        for resource in sorted({resource for resource, _ in watches})
        for heard, state in ((True, "heard"), (False, "unheard"))
    ]


async def _services(app: App) -> AsyncIterator[Sample]:
    states = Counter({"in-place": 0, "changing": 0, "held": 0, "waiting": 0})
    reasons = Counter(dict.fromkeys(HoldReason, 0))
    endpoints = Counter({"ready": 0, "not-ready": 0, "draining": 0})
    dropped = Counter({DropCause.NOT_PUBLISHABLE: 0, DropCause.NO_PORT: 0})
    async for key in in_turns([mapping.key for mapping in app.config.mappings], AT_ONCE):
        standing = app.reconciler.standings.get(key)
        states["waiting" if standing is None else standing.state] += 1
        standing = standing or Standing()
        held = {hold.reason for hold in standing.holds}
        reasons.update(held)
        for reason in held:
            yield Sample(catalogue.HOLD, 1, (str(key), reason.value))
        desired = standing.desired
        for one in desired.endpoints if desired else ():
            endpoints["draining" if one.draining else "ready" if one.ready else "not-ready"] += 1
        dropped.update(one.cause for one in (desired.dropped if desired else ()))
        yield Sample(catalogue.CHECK_S, app.checks.durations(key), (str(key),))
        for verdict, number in _backends(app, key, standing).items():
            yield Sample(catalogue.BACKENDS, number, (str(key), verdict))
    for state, number in states.items():
        yield Sample(catalogue.SERVICES, number, (state,))
    for reason, number in reasons.items():
        yield Sample(catalogue.SERVICES_HELD, number, (reason.value,))
    for state, number in endpoints.items():
        yield Sample(catalogue.ENDPOINTS, number, (state,))
    for cause in (DropCause.NOT_PUBLISHABLE, DropCause.NO_PORT):
        yield Sample(catalogue.DROPPED_BACKENDS, dropped[cause], (cause.value,))


def _backends(app: App, key: ServiceKey, standing: Standing) -> Counter[str]:
    verdicts = app.checks.tally(key)
    found = Counter({Verdict.UP.value: 0})
    for verdict in verdicts:
        found[verdict.value] += 1
    wanted = standing.desired.endpoints if standing.desired else ()
    if len(wanted) > len(verdicts):
        checked = {(target.address, target.port) for target in app.checks.verdicts(key)}
        unchecked = {(e.id.address, e.id.port) for e in wanted} - checked
        if unchecked:
            found["unchecked"] = len(unchecked)
    return found


async def _sources(app: App) -> AsyncIterator[Sample]:
    now = asyncio.get_running_loop().time()
    found: dict[str, _Tally] = {}
    async for source, observation in in_turns(app.feeds.each(), AT_ONCE):
        found.setdefault(source, _Tally()).add(observation)
    for source, tally in sorted(found.items()):
        for state, number in tally.parts.items():
            yield Sample(catalogue.SOURCE_PARTS, number, (source, state))
        yield Sample(catalogue.SOURCE_BACKENDS, tally.backends, (source,))
        yield Sample(catalogue.SOURCE_DROPPED, tally.dropped, (source,))
        if tally.oldest is not None:
            yield Sample(catalogue.SOURCE_ANSWER_AGE, now - tally.oldest, (source,))


class _Tally:
    """What all queries of a source come to."""

    def __init__(self) -> None:
        self.parts = Counter({"known": 0, "unknown": 0, "waiting": 0})
        self.backends = 0
        self.dropped = 0
        self.oldest: float | None = None

    def add(self, observation: Observation) -> None:
        if observation.error is not None:
            self.parts["unknown"] += 1
        for part in observation.parts:
            self.parts[_part_state(part.error, part.answered_at)] += 1
            if part.answer is not None and part.answered_at is not None:
                self.backends += len(part.answer.backends)
                self.dropped += len(part.answer.dropped)
                self.oldest = min(part.answered_at, self.oldest or part.answered_at)


def _part_state(error: str | None, answered_at: float | None) -> str:
    if error is not None:
        return "unknown"
    return "waiting" if answered_at is None else "known"
