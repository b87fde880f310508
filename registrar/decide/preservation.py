"""Whether silence is more likely our own fault than that of all the backends at once.

When more than half of what was up falls silent in several Services and networks, or when no canary
can be reached, silence says nothing for a while. A refusal or a wrong answer counts in any case.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Protocol

from registrar.decide.health import HealthState
from registrar.model import Address, Network, ServiceKey, Target, Verdict

SERVICES, NETWORKS = 3, 2
LONGEST_WINDOW_S = 30.0
_PREFIX = {4: 24, 6: 64}


class Canary(enum.Enum):
    """What the configured canaries say of our own network."""

    NONE = "none"
    REACHED = "reached"
    UNREACHED = "unreached"


class Counted(Protocol):
    """What a census asks of a target: how it stands, and which Services it is one of."""

    state: HealthState
    owners: Collection[ServiceKey]


@dataclass(frozen=True, slots=True)
class Census:
    """How many targets were up, how many of those are silent, and how far apart these are."""

    up: int = 0
    silent: int = 0
    services: int = 0
    networks: int = 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """Since when (monotonic seconds) silence is doubted; `spent` once that has lasted too long."""

    since: float | None = None
    spent: bool = False

    @property
    def is_raised(self) -> bool:
        """Whether silence says nothing now."""
        return self.since is not None and not self.spent


def window(intervals: Collection[float]) -> float:
    """Return within how many seconds what went down counts as having gone together."""
    return min(LONGEST_WINDOW_S, max(intervals, default=LONGEST_WINDOW_S))


def was_up(state: HealthState, within: float, now: float) -> bool:
    """Whether a target is up, or was until it fell silent a moment ago."""
    if state.verdict is Verdict.UP:
        return True
    return state.silenced_at is not None and now - state.silenced_at <= within


def census(judged: Mapping[Target, Counted], within: float, now: float) -> Census:
    """Count all targets that were up, and those of them that are silent."""
    up, silent = 0, []
    for target, one in judged.items():
        if was_up(one.state, within, now):
            up += 1
            if one.state.silent:
                silent.append((target.address, one.owners))
    services = {key for _, owners in silent for key in owners}
    networks = {_network(address) for address, _ in silent}
    return Census(up, len(silent), len(services), len(networks))


def judge(alarm: Alarm, counted: Census, canary: Canary, now: float, max_hold: float) -> Alarm:
    """Return the alarm after a look: raised, kept, spent after `max_hold` seconds, or over.

    It is not spent while a canary says that the fault is ours. One that is spent is not raised
    again before it was over.
    """
    is_ours = canary is Canary.UNREACHED
    if not is_ours and not _is_widespread(counted):
        return Alarm()
    if alarm.since is None:
        return Alarm(now)
    if is_ours:
        return replace(alarm, spent=False)
    return replace(alarm, spent=alarm.spent or now - alarm.since >= max_hold)


def _is_widespread(counted: Census) -> bool:
    return (
        2 * counted.silent > counted.up
        and counted.services >= SERVICES
        and counted.networks >= NETWORKS
    )


def _network(address: Address) -> Network:
    return ip_network((address, _PREFIX[address.version]), strict=False)
