"""Health: what is checked and how, how a check ended, and the verdict."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from registrar.model.networks import Address


class Verdict(enum.Enum):
    """What is known of a backend's health. Unknown changes nothing that is published."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """A backend is up that accepts a TCP connection."""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """A backend is up that answers `GET path` with a status of 200 to 399."""

    path: str = "/"


Probe: TypeAlias = TcpProbe | HttpProbe


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a backend is judged. Times in seconds.

    `rise` successes in a row bring a backend up that was down, `fall` failures in a row take one
    down that was up.
    """

    probe: Probe
    interval: float = 5.0
    timeout: float = 1.0
    rise: int = 2
    fall: int = 3


@dataclass(frozen=True, slots=True)
class Target:
    """What a health check is run against. Services that ask the same question share it."""

    address: Address
    port: int
    check: HealthCheck


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
