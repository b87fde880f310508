"""Health checks as the main loop sees them: it says what to check, and hears what is news."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from registrar.durations import Durations
from registrar.model import Address, CheckResult, HealthCheck, Target
from registrar.probe.exchange import Prober
from registrar.probe.probers import kind_of, prober_of
from registrar.probe.worker import Checked, News, Tally, Told, Worker

Report = Callable[[Target, CheckResult], None]
Whereabouts = Callable[[Target], tuple[Address, int]]

LATENESS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


def as_found(target: Target) -> tuple[Address, int]:
    """Return the very address of a target, as its source gave it, and the port to check."""
    return target.address, target.port


class CheckEngine:
    """Checks targets in a thread. `report` gets what is news, in the event loop, in batches.

    `whereabouts` says where a target is dialled. To be made in the event loop; `aclose` ends it.
    """

    def __init__(self, report: Report, whereabouts: Whereabouts = as_found) -> None:
        self._report = report
        self._whereabouts = whereabouts
        self._loop = asyncio.get_running_loop()
        self._probers: dict[HealthCheck, Prober] = {}
        self._targets: set[Target] = set()
        self._tallies: dict[str, Tally] = {}
        self.lateness = Durations(LATENESS_S)
        """By how many seconds checks have begun after they were due."""
        self._worker = Worker(self._deliver, self.lateness)
        self._thread = threading.Thread(target=self._worker.run, name="checks", daemon=True)
        self._thread.start()

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """How many checks of each type have ended how."""
        return self._tallies

    def add(self, target: Target, durations: Sequence[Durations] = ()) -> None:
        """Check a target from now on; `durations` are told how long each answer took.

        The first check comes at once where few are added. One that is checked already is
        reported anew.
        """
        check = target.check
        prober = self._probers.get(check)
        if prober is None:
            prober = self._probers[check] = prober_of(check)
        tally = self._tallies.setdefault(kind_of(check.probe), Tally())
        place = self._whereabouts(target)
        self._targets.add(target)
        checked = Checked(target, place, prober, tally, durations)
        self._worker.order(partial(self._worker.add, checked))

    def remove(self, target: Target) -> None:
        """Stop checking a target; a check under way is given up."""
        self._targets.remove(target)
        self._worker.order(partial(self._worker.remove, target))

    async def renew(self, targets: Iterable[Target]) -> None:
        """Check each once more, beside its cadence; return once all have been reported."""
        left = set(targets) & self._targets
        if not left:
            return
        done = asyncio.Event()

        def told(target: Target) -> None:
            left.discard(target)
            if not left:
                done.set()

        for target in tuple(left):
            self._worker.order(partial(self._worker.renew, target, partial(told, target)))
        await done.wait()

    async def aclose(self) -> None:
        """Stop checking; nothing is under way on return."""
        self._worker.order(self._worker.end)
        self._thread.join()

    def _deliver(self, news: News, told: Told) -> None:
        self._loop.call_soon_threadsafe(self._hear, news, told)

    def _hear(self, news: News, told: Told) -> None:
        for target, result in news:
            if target in self._targets:  # it may have been removed meanwhile
                self._report(target, result)
        for one in told:
            one()
