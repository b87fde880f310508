"""An engine whose checks the test plays: as the real one, but in the event loop, and its time.

It shares the cadence with the real one, and with nothing else; tests/contract holds both to the
same tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence

from registrar.counts import Durations, Tally
from registrar.files import Files
from registrar.metrics.catalogue import CHECK_LATENESS
from registrar.model import CheckResult, Outcome, Target
from registrar.probe.cadence import Cadence
from registrar.probe.engine import Report
from registrar.probe.probers import kind_of
from registrar.probe.ring import Slot

TICK_S = 0.001
"""Time stands still for less: the loop's own is rounded."""

Check = Callable[[Target], Awaitable[CheckResult]]


class _Member(Slot):
    """A target, and what of its checks is under way or wanted."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.check.interval)
        self.target = target
        self.durations: list[Sequence[Durations]] = []
        self.task: asyncio.Task[None] | None = None
        self.wanted: list[asyncio.Future[None]] = []
        self.answering: list[asyncio.Future[None]] = []


class SimulatedEngine:
    """Runs `check` for each target, at the cadence of the real engine, and reports every result."""

    def __init__(self, report: Report, check: Check) -> None:
        self._report = report
        self._check = check
        self._cadence: Cadence[_Member] = Cadence()
        self._members: dict[Target, _Member] = {}
        self._news = asyncio.Event()
        self._ending: set[asyncio.Task[None]] = set()
        self._running = asyncio.create_task(self._run())
        self.tallies: dict[str, Tally] = {}
        self.lateness = Durations(CHECK_LATENESS.buckets)

    def add(self, target: Target, durations: Sequence[Durations] = ()) -> None:
        """Check a target from now on."""
        if (member := self._members.get(target)) is not None:
            member.durations.append(durations)
            return
        member = self._members[target] = _Member(target)
        member.durations.append(durations)
        self._cadence.add([member], asyncio.get_running_loop().time())
        self._news.set()

    def remove(self, target: Target, durations: Sequence[Durations] = ()) -> None:
        """Stop checking a target; a check under way is given up."""
        member = self._members[target]
        del member.durations[next(n for n, d in enumerate(member.durations) if d is durations)]
        if member.durations:
            return
        del self._members[target]
        self._cadence.remove(member)
        self._give_up(member)
        self._tell(member.wanted + member.answering)

    async def renew(self, targets: Iterable[Target]) -> None:
        """Check each once more; return once all have been reported."""
        members = [self._members[target] for target in targets if target in self._members]
        futures = [asyncio.get_running_loop().create_future() for _ in members]
        for member, future in zip(members, futures, strict=True):
            member.wanted.append(future)
            self._begin_wanted(member)
        await asyncio.gather(*futures)

    def recheck(self, targets: Iterable[Target]) -> None:
        """Check each once more, and wait for nothing."""
        for target in targets:
            if (member := self._members.get(target)) is not None:
                member.wanted.append(asyncio.get_running_loop().create_future())
                self._begin_wanted(member)

    def tell_all(self, *, is_on: bool) -> None:
        """As ever."""

    async def aclose(self) -> None:
        """Stop checking; nothing is under way on return."""
        for target, member in list(self._members.items()):
            for durations in tuple(member.durations):
                self.remove(target, durations)
        self._running.cancel()
        await asyncio.gather(self._running, *self._ending, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._news.clear()
            for member in self._cadence.take(loop.time()):
                self._begin(member)
            due = self._cadence.next_due(loop.time())
            pause = None if due == math.inf else max(TICK_S, due - loop.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    def _begin_wanted(self, member: _Member) -> None:
        if self._cadence.take_out_of_turn(member, asyncio.get_running_loop().time()):
            self._begin(member)

    def _begin(self, member: _Member) -> None:
        member.answering, member.wanted = member.wanted, []
        member.task = asyncio.create_task(self._run_check(member))

    async def _run_check(self, member: _Member) -> None:
        began = asyncio.get_running_loop().time()
        result = await self._check(member.target)
        member.task = None
        tally = self.tallies.setdefault(kind_of(member.target.check.probe), Tally())
        setattr(tally, result.outcome.value, getattr(tally, result.outcome.value) + 1)
        if result.outcome in {Outcome.PASSED, Outcome.FAILED}:
            for durations in member.durations:
                for histogram in durations:
                    histogram.add(asyncio.get_running_loop().time() - began)
        self._report(member.target, result)
        self._tell(member.answering)
        if self._members.get(member.target) is member:
            self._cadence.hand_back(member)
            self._news.set()
            if member.wanted:
                self._begin_wanted(member)

    @staticmethod
    def _tell(waiting: list[asyncio.Future[None]]) -> None:
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def _give_up(self, member: _Member) -> None:
        if (task := member.task) is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()


def played(check: Check) -> Callable[[Report, Files], SimulatedEngine]:
    """Return what makes an engine whose checks end as `check` says."""

    def made(report: Report, files: Files) -> SimulatedEngine:
        del files
        return SimulatedEngine(report, check)

    return made
