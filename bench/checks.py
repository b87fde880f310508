"""What health checks cost beside HAProxy's, how late they come, how evenly, and in how much memory.

HAProxy and the engine check the same nginx, one after the other, each backend at an address of its
own. Prints tables and the machine's facts, and as its last line JSON: `{"figures": {...}}`. Needs
root.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import FrameType
from typing import NoReturn, TypeVar

import click

from bench.check_process import BIN_S, Order
from bench.check_sides import Engine, Haproxy, Side, cpu_s, haproxy_version
from bench.check_site import NAME, PORTS, CheckSite, Pulse
from tests.lab.parts import CHECK_PACKAGES, install

INTERVAL_S = 2.0
CASES = (("tcp", 2000), ("tcp", 5000), ("http", 2000), ("http", 5000), ("https", 500))
"""What is checked, and so often a second."""

PARTS = ("tcp", "http", "https", "lateness", "memory", "holes")
SETTLING_S = 3.0
"""By then each backend has been checked, and has been news."""

SETTLING_TLS_S = 8.0
"""HAProxy's first handshakes come all at once, so that some are too late."""

MANY = 10_000
HOLES = 1000
FILES = 20_000
LONGEST_S = 880

Figures = dict[str, float]
S = TypeVar("S", bound=Side)
Make = Callable[[CheckSite, Order], Side]


@dataclass
class Runs:
    """What the rounds of one side have shown."""

    cpu_us: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    passed: list[float] = field(default_factory=list)
    burst: list[float] = field(default_factory=list)


