"""Says in short what `overview` says in full: cheap enough to be asked for every other second.

The rows are kept from one time to the next; only those of Services that have changed are made anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2s
from typing import TYPE_CHECKING

import msgspec

import registrar
from registrar.app.overview import source_status, standing_of, state_of
from registrar.cluster.forms import published
from registrar.cluster.view import Held
from registrar.model import ServiceKey, ServiceMapping
from registrar.standing import Standing
from registrar.status import ServiceRow, ServiceRows, SourceRow, SourceStatus, Summary

if TYPE_CHECKING:
    from registrar.app.app import App

STATES = ("in-place", "changing", "held")


@dataclass(frozen=True, slots=True)
class _Made:
    """A row, and what it was made of."""

    mapping: ServiceMapping
    held: Held
    standing: Standing
    row: ServiceRow

    def is_of(self, mapping: ServiceMapping, held: Held, standing: Standing) -> bool:
        """Whether it would be the same row again. Identities are enough: nothing is changed."""
        before = self.held
        return (
            self.mapping is mapping
            and self.standing is standing
            and before.endpoints is held.endpoints
            and before.service == held.service
            and len(before.slices) == len(held.slices)
            and all(a is b for a, b in zip(before.slices, held.slices, strict=True))
        )


class Summarizing:
    """The rows of all Services, and what is cheap to say of everything."""

    def __init__(self) -> None:
        self._made: dict[ServiceKey, _Made] = {}
        self._text = msgspec.Raw(b"[]")
        self._revision = ""

    def summary(self, app: App) -> Summary:
        """Return what there is to say in short."""
        self._look(app)
        states = Counter(made.row.state for made in self._made.values())
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
        made: dict[ServiceKey, _Made] = {}
        for mapping in app.config.mappings:
            held, standing = app.view.held(mapping.key), standing_of(app, mapping.key)
            last = self._made.get(mapping.key)
            if last is None or not last.is_of(mapping, held, standing):
                row = _row(mapping, held, standing, app.config.instance)
                last = _Made(mapping, held, standing, row)
            made[mapping.key] = last
        before, self._made = self._made, made
        is_same = before.keys() == made.keys() and all(
            one.row is before[key].row or one.row == before[key].row for key, one in made.items()
        )
        if not (is_same and self._revision):
            text = msgspec.json.encode([made[key].row for key in sorted(made)])
            self._text = msgspec.Raw(text)
            self._revision = blake2s(text, digest_size=8).hexdigest()


def _row(mapping: ServiceMapping, held: Held, standing: Standing, instance: str) -> ServiceRow:
    there = published(held, instance)
    endpoints = there.endpoints if there is not None else frozenset()
    return ServiceRow(
        namespace=mapping.key.namespace,
        name=mapping.key.name,
        state=state_of(standing),
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
