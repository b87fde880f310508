"""Hands each stored change to the simulation's checker, with who wrote it and who led then.

It must never pass over a change, nor show one before it is known who wrote it.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime

from registrar.embedded.store import Change
from registrar.embedded.values import text_at
from tests.integration.chaos.authors import Authors
from tests.integration.chaos.history import History, Stored
from tests.simulation.checker import REGISTRAR, Checker
from tests.simulation.cluster import NAMESPACE, addresses_of
from tests.simulation.journal import Journal

PATIENCE_S = 3.0
"""The record of a write comes a moment after it; of one that a killed API server did, never."""


class Recorder:
    """`pump` shows the checker whatever is new. `clock` is the world's time.

    `is_silent` says whether the API server can't write its log now.
    """

    def __init__(
        self,
        history: History,
        authors: Authors,
        journal: Journal,
        clock: Callable[[], float],
        is_silent: Callable[[], bool],
    ) -> None:
        self.changes = 0
        self.writes: Counter[str] = Counter()
        self.leaders: list[tuple[float, str]] = []
        """Who has led since when: by the names that changes have."""
        self.last_write = 0.0
        self._history = history
        self._authors = authors
        self._journal = journal
        self._clock = clock
        self._is_silent = is_silent
        self._pending: deque[Stored] = deque()
        self._shown_at: float | None = None
        self._quiet_since = time.monotonic()
        self._holders: dict[str, str] = {}

    def now(self) -> float:
        """Return the time of what the checker is shown: that of the change, or else the present."""
        if self._shown_at is not None:
            return self._shown_at
        return self._time_of(self._pending[0]) if self._pending else self._clock()

    def pump(self, checker: Checker) -> None:
        """Show what is known by now."""
        while not self._history.heard.empty():
            self._pending.append(self._history.heard.get())
        self._authors.read()
        if self._is_silent():
            self._quiet_since = time.monotonic()
        while self._pending:
            stored = self._pending[0]
            by = self._authors.of(stored)
            if by is None:
                if time.monotonic() - max(stored.at, self._quiet_since) < PATIENCE_S:
                    break
                by = self._guess(stored, checker)
            self._pending.popleft()
            self._shown_at = self._time_of(stored)
            try:
                self._show(stored, by, checker)
            finally:
                self._shown_at = None
        checker.looked()
        if self._history.gap:
            self._journal.breach(f"the history has a gap: {self._history.gap}")

    @property
    def guesses(self) -> int:
        """Of how many changes the author is inferred, since his record was lost."""
        return self._authors.guesses

    def has_shown(self, revision: int) -> bool:
        """Say whether all has been shown that was stored up to a revision."""
        is_heard = self._history.revision >= revision and self._history.heard.empty()
        return is_heard and not self._pending

    def _show(self, stored: Stored, by: str, checker: Checker) -> None:
        if stored.resource == "leases":
            self._lead(stored, by, checker)
            return
        self.changes += 1
        self.writes[by] += 1
        if by.startswith(REGISTRAR):
            self.last_write = self.now()
        self._journal.note(f"{by or 'controllers'}: {_words(stored)}")
        checker.stored(
            Change(
                version=stored.revision,
                at=datetime.now(UTC),
                seconds=self.now(),
                type=stored.type,
                resource=stored.resource,
                namespace=NAMESPACE,
                name=stored.name,
                object=stored.object,
                before=stored.before,
                by=by,
            )
        )

    def _lead(self, stored: Stored, by: str, checker: Checker) -> None:
        holder = text_at(stored.object, "spec", "holderIdentity")
        if stored.type == "DELETED":
            holder = ""
        if holder and by.startswith(REGISTRAR):
            self._holders[holder] = by  # nobody writes another's name
        leader = self._holders.get(holder, "") if holder else ""
        if leader != checker.leader:
            checker.leader = leader
            self.leaders.append((self.now(), leader))
            self._journal.note(f"{leader or 'nobody'} leads ({holder})")

    def _guess(self, stored: Stored, checker: Checker) -> str:
        by = self._authors.guess(stored)
        if by is None:
            self._journal.note(f"nobody knows who did this: {_words(stored)}")
            # In doubt the one who may.
            by = (checker.leader or "") if stored.resource != "leases" else ""
        return by

    def _time_of(self, stored: Stored) -> float:
        return self._clock() - (time.monotonic() - stored.at)


def _words(stored: Stored) -> str:
    said = addresses_of(stored.object)
    shown = [f"{a}{'' if ready else ' (not ready)'}" for a, ready in sorted(said.items())]
    return f"{stored.type} {stored.resource} {stored.name} [{', '.join(shown[:8])}]"
