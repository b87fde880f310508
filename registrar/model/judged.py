"""Health: how a check ended, and the verdict."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from registrar.model.probed import Target


class Verdict(enum.Enum):
    """What is known of a backend's health. Unknown changes nothing that is published."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Outcome(enum.Enum):
    """How one check ended. Unknown: it could not be run, and says nothing of the backend.

    Silent: no answer in time, or no way there; it failed, unless the fault is our own.
    """

    PASSED = "passed"
    FAILED = "failed"
    SILENT = "silent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check, and the reason in words."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Preservation:
    """When to take silence for our own fault: `max_hold` in seconds, at most, without a canary."""

    enabled: bool = True
    canaries: tuple[Target, ...] = ()
    max_hold: float = 120.0