class Bench:
    """All measurements, each so many seconds long."""

    def __init__(self, site: CheckSite, rounds: int, seconds: float) -> None:
        self._site = site
        self._rounds = rounds
        self._seconds = seconds

    def _order(
        self,
        kind: str,
        rate: float,
        *,
        already: int = 0,
        holes: int = 0,
        is_observed: bool = False,
        is_judged: bool = False,
        is_busy: bool = False,
    ) -> Order:
        return Order(
            kind=kind,
            port=PORTS[kind],
            backends=int(rate * INTERVAL_S),
            interval=INTERVAL_S,
            ca_file=str(self._site.ca_file),
            name=NAME,
            already=already,
            holes=holes,
            is_judged=is_judged,
            is_observed=is_observed,
            is_busy=is_busy,
        )

    # --- beside HAProxy --------------------------------------------------------------------------

    def compare(self, kinds: tuple[str, ...]) -> Figures:
        """Compare what a check costs."""
        print(f"CPU per check, us; {self._rounds} rounds of {self._seconds:g} s: min, median, max")
        print(
            f"{'':12} {'HAProxy':^20} {'engine':^20} {'ratio':^17} {'burst':^11} {'done':^11} {'passed':^11}"
        )
        cases = [case for case in CASES if case[0] in kinds]
        found = {case: (Runs(), Runs()) for case in cases}
        for number in range(self._rounds):
            for kind, rate in cases:
                haproxy, engine = found[kind, rate]
                pairs: list[tuple[Make, Runs]] = [(Haproxy, haproxy), (Engine, engine)]
                # Each is the first as often as the other.
                for make, runs in pairs[:: 1 if number % 2 == 0 else -1]:
                    self._run(make, self._order(kind, rate), rate, runs)
        return {
            f"{kind}_{rate}_ratio": _row(f"{kind} {rate}/s", *runs)
            for (kind, rate), runs in found.items()
        }

    def _run(self, make: Make, order: Order, rate: int, runs: Runs) -> None:
        dropped = self._site.dropped()
        with Pulse(self._site) as pulse, _made(make, self._site, order) as side:
            time.sleep(SETTLING_TLS_S if order.kind == "https" else SETTLING_S)
            side.begin()
            before, opened = cpu_s(side.pid), self._site.opened()
            time.sleep(self._seconds)
            spent, opened = cpu_s(side.pid) - before, self._site.opened() - opened
            done, passed = side.done()
        assert abs(done / opened - 1) < 0.02, f"{done} checks, {opened} connections"
        assert passed > 0.5, f"{passed} of all have passed"
        assert self._site.dropped() == dropped, "nginx did not keep up"
        runs.cpu_us.append(1e6 * spent / done)
        runs.share.append(done / (rate * self._seconds))
        runs.passed.append(passed)
        runs.burst.append(pulse.peak() / rate)

    # --- the engine alone ------------------------------------------------------------------------

    def lateness(self) -> Figures:
        """Say how late checks come, and how evenly from the very first."""
        print("\nTCP, the engine alone; ms")
        print(f"{'':22} {'late p50':>9} {'p99':>7} {'max':>7} {'gap':>7} {'slip':>7} {'burst':>6}")
        bursts, figures = [], {}
        for name, rate, is_busy in (
            ("", 2000, False),
            ("lateness_idle_p99_ms", 5000, False),
            ("lateness_busy_p99_ms", 5000, True),
        ):
            order = self._order("tcp", rate, is_observed=True, is_busy=is_busy)
            with _made(Engine, self._site, order) as side:
                late, burst = self._observe(side, order, f"{'busy' if is_busy else 'idle'} loop")
            if name:
                figures[name] = late
            if not is_busy:
                bursts.append(burst)
        return {**figures, "burst_peak_to_mean": round(max(bursts), 3)}

    def holes(self) -> Figures:
        """Say what backends that never answer do to the others."""
        order = self._order("tcp", MANY / INTERVAL_S, is_observed=True, holes=HOLES)
        with _made(Engine, self._site, order) as side:
            self._observe(side, order, f"{HOLES} of {MANY} lost")
        return {}

    def _observe(self, side: Engine, order: Order, what: str) -> tuple[float, float]:
        """Print how late and how evenly; return p99 and burst."""
        time.sleep(SETTLING_S)
        side.begin()
        before, first = cpu_s(side.pid), side.answer()
        time.sleep(self._seconds)
        spent, last = cpu_s(side.pid) - before, side.answer()
        rate = order.backends / order.interval
        burst = max(last.bins) / (rate * BIN_S)
        late = [1000 * seconds for seconds in last.late]
        p50, p99 = late[len(late) // 2], late[len(late) * 99 // 100]
        shown = p50, p99, late[-1], 1000 * last.gap, 1000 * last.slip
        print(
            f"{f'{rate:.0f}/s, {what}':22} {shown[0]:9.2f}",
            *(f"{one:7.2f}" for one in shown[1:]),
            f"{burst:6.2f}",
        )
        if order.holes:
            good = (order.backends - order.holes) / order.interval * self._seconds
            lost = order.holes / order.interval * self._seconds
            print(
                f"  passed {(last.passed - first.passed) / good:.3f} of what was due,"
                f" lost {(last.silent - first.silent) / lost:.3f};"
                f" failed {last.failed}, not run {last.unknown};"
                f" CPU {100 * spent / self._seconds:.0f} %"
            )
        return round(p99, 2), burst

    def memory(self) -> Figures:
        """Say by how much a backend makes the process grow."""
        print(f"\nmemory of each of {MANY} backends")
        figures = {}
        for name, what in (("bytes_per_backend", "engine"), ("", "and what Services know of them")):
            order = self._order("tcp", MANY / INTERVAL_S, already=MANY // 5, is_judged=not name)
            with _made(Engine, self._site, order) as side:
                # That it has checked each twice is known where it has checked one more.
                while (answer := side.answer()).passed <= 2 * (order.already + order.backends):
                    assert answer.passed == answer.done, answer
                    time.sleep(0.5)
            print(f"  {what:32} {answer.grown / MANY:6.0f} bytes")
            if name:
                figures[name] = float(round(answer.grown / MANY))
        return figures


def _row(name: str, haproxy: Runs, engine: Runs) -> float:
    ratios = [b / a for a, b in zip(haproxy.cpu_us, engine.cpu_us, strict=True)]

    def spread(values: list[float], form: str) -> str:
        return " ".join(format(one, form) for one in (min(values), median(values), max(values)))

    print(
        f"{name:12} {spread(haproxy.cpu_us, '6.1f')} {spread(engine.cpu_us, '6.1f')}"
        f" {spread(ratios, '5.2f')}",
        *(f"{max(one.burst):5.2f}" for one in (haproxy, engine)),
        *(f"{min(one.share):5.3f}" for one in (haproxy, engine)),
        *(f"{min(one.passed):5.3f}" for one in (haproxy, engine)),
    )
    return round(median(ratios), 3)


@contextlib.contextmanager
def _made(make: Callable[[CheckSite, Order], S], site: CheckSite, order: Order) -> Iterator[S]:
    side = make(site, order)
    try:
        yield side
    finally:
        side.end()


def _give_up(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(f"ended by {signal.Signals(number).name}")


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(hard, FILES)))


@click.command()
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="Measure these; else all.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=10.0, show_default=True, help="For each measurement.")
def main(only: tuple[str, ...], rounds: int, seconds: float) -> None:
    """Measure."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _give_up)  # so that nothing is left behind
    signal.alarm(LONGEST_S)
    _allow_files()
    install(CHECK_PACKAGES)
    wanted = only or PARTS
    print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}")
    print(f"Python {platform.python_version()}, {haproxy_version()}")
    figures: Figures = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        CheckSite.up(Path(folder), FILES) as site,
    ):
        bench = Bench(site, rounds, seconds)
        if kinds := tuple(one for one in ("tcp", "http", "https") if one in wanted):
            figures |= bench.compare(kinds)
        for part in ("lateness", "holes", "memory"):
            if part in wanted:
                figures |= getattr(bench, part)()
    print(json.dumps({"figures": figures}))


if __name__ == "__main__":
    main()
