"""What may happen to a Service that somebody wants to know of: frozen values, no I/O.

A transition is told once, however often it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from registrar.model import Hold, ServiceKey, Withdrawn


@dataclass(frozen=True, slots=True)
class HoldBegan:
    """Something of a Service may not change from now on."""

    key: ServiceKey
    hold: Hold


@dataclass(frozen=True, slots=True)
class HoldEnded:
    """It may change again, as far as this Hold goes."""

    key: ServiceKey
    hold: Hold


@dataclass(frozen=True, slots=True)
class Published:
    """What is published of a Service was written: how many there are now, and what changed."""

    key: ServiceKey
    ready: int
    total: int
    added: int
    removed: int
    changed: int


@dataclass(frozen=True, slots=True)
class BackendsWithdrawn:
    """Backends went at once, because they must not be published."""

    key: ServiceKey
    backends: tuple[Withdrawn, ...]


@dataclass(frozen=True, slots=True)
class ServiceCreated:
    """The Service was made, as its mapping asks."""

    key: ServiceKey


@dataclass(frozen=True, slots=True)
class LetGo:
    """Our slices of a Service that has gained a selector were deleted."""

    key: ServiceKey
    slices: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """Endpoints that somebody else had written were taken over."""

    key: ServiceKey


@dataclass(frozen=True, slots=True)
class Resynced:
    """A resync that was asked for on the Service is over: `state` and detail of its outcome."""

    key: ServiceKey
    state: str
    detail: str


Transition: TypeAlias = (
    HoldBegan
    | HoldEnded
    | Published
    | BackendsWithdrawn
    | ServiceCreated
    | LetGo
    | Adopted
    | Resynced
)
Listener: TypeAlias = Callable[[Transition], None]


def nobody(_transition: Transition) -> None:
    """Listen to nothing."""
