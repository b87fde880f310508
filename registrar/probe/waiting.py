"""Waits for what checks hear, for their deadlines, and for whoever wants the worker's attention."""

from __future__ import annotations

import math
import os
import select
from collections import deque
from collections.abc import Iterator

from registrar.probe.checked import OVER, Checked

_EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET


class Waiting:
    """Checks that may take their time. Only `wake` is for other threads."""

    def __init__(self) -> None:
        self._checks: dict[int, Checked] = {}
        self._deadlines: dict[float, deque[tuple[float, Checked]]] = {}
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)

    def wake(self) -> None:
        """End the `poll` that is waiting, or the next one."""
        os.eventfd_write(self._wake, 1)

    def poll(self, seconds: float | None) -> list[tuple[Checked, int]]:
        """Return what has happened, within so many seconds at most; None: however long it takes."""
        checks, found = self._checks, []
        for descriptor, happened in self._epoll.poll(seconds):
            if (checked := checks.get(descriptor)) is not None:
                found.append((checked, happened))
            elif descriptor == self._wake:
                os.eventfd_read(self._wake)
        return found

    def begin(self, checked: Checked) -> None:
        """Wait for a check that is under way. Raise OSError where no more may be waited for."""
        if checked.exchange is None:
            return
        descriptor = checked.exchange.fileno()
        self._epoll.register(descriptor, _EDGES)
        self._checks[descriptor] = checked
        timeout = checked.manner.check.timeout
        checked.deadline = checked.started + timeout
        deadlines = self._deadlines.get(timeout)
        if deadlines is None:
            deadlines = self._deadlines[timeout] = deque()
        deadlines.append((checked.deadline, checked))

    def end(self, checked: Checked) -> None:
        """Wait no more for a check that is waited for and whose exchange is still open."""
        if checked.exchange is not None:
            del self._checks[checked.exchange.fileno()]
        checked.deadline = OVER

    def next_deadline(self) -> float:
        """Return when one is over, infinity where there is none."""
        nearest = math.inf
        for deadlines in self._deadlines.values():
            while deadlines and deadlines[0][1].deadline != deadlines[0][0]:
                deadlines.popleft()  # it has ended in time
            if deadlines:
                nearest = min(nearest, deadlines[0][0])
        return nearest

    def overdue(self, now: float) -> Iterator[Checked]:
        """Yield those whose deadline is over, each once."""
        for deadlines in self._deadlines.values():
            while deadlines and deadlines[0][0] <= now:
                deadline, checked = deadlines.popleft()
                # Else it has ended in time, and another may be under way.
                if checked.deadline == deadline:
                    yield checked

    def all(self) -> list[Checked]:
        """Return those that are waited for."""
        return list(self._checks.values())

    def close(self) -> None:
        """Let go of everything, after the thread has ended."""
        self._epoll.close()
        os.close(self._wake)
