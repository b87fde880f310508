"""When each check is due: at a fixed cadence, never in bursts, never twice at once.

Pure: it is told the time (monotonic seconds), so that it runs in virtual time as well. Members of
one interval stand on a ring, each in a slot of its own that lies evenly among the others', and the
ring turns once an interval. After a standstill it goes on from where it stood: nothing is lost,
doubled or crowded.
"""

from __future__ import annotations

import enum
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Generic, TypeVar

FIRST_AT_ONCE = 10
FIRST_PER_S = 100.0
FIRST_SHARE = 0.05
"""So many first checks come at once, then so many a second, or this share of all where that is
more; beside those that come in their slot."""

STANDSTILL_S = 0.05
"""What is late by more is not made up for: the ring has stood still."""

AT_ONCE_S = 0.025
AT_ONCE = 5
"""What is late by less is begun by and by: so many seconds' worth at one look, and some more."""

SOONEST = 0.1
"""The slot that follows a check out of turn is passed over if it is nearer than that many
intervals."""

_GOLDEN = (5**0.5 - 1) / 2


class Place(enum.Enum):
    """Where a member is between its checks."""

    IN_TURN = enum.auto()
    SOON = enum.auto()
    UNDER_WAY = enum.auto()
    GONE = enum.auto()


_IN_TURN, _SOON, _UNDER_WAY = Place.IN_TURN, Place.SOON, Place.UNDER_WAY


class Slot:
    """One member: what is checked every `interval` seconds. To be inherited from.

    `due` is when the check that was taken last was due; the rest is the Cadence's own.
    """

    __slots__ = ("due", "interval", "is_new", "offset", "owed", "place", "soonest")

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.soonest = SOONEST * interval
        self.due = -math.inf
        self.offset = 0.0
        self.place = Place.GONE
        self.is_new = False
        self.owed: float | None = None


S = TypeVar("S", bound=Slot)


class Cadence(Generic[S]):
    """All members. A member that was taken is under way until it is handed back."""

    def __init__(self) -> None:
        self._rings: dict[float, _Ring[S]] = {}
        self._soon: list[tuple[float, int, S]] = []
        self._count = 0
        self._new: deque[S] = deque()
        self._spare = float(FIRST_AT_ONCE)
        self._looked = -math.inf

    @property
    def rate(self) -> float:
        """Checks a second that the members ask for."""
        return sum(len(ring) / interval for interval, ring in self._rings.items())

    def add(self, members: Iterable[S], now: float) -> None:
        """Have members checked from now on, the first time at once where few are added."""
        by_interval: dict[float, list[S]] = {}
        for member in members:
            member.place = _IN_TURN
            member.is_new = True
            by_interval.setdefault(member.interval, []).append(member)
            self._new.append(member)
        for interval, group in by_interval.items():
            if interval not in self._rings:
                self._rings[interval] = _Ring(interval, now)
            self._rings[interval].add(group)

    def remove(self, member: S) -> None:
        """Check a member no more. It may be under way; then it is not to be handed back."""
        member.place = Place.GONE
        member.is_new = False
        self._rings[member.interval].remove(member)

    def take(self, now: float) -> list[S]:
        """Return what is due, which is under way from now on."""
        taken: list[S] = []
        while self._soon and self._soon[0][0] <= now:
            due, _, member = heappop(self._soon)
            if member.place is _SOON:
                taken.append(_begun(member, due))
        for ring in self._rings.values():
            taken += ring.take(now)
        if self._new:
            self._take_new(now, taken)
        self._looked = now
        return taken

    def take_out_of_turn(self, member: S, now: float) -> bool:
        """Have a member under way from now on. Return whether that goes: it may be so already."""
        if member.place is _UNDER_WAY:
            return False
        _begun(member, now)
        return True

    def hand_back(self, member: S, soon: float | None = None) -> None:
        """Plan the next check of one that is no longer under way: in its next slot.

        With `soon`, so many seconds after the last one was due.
        """
        if soon is not None:
            self._plan(member, member.due + soon)
        elif member.owed is not None:
            self._plan(member, member.owed)
        else:
            member.place = _IN_TURN

    def next_due(self, now: float) -> float:
        """Return when there may be something to take; infinity if there are no members."""
        times = [ring.next_due for ring in self._rings.values()]
        if self._soon:
            times.append(self._soon[0][0])
        if self._new:
            times.append(now + 1 / FIRST_PER_S)
        return min(times, default=math.inf)

    def _plan(self, member: S, due: float) -> None:
        member.place = _SOON
        self._count += 1
        heappush(self._soon, (due, self._count, member))

    def _take_new(self, now: float, taken: list[S]) -> None:
        more = (now - self._looked) * max(FIRST_PER_S, FIRST_SHARE * self.rate)
        self._spare = min(self._spare + more, float(FIRST_AT_ONCE))
        while self._new:
            if self._new[0].is_new:  # neither removed nor begun in its slot
                if self._spare < 1:
                    return
                self._spare -= 1
                taken.append(_begun(self._new[0], now))
            self._new.popleft()


class _Ring(Generic[S]):
    """The members of one interval, in the order of their slots."""

    def __init__(self, interval: float, now: float) -> None:
        self._interval = interval
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

    def take(self, now: float) -> Iterator[S]:
        """Turn the ring; yield who is begun in its slot."""
        late = now - self.next_due
        if late > STANDSTILL_S:
            self._began += late
        else:
            late = 0.0
        offsets, members = self._offsets, self._members
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
            if member.place is _IN_TURN:
                if due - member.due >= member.soonest:
                    member.due = due - late  # whoever counts lateness is to learn of it once
                    late = 0.0
                    member.place = _UNDER_WAY
                    member.is_new = False
                    yield member
            elif member.place is _UNDER_WAY and member.due < due:
                member.owed = due


def _begun(member: S, due: float) -> S:
    member.due = due
    member.place = _UNDER_WAY
    member.is_new = False
    member.owed = None
    return member
