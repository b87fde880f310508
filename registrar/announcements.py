"""Which transitions become an Event, when, and how many: the decisions, with the time passed in.

An outage that 10,000 Services see is one Event. Nothing here writes, waits or looks at a clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from registrar.model import Hold, HoldReason, ServiceKey
from registrar.transitions import (
    Adopted,
    BackendsWithdrawn,
    HoldBegan,
    HoldEnded,
    LetGo,
    Published,
    Resynced,
    ServiceCreated,
    Transition,
)

BURST = 25
PER_SECOND = 10 / 60
"""So many Events at once, and then ten a minute: etcd keeps each for an hour."""

RESERVED = 10
"""So many are kept for what went wrong, where a start publishes a thousand Services."""

GATHER_S = 1.0
"""How long a Hold waits for the other Services that it holds as well."""

PUBLISHED_S = 60.0
LISTED = 5

WITHOUT_EVENT = frozenset(
    {HoldReason.WAITING, HoldReason.NAMESPACE_TERMINATING, HoldReason.CLUSTER_UNREACHABLE}
)
"""What everything passes through, and what can't be written where it is so."""

_Group: TypeAlias = tuple[HoldReason, str]


@dataclass(frozen=True, slots=True)
class Announcement:
    """An Event on a Service: `reason` in CamelCase, `message` for a person."""

    key: ServiceKey
    reason: str
    message: str
    is_warning: bool = False


@dataclass(slots=True)
class _Held:
    """Who is held for one reason, and what of that has been announced."""

    first: ServiceKey
    hold: Hold
    since: float
    who: dict[ServiceKey, set[Hold]] = field(default_factory=dict)
    most: int = 0
    is_announced: bool = False

    def add(self, key: ServiceKey, hold: Hold) -> None:
        self.who.setdefault(key, set()).add(hold)
        self.most = max(self.most, len(self.who))

    def discard(self, key: ServiceKey, hold: Hold) -> None:
        holds = self.who.get(key, set())
        holds.discard(hold)
        if not holds:
            self.who.pop(key, None)


