"""What has happened, for whoever has to find out why: a short trace, the holds, the first breach.

It must never change what goes on: it only notes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

import structlog
from structlog.typing import EventDict, WrappedLogger

from tests.simulation.truth import now

KEPT = 30
LONGEST = 240


class Violation(AssertionError):
    """An invariant, or what a row promises, does not hold."""


class Journal:
    """The trace of one world. `logged` is what registrar logs: when, and what.

    `holds` are the holds among it: when, and the reason.
    """

    def __init__(self, clock: Callable[[], float] = now) -> None:
        self._now = clock
        self.trace: deque[str] = deque(maxlen=KEPT)
        self.holds: list[tuple[float, str]] = []
        self.logged: list[tuple[float, EventDict]] = []
        self.violation: str | None = None

    def note(self, words: str) -> None:
        self.trace.append(f"{self._now():9.3f}  {words}"[:LONGEST])

    def breach(self, words: str) -> None:
        """Note the first thing that is wrong, with the trace of that moment."""
        if self.violation is None:
            self.violation = "\n".join([words, *(f"  {line}" for line in self.trace)])

    def raise_if_violated(self) -> None:
        if self.violation is not None:
            raise Violation(self.violation)

    @contextmanager
    def listening(self) -> Generator[None]:
        """Take what registrar logs into the trace."""
        processors = structlog.get_config()["processors"]
        kept = list(processors)
        processors[:] = [self._take]  # in place: loggers bound before hold the same list
        try:
            yield
        finally:
            processors[:] = kept

    def _take(self, _: WrappedLogger, level: str, event: EventDict) -> EventDict:
        self.logged.append((self._now(), event))
        if event["event"] == "hold":
            self.holds.append((self._now(), event["reason"]))
        if event["event"] != "published":  # the write itself is noted
            told = {k: v for k, v in event.items() if k not in {"event", "services"}}
            self.note(f"log: {event['event']} {told}")
        if level == "error":
            self.breach(f"registrar logs an error: {event}")
        raise structlog.DropEvent
