"""What sources say: backends, answers, and what is known of them by now."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from registrar.model.judged import Verdict
from registrar.model.networks import Address


@dataclass(frozen=True, slots=True)
class Backend:
    """One place outside the cluster that serves.

    `port` is None where the source doesn't know it. `weight` (0 or more), `zone` and `health` are
    what the source says; `hostname` is the name it has within a headless Service (a DNS label,
    RFC 1123). `draining`: it still serves, and is to get no new connections. `tier`: the lowest
    number (0 or more) that has a backend up is what is published.
    """

    address: Address
    port: int | None = None
    weight: int = 1
    zone: str | None = None
    hostname: str | None = None
    draining: bool = False
    tier: int = 0
    health: Verdict = Verdict.UNKNOWN


class DropCause(enum.Enum):
    """Why something is left out, as far as it is counted."""

    UNUSABLE = "unusable"
    NOT_PUBLISHABLE = "not-publishable"
    NO_PORT = "no-port"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A record of an otherwise good answer that could not be used, and why."""

    record: str
    reason: str
    cause: DropCause = field(default=DropCause.UNUSABLE, compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source returned for one part: complete, never partial. Empty is an answer too.

    `window` (seconds) where complete answers name a part of the backends in turn, as DNS servers
    may: what was named within it counts as named. `fresh_for` (seconds) where the source says how
    long it holds, as a TTL does: it is asked again then, however long the interval.
    """

    backends: tuple[Backend, ...]
    dropped: tuple[Dropped, ...] = ()
    window: float = 0.0
    fresh_for: float | None = None


@dataclass(frozen=True, slots=True)
class PartState:
    """What is known of one part: its last complete answer, and the error since then if any.

    `answered_at` is monotonic time in seconds; None, as `answer`, if it has never answered.
    `answers` counts its complete answers. `settled` is False while they have not come for a whole
    `window` yet: what none of them has named may still be named.
    """

    name: str
    answer: Answer | None = None
    answered_at: float | None = None
    error: str | None = None
    answers: int = 0
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Observation:
    """The last complete answers of all parts of a query.

    `error` says why the parts themselves are not known (the query could not be split).
    """

    parts: tuple[PartState, ...] = ()
    error: str | None = None

    @property
    def heard_all(self) -> bool:
        """Whether every part has answered at least once, so that absence means something."""
        return bool(self.parts) and all(p.answer is not None and p.settled for p in self.parts)

    @property
    def backends(self) -> tuple[Backend, ...]:
        """The union of the last complete answers, in the order of the parts."""
        return tuple(b for part in self.parts if part.answer for b in part.answer.backends)

    @property
    def errors(self) -> tuple[str, ...]:
        """What is not known at present, in words."""
        own = (self.error,) if self.error else ()
        return own + tuple(part.error for part in self.parts if part.error)
