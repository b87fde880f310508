"""What health checks cost beside HAProxy's, how late they come, how evenly, and in how much memory.

HAProxy and the engine check the same nginx, one after the other, each backend at an address of its
own. Prints tables and the machine's facts, and as its last line JSON: `{"figures": {...}}`. Needs
root.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import click
from msgspec.structs import replace

from bench.check_costs import SETTLING_S, Costs
from bench.check_observer import BIN_S
from bench.check_process import Order
from bench.check_sides import Engine, haproxy_version, running
from bench.check_site import INTERVAL_S, CheckSite
from bench.ending import end_in_order
from bench.report import cpu_s, facts, last_line
from tests.lab.parts import CHECK_PACKAGES, install

PARTS = ("tcp", "http", "https", "lateness", "memory", "holes")
MANY = 10_000
HOLES = 1000
FILES = 20_000
LONGEST_S = 890

Figures = dict[str, float]


class Alone:
    """The engine alone, measured for so many seconds."""

    def __init__(self, site: CheckSite, seconds: float) -> None:
        self._site = site
        self._seconds = seconds
        self._many = site.order("tcp", MANY / INTERVAL_S)

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
            order = replace(self._site.order("tcp", rate), is_observed=True, is_busy=is_busy)
            with running(Engine, self._site, order) as side:
                late, burst = self._observe(side, order, f"{'busy' if is_busy else 'idle'} loop")
            if name:
                figures[name] = late
            if not is_busy:
                bursts.append(burst)
        return {**figures, "burst_peak_to_mean": round(max(bursts), 3)}

    def holes(self) -> Figures:
        """Say what backends that never answer do to the others."""
        order = replace(self._many, is_observed=True, holes=HOLES)
        with running(Engine, self._site, order) as side:
            self._observe(side, order, f"{HOLES} of {MANY} lost")
        return {}

    def _observe(self, side: Engine, order: Order, what: str) -> tuple[float, float]:
        """Print how late and how evenly; return p99 and burst."""
        time.sleep(SETTLING_S)
        first, before = side.begin(), cpu_s(side.pid)
        time.sleep(self._seconds)
        last, spent = side.answer(), cpu_s(side.pid) - before
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
            order = replace(self._many, already=MANY // 5, is_judged=not name)
            with running(Engine, self._site, order) as side:
                # That it has checked each twice is known where it has checked one more.
                while (answer := side.answer()).passed <= 2 * (order.already + order.backends):
                    assert answer.passed == answer.done, answer
                    time.sleep(0.5)
            print(f"  {what:32} {answer.grown / MANY:6.0f} bytes")
            if name:
                figures[name] = float(round(answer.grown / MANY))
        return figures


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(hard, FILES)))


@click.command()
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="Measure these; else all.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=6.0, show_default=True, help="For each measurement.")
def main(only: tuple[str, ...], rounds: int, seconds: float) -> None:
    """Measure."""
    end_in_order(LONGEST_S)
    _allow_files()
    install(CHECK_PACKAGES)
    wanted = only or PARTS
    print(facts())
    print(haproxy_version())
    figures: Figures = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        CheckSite.up(Path(folder), FILES) as site,
    ):
        if kinds := [kind for kind in ("tcp", "http", "https") if kind in wanted]:
            figures |= Costs(site, rounds, seconds).compare(kinds)
        alone = Alone(site, seconds)
        for part in (alone.lateness, alone.holes, alone.memory):
            if part.__name__ in wanted:
                figures |= part()
    print(last_line(figures))


if __name__ == "__main__":
    main()
