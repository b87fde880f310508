"""When each check is due: at a fixed cadence, never in bursts, never twice at once.

Pure: it is told the time (monotonic seconds), so that it runs in virtual time as well. Members of
one interval stand on a ring, each in a slot of its own that lies evenly among the others', and the
ring turns once an interval. After a standstill it goes on from where it stood: nothing is lost,
doubled or crowded.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Generic, TypeVar

from registrar.probe.ring import IN_TURN, NEVER, SOON, UNDER_WAY, Phase, Ring, Slot

FIRST_AT_ONCE = 10
FIRST_PER_S = 100.0
FIRST_SHARE = 0.05
"""So many first checks come at once, then so many a second, or this share of all where that is
more; beside those that come in their slot."""

S = TypeVar("S", bound=Slot)


class Cadence(Generic[S]):
    """All members. A member that was taken is under way until it is handed back."""

    def __init__(self) -> None:
        self._rings: dict[float, Ring[S]] = {}
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
            member.phase = IN_TURN
            by_interval.setdefault(member.interval, []).append(member)
            self._new.append(member)
        for interval, group in by_interval.items():
            if interval not in self._rings:
                self._rings[interval] = Ring(interval, now)
            self._rings[interval].add(group)

    def remove(self, member: S) -> None:
        """Check a member no more. It may be under way; then it is not to be handed back."""
        member.phase = Phase.GONE
        self._rings[member.interval].remove(member)

    def take(self, now: float) -> list[S]:
        """Return what is due, which is under way from now on."""
        taken: list[S] = []
        while self._soon and self._soon[0][0] <= now:
            due, _, member = heappop(self._soon)
            if member.phase is SOON:
                taken.append(_begun(member, due))
        for ring in self._rings.values():
            ring.take(now, taken)
        if self._new:
            self._take_new(now, taken)
        self._looked = now
        return taken

    def take_out_of_turn(self, member: S, now: float) -> bool:
        """Have a member under way from now on. Return whether that goes: it may be so already."""
        if member.phase is UNDER_WAY:
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
            member.phase = IN_TURN

    def next_due(self, now: float) -> float:
        """Return when there may be something to take; infinity if there are no members."""
        times = [ring.next_due for ring in self._rings.values()]
        if self._soon:
            times.append(self._soon[0][0])
        if self._new:
            times.append(now + 1 / FIRST_PER_S)
        return min(times, default=math.inf)

    def _plan(self, member: S, due: float) -> None:
        member.phase = SOON
        self._count += 1
        heappush(self._soon, (due, self._count, member))

    def _take_new(self, now: float, taken: list[S]) -> None:
        more = (now - self._looked) * max(FIRST_PER_S, FIRST_SHARE * self.rate)
        self._spare = min(self._spare + more, float(FIRST_AT_ONCE))
        while self._new:
            member = self._new[0]
            if member.phase is IN_TURN and member.due == NEVER:  # neither removed nor begun
                if self._spare < 1:
                    return
                self._spare -= 1
                taken.append(_begun(member, now))
            self._new.popleft()


def _begun(member: S, due: float) -> S:
    member.due = due
    member.phase = UNDER_WAY
    member.owed = None
    return member
