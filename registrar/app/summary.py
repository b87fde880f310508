"""Says in short what `overview` says in full: cheap enough to be asked for every other second.

The rows are kept from one time to the next; only those of Services that have changed are made anew.
"""

from __future__ import annotations

import asyncio
import math
import operator
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2s
from typing import TYPE_CHECKING

import msgspec

import registrar
from registrar.app.overview import source_status, standing_of
from registrar.cluster.forms import published
from registrar.cluster.known import Kept
from registrar.model import Endpoint, ServiceKey, ServiceMapping
from registrar.standing import Standing
from registrar.status import ServiceRow, ServiceRows, SourceRow, SourceStatus, Summary

if TYPE_CHECKING:
    from registrar.app.app import App

STATES = ("in-place", "changing", "held")


FRESH_S = 0.5
"""What was looked at so lately is good enough for the next who asks, however many they are."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A row, and what it was made of."""

    mapping: ServiceMapping
    objects: tuple[tuple[Kept, ...], ...]
    standing: Standing
    row: ServiceRow

    def is_of(
        self, mapping: ServiceMapping, objects: tuple[tuple[Kept, ...], ...], standing: Standing
    ) -> bool:
        """Whether it would be the same row again. Identities are enough: nothing is changed."""
        return (
            self.mapping is mapping
            and self.standing is standing
            and len(self.objects) == len(objects)
            and all(map(operator.is_, self.objects, objects))
        )


class Summarizing:
    """The rows of all Services, and what is cheap to say of everything."""

    def __init__(self) -> None:
        self._made: dict[ServiceKey, _Made] = {}
        self._rows: list[ServiceRow] = []
        self._looked_at = -math.inf
        self._text = msgspec.Raw(b"[]")
        self._revision = ""

    def summary(self, app: App) -> Summary:
        """Return what there is to say in short."""
        self._look(app)
        states = Counter(row.state for row in self._rows)
        election = app.election
        sources = (source_status(app, name) for name in sorted(app.feeds.states()))
        return Summary(
            version=registrar.__version__,
            instance=app.config.instance,
            taken_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            leads=election is None or election.term is not None,
            leader=election.leader if election is not None else "",
            self_preservation=app.checks.is_doubting,
            states={state: states[state] for state in STATES},
            revision=self._revision,
            sources=tuple(source_row(source) for source in sources if source is not None),
        )

    def rows(self, app: App) -> ServiceRows:
        """Return the rows."""
        self._look(app)
        return ServiceRows(
            revision=self._revision, clock=asyncio.get_running_loop().time(), services=self._text
        )

    def _look(self, app: App) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < FRESH_S:
            return
        self._looked_at = now
        before, made = self._made, dict[ServiceKey, _Made]()
        for mapping in app.config.mappings:
            key = mapping.key
            objects, standing = app.view.objects(key), standing_of(app, key)
            last = before.get(key)
            if last is None or not last.is_of(mapping, objects, standing):
                last = _Made(mapping, objects, standing, _row(app, mapping, standing))
            made[key] = last
        self._made = made
        rows = [made[key].row for key in sorted(made)]
        if not self._revision or rows != self._rows:
            self._rows = rows
            text = msgspec.json.encode(rows)
            self._text = msgspec.Raw(text)
            self._revision = blake2s(text, digest_size=8).hexdigest()


def _row(app: App, mapping: ServiceMapping, standing: Standing) -> ServiceRow:
    there = published(app.view.held(mapping.key), app.config.instance)
    endpoints = there.endpoints if there is not None else frozenset[Endpoint]()
    return ServiceRow(
        namespace=mapping.key.namespace,
        name=mapping.key.name,
        state=standing.state,
        ready=sum(endpoint.ready for endpoint in endpoints),
        endpoints=len(endpoints),
        sources=mapping.sources,
        holds=tuple(dict.fromkeys(hold.reason.value for hold in standing.holds)),
        changed_at=standing.changed_at,
    )


def source_row(source: SourceStatus) -> SourceRow:
    """Return a source in short."""
    errors = [part.error for part in source.parts if part.error]
    return SourceRow(
        name=source.name,
        parts=len(source.parts),
        failing=len(errors),
        silent=sum(part.answered is None for part in source.parts),
        backends=sum(part.backends for part in source.parts),
        answered=max((p.answered for p in source.parts if p.answered is not None), default=None),
        error=next(iter((*((source.error,) if source.error else ()), *errors)), None),
    )
