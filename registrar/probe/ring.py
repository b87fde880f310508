"""The members of one interval, each in a slot of its own: a ring that turns once an interval."""

from __future__ import annotations

import enum
import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Generic, TypeVar

STANDSTILL_S = 0.05
"""What is late by more is not made up for: the ring has stood still."""

AT_ONCE_S = 0.025
AT_ONCE = 5
"""What is late by less is begun by and by: so many seconds' worth at one look, and some more."""

SOONEST = 0.1
"""The slot that follows a check out of turn is passed over if it is nearer than that many
intervals."""

NEVER = -math.inf
"""When the last check was due of a member that has not been taken yet."""

_GOLDEN = (5**0.5 - 1) / 2


class Phase(enum.Enum):
    """Where a member is between its checks."""

    IN_TURN = enum.auto()
    SOON = enum.auto()
    UNDER_WAY = enum.auto()
    GONE = enum.auto()


IN_TURN, SOON, UNDER_WAY = Phase.IN_TURN, Phase.SOON, Phase.UNDER_WAY


class Slot:
    """One member: what is checked every `interval` seconds. To be inherited from.

    `due` is when the check that was taken last was due; the rest is the Cadence's own.
    """

    __slots__ = ("due", "interval", "offset", "owed", "phase")

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.due = NEVER
        self.offset = 0.0
        self.phase = Phase.GONE
        self.owed: float | None = None


S = TypeVar("S", bound=Slot)


class Ring(Generic[S]):
    """The members of one interval, in the order of their slots."""

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
        self._soonest = SOONEST * interval
        self._began = now
        """When the turn began that is under way."""
        self._offsets: list[float] = []
        self._members: list[S] = []
        self._next = 0
        self._given = 0
        self._freed: list[float] = []

    def __len__(self) -> int:
        return len(self._members)

    def add(self, members: Sequence[S]) -> None:
        """Give each a slot: those that are added together lie evenly and in their order.

        They begin at multiples of the golden ratio, which part a circle more evenly than chance
        does, however many there are.
        """
        self._given += 1
        begin, share = self._given * _GOLDEN, 1 / len(members)
        for number, member in enumerate(members):
            if self._freed:
                member.offset = self._freed.pop()
            else:
                member.offset = (begin + number * share) % 1.0 * self._interval
            at = bisect_left(self._offsets, member.offset)
            self._offsets.insert(at, member.offset)
            self._members.insert(at, member)
            if at < self._next:
                self._next += 1

    def remove(self, member: S) -> None:
        """Free the slot of a member."""
        at = self._members.index(member, bisect_left(self._offsets, member.offset))
        del self._offsets[at], self._members[at]
        if at < self._next:
            self._next -= 1
        self._freed.append(member.offset)

    @property
    def next_due(self) -> float:
        """When the next slot comes; infinity where there is none."""
        if not self._members:
            return math.inf
        if self._next < len(self._members):
            return self._began + self._offsets[self._next]
        return self._began + self._interval + self._offsets[0]

    def take(self, now: float, taken: list[S]) -> None:
        """Turn the ring; add to `taken` who is begun in its slot."""
        late = now - self.next_due
        if late > STANDSTILL_S:
            self._began += late
        else:
            late = 0.0
        offsets, members, soonest = self._offsets, self._members, self._soonest
        most = AT_ONCE + int(AT_ONCE_S * len(members) / self._interval)
        while members and most:
            most -= 1
            if self._next == len(members):
                self._next = 0
                self._began += self._interval
            due = self._began + offsets[self._next]
            if due > now:
                return
            member = members[self._next]
            self._next += 1
            if member.phase is IN_TURN:
                if due - member.due >= soonest:
                    member.due = due - late  # whoever counts lateness is to learn of it once
                    late = 0.0
                    member.phase = UNDER_WAY
                    taken.append(member)
            elif member.phase is UNDER_WAY and member.due < due:
                member.owed = due
