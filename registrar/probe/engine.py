"""Health checks as the main loop sees them: it says what to check, and hears what is news."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from registrar.context import FileWatcher
from registrar.counts import Durations, Tally
from registrar.files import changes
from registrar.metrics.catalogue import CHECK_LATENESS
from registrar.model import Address, CheckResult, HealthCheck, Target
from registrar.probe.checked import Checked, Manner, News, Told
from registrar.probe.guarded import Guarded
from registrar.probe.probers import kind_of, prober_of
from registrar.probe.worker import Worker
from registrar.threads import in_thread

Report = Callable[[Target, CheckResult], bool]
"""Takes a result. Returns True where it is a silence, and the same again would change nothing."""

Whereabouts = Callable[[Target], tuple[Address, int]]


def as_found(target: Target) -> tuple[Address, int]:
    """Return the very address of a target, as its source gave it, and its port."""
    return target.address, target.port


@dataclass(slots=True)
class _Kept:
    """What is kept of a HealthCheck; `held` waits until its prober has read its files."""

    manner: Manner
    users: int = 0
    reading: asyncio.Task[None] | None = None
    held: set[Checked] | None = None


class CheckEngine:
    """Checks targets in a thread. `report` gets what is news, in the event loop, in batches.

    `whereabouts` says where a target is dialled. To be made in the event loop; `aclose` ends it.
    """

    def __init__(
        self, report: Report, files: FileWatcher, whereabouts: Whereabouts = as_found
    ) -> None:
        self._report = report
        self._files = files
        self._whereabouts = whereabouts
        self._loop = asyncio.get_running_loop()
        self._kept: dict[HealthCheck, _Kept] = {}
        self._questions: dict[Target, Checked] = {}
        self._tallies: dict[str, Tally] = {}
        self._renewing: set[asyncio.Event] = set()
        self._lateness = Durations(CHECK_LATENESS.buckets)
        self._worker = Worker(self._deliver, self._lateness)
        self._thread = threading.Thread(target=self._worker.run, name="checks", daemon=True)
        self._thread.start()

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """How many checks of each type have ended how."""
        return self._tallies

    @property
    def lateness(self) -> Durations:
        """By how many seconds checks have begun after they were due."""
        return self._lateness

    def add(self, target: Target, durations: tuple[Durations, ...] = ()) -> None:
        """Check a target from now on; `durations` are told how long each answer took.

        The first check comes at once where few are added. Where the same is checked already, it is
        reported anew.
        """
        asked = _question(target)
        checked = self._questions.get(asked)
        if checked is not None:
            checked.join(target, durations)
            self._worker.order(partial(self._worker.tell_anew, checked))
            return
        kept = self._keep(asked.check)
        kept.users += 1
        checked = self._questions[asked] = Checked(kept.manner, self._whereabouts(asked))
        checked.join(target, durations)
        if kept.held is not None:
            kept.held.add(checked)
        else:
            self._worker.order(partial(self._worker.add, checked))

    def remove(self, target: Target, durations: tuple[Durations, ...] = ()) -> None:
        """Stop checking a target as it was added; a check under way is given up."""
        asked = _question(target)
        checked = self._questions[asked]
        checked.leave(target, durations)
        if checked.askers:
            return
        del self._questions[asked]
        kept = self._kept[asked.check]
        kept.users -= 1
        if kept.held is not None and checked in kept.held:
            kept.held.remove(checked)
        else:
            self._worker.order(partial(self._worker.remove, checked))
        if not kept.users:
            del self._kept[asked.check]
            if kept.reading is not None:
                kept.reading.cancel()

    async def renew(self, targets: Iterable[Target]) -> None:
        """Check each once more, beside its cadence; return once all have been reported.

        What was removed meanwhile is not waited for, and nothing is once the engine ends.
        """
        left = self._asked(targets)
        if not left:
            return
        done = asyncio.Event()

        def told(checked: Checked) -> None:
            left.discard(checked)
            if not left:
                done.set()

        for checked in tuple(left):
            self._worker.order(partial(self._worker.renew, checked, partial(told, checked)))
        self._renewing.add(done)
        try:
            await done.wait()
        finally:
            self._renewing.remove(done)

    def recheck(self, targets: Iterable[Target]) -> None:
        """Check each once more, beside its cadence, and wait for nothing."""
        for checked in self._asked(targets):
            self._worker.order(partial(self._worker.renew, checked, _nothing))

    def tell_all(self, *, is_on: bool) -> None:
        """Report every outcome, news or not, for as long as it is on."""
        self._worker.tells_all = is_on

    async def aclose(self) -> None:
        """Stop checking; nothing is under way on return."""
        readings = [kept.reading for kept in self._kept.values() if kept.reading is not None]
        for reading in readings:
            reading.cancel()
        await asyncio.gather(*readings, return_exceptions=True)
        self._worker.order(self._worker.end)
        self._thread.join()
        for done in self._renewing:
            done.set()
        self._worker.close()

    def _asked(self, targets: Iterable[Target]) -> set[Checked]:
        found = (self._questions.get(_question(target)) for target in targets)
        return {checked for checked in found if checked is not None}

    def _keep(self, check: HealthCheck) -> _Kept:
        kept = self._kept.get(check)
        if kept is None:
            prober = prober_of(check)
            tally = self._tallies.setdefault(kind_of(check.probe), Tally())
            files = prober.files
            guarded = prober if files is None else Guarded(prober, files)
            kept = self._kept[check] = _Kept(Manner(check, guarded, tally))
            if files is not None:
                kept.held = set()
                kept.reading = asyncio.create_task(self._keep_read(kept, files))
        return kept

    async def _keep_read(self, kept: _Kept, files: Sequence[Path]) -> None:
        """Have a prober read its files now, and again whenever they change."""
        async for _ in changes(self._files, files):
            await in_thread(kept.manner.prober.read)
            held, kept.held = kept.held or (), None
            for checked in held:
                self._worker.order(partial(self._worker.add, checked))

    def _deliver(self, news: News, told: Told) -> None:
        self._loop.call_soon_threadsafe(self._hear, news, told)

    def _hear(self, news: News, told: Told) -> None:
        for checked, result in news:
            askers = checked.askers  # none where it was removed meanwhile
            who = askers if len(askers) < 2 else dict.fromkeys(askers)
            said = [self._report(target, result) for target in who]  # each, whatever one says
            checked.is_settled = all(said)
        for one in told:
            one()


def _nothing() -> None:
    """Tell nobody."""


def _question(target: Target) -> Target:
    """Return what is really asked: another port than the one that is served, perhaps."""
    port = target.check.port
    return target if port is None else replace(target, port=port)
