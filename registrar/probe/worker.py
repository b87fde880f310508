"""Runs all checks in a thread of its own, with no task, future or timer a check.

It looks at the world every few milliseconds: what has happened is taken in one call, and what is
due is begun in one go. To wake up for each event would cost more.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Callable

import structlog

from registrar.counts import Durations
from registrar.model import CheckResult, Outcome
from registrar.probe.cadence import Cadence
from registrar.probe.checked import OVER, Checked, News, Told, fast_interval
from registrar.probe.results import not_run
from registrar.probe.ring import Phase
from registrar.probe.spare import SPARE
from registrar.probe.waiting import Waiting

TICK_S = 0.007
TICKING_RATE = 400.0
"""Below so many checks a second it is cheap to wake up for each event, and told more exactly."""

YOUNG_S = 3.5 * TICK_S
"""Most checks have ended by then; until then they are looked at in every tick."""

SETTLED_S = 0.25
"""Silences that change nothing any more are told of one by one, with such pauses."""

_GONE = Phase.GONE
_PASSED, _FAILED, _SILENT = Outcome.PASSED, Outcome.FAILED, Outcome.SILENT
_LONGEST_S = 3600.0
_NOT_RUN = not_run("internal error")

log = structlog.get_logger()


class Worker:
    """The thread's own part. `deliver` is called in the thread, with what is news.

    An outcome is no news that only says once more what the ones before it have said.
    """

    def __init__(self, deliver: Callable[[News, Told], None], lateness: Durations) -> None:
        self._deliver = deliver
        self._lateness = lateness
        self._cadence: Cadence[Checked] = Cadence()
        self._waiting = Waiting()
        self._orders: deque[Callable[[], None]] = deque()
        self._renewals: deque[Checked] = deque()
        self._wanted: dict[Checked, Told] = {}
        self._answering: dict[Checked, Told] = {}
        self._young: list[Checked] = []
        self._added: list[Checked] = []
        self._news: News = []
        self._told: Told = []
        self._defects: set[type[Exception]] = set()
        self._silenced_until = 0.0
        self.tells_all = False
        """Whether every outcome is told, news or not."""
        self._is_ending = False
        self._is_waiting = False
        self._is_ticking = False

    def order(self, order: Callable[[], None]) -> None:
        """Have something called in the thread, at its next look. For other threads to call."""
        self._orders.append(order)
        if self._is_waiting:
            self._waiting.wake()

    # --- orders ----------------------------------------------------------------------------------

    def add(self, checked: Checked) -> None:
        """Check a target from now on."""
        self._added.append(checked)

    def tell_anew(self, checked: Checked) -> None:
        """Take the next results for news, whatever they are."""
        checked.repeats = 0

    def remove(self, checked: Checked) -> None:
        """Check a target no more; a check under way is given up."""
        self._take_in(time.monotonic())
        self._cadence.remove(checked)
        self._hang_up(checked)
        for told in (self._wanted, self._answering):
            self._told += told.pop(checked, ())

    def renew(self, checked: Checked, told: Callable[[], None]) -> None:
        """Check a target out of turn; `told` is delivered after the result."""
        self._take_in(time.monotonic())
        if checked.phase is _GONE:  # or it waits until files have been read
            self._told.append(told)
        elif checked in self._wanted:
            self._wanted[checked].append(told)
        else:
            self._wanted[checked] = [told]
            self._renewals.append(checked)

    def end(self) -> None:
        """Give up everything, and leave the thread."""
        self._is_ending = True

    # --- the thread ------------------------------------------------------------------------------

    def run(self) -> None:
        """Look at the world again and again, until told to end."""
        looked = time.monotonic()
        while not self._is_ending:
            events = self._wait(looked)
            looked = time.monotonic()
            try:
                self._look(events, looked)
            except Exception as error:  # noqa: BLE001  a defect must not end all checks for good
                self._note(error)
        for checked in (*self._waiting.all(), *self._young):
            self._hang_up(checked)
        SPARE.clear()

    def close(self) -> None:
        """Let go of everything, after the thread has ended."""
        self._waiting.close()

    def _wait(self, looked: float) -> list[tuple[Checked, int]]:
        """Return what has happened, when it is time to look."""
        until = looked + TICK_S if self._is_ticking else looked
        if not self._renewals and not self._young:
            self._is_waiting = True  # said before the orders are looked at: none is to be missed
            next_time = min(self._cadence.next_due(looked), self._waiting.next_deadline())
            pause = max(until, next_time) - time.monotonic()
            if not self._orders and pause > 0:
                events = self._waiting.poll(pause if pause < _LONGEST_S else None)
                self._is_waiting = False
                return events
            self._is_waiting = False
        elif (pause := until - time.monotonic()) > 0:
            time.sleep(pause)
        return self._waiting.poll(0)

    def _look(self, events: list[tuple[Checked, int]], now: float) -> None:
        for checked, happened in events:
            self._go_on(checked, happened, now)
        if self._young:
            self._look_at_young(now)
        for checked in self._waiting.overdue(now):
            self._end_overdue(checked, now)
        if self._orders:
            while self._orders:
                self._orders.popleft()()
            self._take_in(now)
            self._is_ticking = self._cadence.rate > TICKING_RATE
        for checked in self._cadence.take(now):
            self._begin(checked, now)
        if self._renewals:
            self._begin_renewals(now)
        if self._news or self._told:
            news, told = self._news, self._told
            self._news, self._told = [], []
            self._deliver(news, told)

    def _take_in(self, now: float) -> None:
        # Those that are added together are spread evenly.
        if self._added:
            self._cadence.add(self._added, now)
            self._added = []

    def _begin(self, checked: Checked, now: float) -> None:
        self._lateness.add(now - checked.due)
        checked.started = now
        if self._wanted and (told := self._wanted.pop(checked, None)) is not None:
            self._answering[checked] = told
        try:
            begun = checked.manner.prober.begin(checked)
        except Exception as error:  # noqa: BLE001  nor the other checks
            self._note(error, checked)
            begun = _NOT_RUN
        if isinstance(begun, CheckResult):
            self._end(checked, begun, now)
            return
        checked.exchange = begun
        if self._is_ticking:
            self._young.append(checked)
        else:
            self._await(checked, now)

    def _look_at_young(self, now: float) -> None:
        """Look at what was begun a tick or two ago: most have ended, and never see the epoll."""
        young, self._young = self._young, []
        poller = select.poll()
        found: dict[int, Checked] = {}
        for checked in young:
            if (exchange := checked.exchange) is not None:  # else it was given up
                descriptor = exchange.fileno()
                found[descriptor] = checked
                poller.register(descriptor, exchange.wants)
        for descriptor, happened in poller.poll(0):
            checked = found.pop(descriptor)
            self._go_on(checked, happened, now)
            if checked.exchange is None:
                continue
            if now - checked.started < YOUNG_S:
                self._young.append(checked)
            else:
                self._await(checked, now)
        for checked in found.values():
            self._await(checked, now)

    def _await(self, checked: Checked, now: float) -> None:
        """Wait for a check that may take its time."""
        try:
            self._waiting.begin(checked)
        except OSError as error:  # so many may be waited for by one user, and no more
            self._end(checked, not_run(os.strerror(error.errno or 0).lower()), now)

    def _go_on(self, checked: Checked, happened: int, now: float) -> None:
        exchange = checked.exchange
        try:
            result = _NOT_RUN if exchange is None else exchange.ready(happened)
        except Exception as error:  # noqa: BLE001  as above
            self._note(error, checked)
            result = _NOT_RUN
        if result is not None:
            self._end(checked, result, now)

    def _end_overdue(self, checked: Checked, now: float) -> None:
        if checked.exchange is not None:
            result = checked.exchange.overdue(checked.manner.check.timeout)
            self._end(checked, result, now, answered=False)

    def _begin_renewals(self, now: float) -> None:
        # A resync is to be no burst either: it adds no more than is checked anyway.
        for _ in range(min(len(self._renewals), 1 + int(self._cadence.rate * TICK_S))):
            checked = self._renewals.popleft()
            if checked not in self._wanted:  # a check in turn has come before, or it was removed
                continue
            if self._cadence.take_out_of_turn(checked, now):
                self._begin(checked, now)
            else:
                self._renewals.append(checked)

    def _end(
        self, checked: Checked, result: CheckResult, now: float, *, answered: bool = True
    ) -> None:
        self._hang_up(checked)
        outcome, manner = result.outcome, checked.manner
        tally = manner.tally
        if outcome is _PASSED:
            tally.passed += 1
        elif outcome is _FAILED:
            tally.failed += 1
        elif outcome is _SILENT:
            tally.silent += 1
        else:
            tally.unknown += 1
        if answered and (outcome is _PASSED or outcome is _FAILED):
            took = now - checked.started
            for one in checked.durations:
                one.add(took)
        if result is checked.result or result == checked.result:
            checked.repeats += 1
        else:
            checked.result = result
            checked.repeats = 1
        if (
            checked.repeats <= manner.enough
            or self.tells_all
            or (outcome is _SILENT and self._is_worth_telling(checked, now))
        ):
            self._news.append((checked, result))
        if self._answering:
            self._told += self._answering.pop(checked, ())
        fast = manner.check.fast_interval
        fast = None if fast is None else fast_interval(checked, outcome)
        self._cadence.hand_back(checked, fast)

    def _is_worth_telling(self, checked: Checked, now: float) -> bool:
        """Whether to tell of a silence once more: whether it counts depends on what else is silent.

        Where it is settled, one of all is told now and then, for a look at the others.
        """
        if not checked.is_settled:
            return True
        if now < self._silenced_until:
            return False
        self._silenced_until = now + SETTLED_S
        return True

    def _hang_up(self, checked: Checked) -> None:
        if (exchange := checked.exchange) is not None:
            if checked.deadline != OVER:
                self._waiting.end(checked)
                exchange.close()
            else:
                exchange.release()
            checked.exchange = None

    def _note(self, error: Exception, checked: Checked | None = None) -> None:
        if type(error) not in self._defects:  # a line per kind, not per target and check
            self._defects.add(type(error))
            backend = "" if checked is None else "{} port {}".format(*checked.at)
            log.error("check-internal-error", backend=backend, exc_info=error)
