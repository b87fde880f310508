"""Remembers which backends a person has taken out, and takes orders to take out or back in.

What is published bears the marks. They are adopted from there, once in a term; then this memory is
what counts, so that nobody who deletes or edits an object takes a backend back in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from registrar.decide.candidates import Candidates
from registrar.decide.drain import Chosen, chosen, ends_service
from registrar.decide.policy import decide
from registrar.model import (
    BackendId,
    Desired,
    Hold,
    Published,
    ServiceKey,
    ServiceMapping,
    Target,
    Verdict,
)

GONE_S = 600.0
"""A backend that no source lists keeps its mark for so long: its machine may be starting again."""

_Decided = Desired | Hold
_NONE: Mapping[BackendId, float | None] = {}
"""One for all Services of which nothing is taken out: hardly any other is needed."""


@dataclass(slots=True, eq=False)
class Pending:
    """An order that the next decision on a Service is to take up.

    Then `taken` are the backends that it means, or `refused` says why nothing comes of it.
    """

    wanted: tuple[Chosen, ...]
    out: bool
    force: bool = False
    taken: frozenset[BackendId] | None = None
    refused: str | None = None


class Drains:
    """The marks of all Services."""

    def __init__(self) -> None:
        self._marks: dict[ServiceKey, Mapping[BackendId, float | None]] = {}  # since when gone
        self._ordered: dict[ServiceKey, frozenset[BackendId]] = {}
        self._pending: dict[ServiceKey, list[Pending]] = {}

    def order(self, key: ServiceKey, pending: Pending) -> None:
        """Have the next decision on a Service take up an order."""
        self._pending.setdefault(key, []).append(pending)

    def close(self, key: ServiceKey, pending: Pending) -> None:
        """Nobody waits for an order any more: it is not to be taken up later."""
        self._pending[key].remove(pending)
        if not self._pending[key]:
            del self._pending[key]

    def begin(self) -> None:
        """Know nothing, as another replica may have taken orders meanwhile."""
        self._marks.clear()
        self._ordered.clear()
        for pending in (one for orders in self._pending.values() for one in orders):
            if pending.taken is not None:
                pending.refused = "another replica leads by now, and may not know of it; ask again"

    def forget(self, key: ServiceKey) -> None:
        """Know nothing of a Service any more."""
        self._marks.pop(key, None)
        self._ordered.pop(key, None)

    def concern(self, key: ServiceKey) -> bool:
        """Whether a backend of a Service is taken out, or is asked to be, or was a while ago."""
        return bool(self._marks.get(key)) or key in self._pending or key in self._ordered

    def knows(self, key: ServiceKey) -> bool:
        """Whether what is published of a Service has been adopted."""
        return key in self._marks

    def marks(self, key: ServiceKey) -> frozenset[BackendId]:
        """Return the backends of a Service that are remembered as taken out."""
        return frozenset(self._marks.get(key, ()))

    def adopt(self, key: ServiceKey, told: Mapping[BackendId, bool]) -> None:
        """Take over what is published: which backends are drained, and which are not."""
        told = {one: out for one, out in told.items() if one not in self._ordered.get(key, ())}
        drained = dict[BackendId, float | None].fromkeys(one for one, out in told.items() if out)
        left = {one: gone for one, gone in self._marks.get(key, _NONE).items() if one not in told}
        self._marks[key] = left | drained or _NONE

    def decide(
        self,
        mapping: ServiceMapping,
        found: Candidates,
        there: Published | None,
        verdicts: Mapping[Target, Verdict],
        doubted: Collection[Target],
        now: float,
    ) -> Desired | Hold:
        """Decide what ought to be published, with what is drained, and with what is asked for."""
        key = mapping.key
        since = self._marks.get(key, _NONE)
        marks = frozenset(one for one in since if not _is_over(since[one], now))

        def with_marks(marks: frozenset[BackendId]) -> Desired | Hold:
            return decide(mapping, found, there, verdicts, doubted, marks)

        desired = with_marks(marks)
        for pending in self._pending.get(key, ()):
            if pending.taken is not None or pending.refused is not None:
                continue
            backends = frozenset(candidate.backend for candidate in found.all)
            meant = chosen(backends, pending.wanted)
            if isinstance(meant, str):
                pending.refused = meant
                continue
            after = with_marks(new := marks | meant if pending.out else marks - meant)
            pending.refused = _refusal(mapping, found, pending, desired, after)
            if pending.refused is None:
                pending.taken = meant
                self._ordered[key] = self._ordered.get(key, frozenset()) | meant
                marks, desired = new, after
        there_then = {candidate.backend for candidate in found.all}
        self._marks[key] = {
            one: None if one in there_then else since.get(one) or now for one in marks
        } or _NONE
        return desired


def _is_over(gone: float | None, now: float) -> bool:
    return gone is not None and now - gone >= GONE_S


def _refusal(
    mapping: ServiceMapping, found: Candidates, pending: Pending, before: _Decided, after: _Decided
) -> str | None:
    if mapping.paused:
        return "the mapping is paused; remove `paused` first"
    if found.everything_ready and pending.out:
        return "the Service asks for every address as ready (publishNotReadyAddresses)"
    if isinstance(before, Hold) or isinstance(after, Hold):
        return str(before if isinstance(before, Hold) else after)
    if pending.out and not pending.force and (what := ends_service(before, after)):
        return f"{what} would have no ready backend left; --force does it all the same"
    return None