class Announcements:
    """Takes transitions, and gives the Events that are due. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.dropped = 0
        """How many Events there were too many to write."""
        self._held: dict[_Group, _Held] = {}
        self._ready: list[Announcement] = []
        self._published: dict[ServiceKey, Published] = {}
        self._said: dict[ServiceKey, float] = {}
        self._tokens = float(BURST)
        self._filled = 0.0

    def tell(self, transition: Transition, now: float) -> None:
        """Take note of a transition."""
        if isinstance(transition, HoldBegan):
            self._begin(transition, now)
        elif isinstance(transition, HoldEnded):
            self._end(transition)
        elif isinstance(transition, Published):
            before = self._published.get(transition.key)
            self._published[transition.key] = _joined(before, transition) if before else transition
        else:
            self._ready.append(_announcement(transition))

    def next(self, now: float) -> float | None:
        """Return in how many seconds something is due, None if nothing waits."""
        if self._ready:
            return 0.0
        gathering = [h.since + GATHER_S for h in self._held.values() if not h.is_announced]
        waiting = [self._may_say(key) for key in self._published]
        return max(0.0, min([*gathering, *waiting]) - now) if gathering or waiting else None

    def due(self, now: float) -> tuple[Announcement, ...]:
        """Return what is to be written now, warnings first; what is too much is counted."""
        found, self._ready = self._ready, []
        for held in self._held.values():
            if not held.is_announced and held.since + GATHER_S <= now:
                held.is_announced = True
                found.append(_began(held))
        for key in [key for key in self._published if self._may_say(key) <= now]:
            found.append(_announcement(self._published.pop(key)))
            self._said[key] = now
        return tuple(self._granted(sorted(found, key=lambda one: not one.is_warning), now))

    def rest(self, now: float) -> tuple[Announcement, ...]:
        """Return what is left to write at the end."""
        for held in self._held.values():
            held.since = min(held.since, now - GATHER_S)
        self._said.clear()
        return self.due(now)

    def _begin(self, transition: HoldBegan, now: float) -> None:
        key, hold = transition.key, transition.hold
        if hold.reason in WITHOUT_EVENT:
            return
        held = self._held.setdefault(_group(key, hold), _Held(key, hold, now))
        held.add(key, hold)

    def _end(self, transition: HoldEnded) -> None:
        group = _group(transition.key, transition.hold)
        held = self._held.get(group)
        if held is None:
            return
        held.discard(transition.key, transition.hold)
        if held.who:
            return
        del self._held[group]
        if held.is_announced:  # what was over before anybody was told is no news
            self._ready.append(_ended(held))

    def _may_say(self, key: ServiceKey) -> float:
        return self._said.get(key, float("-inf")) + PUBLISHED_S

    def _granted(self, found: Iterable[Announcement], now: float) -> Iterable[Announcement]:
        self._tokens = min(BURST, self._tokens + (now - self._filled) * PER_SECOND)
        self._filled = now
        for one in found:
            if self._tokens >= (1 if one.is_warning else 1 + RESERVED):
                self._tokens -= 1
                yield one
            else:
                self.dropped += 1


def _group(key: ServiceKey, hold: Hold) -> _Group:
    # What one source doesn't know is one outage, whatever words it has for each query; what the
    # API server refuses, it refuses of a whole namespace.
    if hold.source is not None:
        return hold.reason, hold.source
    return hold.reason, hold.detail if hold.reason is HoldReason.FORBIDDEN else str(key)


def _joined(before: Published, after: Published) -> Published:
    return replace(
        after,
        added=before.added + after.added,
        removed=before.removed + after.removed,
        changed=before.changed + after.changed,
    )


def camel_case(reason: HoldReason) -> str:
    """Return a reason as Events write it."""
    return "".join(word.capitalize() for word in reason.value.split("-"))


def _began(held: _Held) -> Announcement:
    source = f"source {held.hold.source}: " if held.hold.source else ""
    message = f"{source}{held.hold.detail}{_services(held)}"
    return Announcement(held.first, camel_case(held.hold.reason), message, is_warning=True)


def _ended(held: _Held) -> Announcement:
    source = f" (source {held.hold.source})" if held.hold.source else ""
    message = f"no longer {held.hold.reason.value}{source}{_services(held)}"
    return Announcement(held.first, "HoldEnded", message)


def _services(held: _Held) -> str:
    return f"; {held.most} Services are concerned" if held.most > 1 else ""


def _announcement(
    transition: Published | BackendsWithdrawn | ServiceCreated | LetGo | Adopted | Resynced,
) -> Announcement:
    key = transition.key
    if isinstance(transition, Published):
        t = transition
        message = (
            f"{t.ready} of {t.total} ready; {t.added} added, {t.removed} removed, {t.changed} "
            "changed"
        )
        return Announcement(key, "Published", message)
    if isinstance(transition, BackendsWithdrawn):
        return Announcement(key, "BackendWithdrawn", _withdrawn(transition), is_warning=True)
    if isinstance(transition, Resynced):
        detail = f": {transition.detail}" if transition.detail else ""
        is_warning = transition.state in {"held", "failed"}
        return Announcement(key, "Resynced", f"{transition.state}{detail}", is_warning)
    if isinstance(transition, ServiceCreated):
        return Announcement(key, "ServiceCreated", "made, as its mapping asks with `create`")
    if isinstance(transition, LetGo):
        message = f"it has a selector: {transition.slices} slices of registrar's were deleted"
        return Announcement(key, "LetGo", message)
    return Announcement(key, "Adopted", "Endpoints that somebody else had written were taken over")


def _withdrawn(transition: BackendsWithdrawn) -> str:
    backends = transition.backends
    said = [f"{one.id.address} port {one.id.port}: {one.reason}" for one in backends[:LISTED]]
    more = f"; and {len(backends) - LISTED} more" if len(backends) > LISTED else ""
    return f"no longer published, for it must not be: {'; '.join(said)}{more}"
