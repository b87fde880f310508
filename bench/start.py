"""How long from a start until all is in force, and from a leader's end until another does its work.

Services are published and unchanged, but for some whose backends were listed anew while nobody led:
once those are published, all has been looked at. Prints a table and the machine's facts, and
as its last line JSON: `{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from bench.crowd import place
from bench.population import UNCHECKED, numbers, service
from bench.report import cpu_s, facts, last_line, spread
from bench.scene import Scene, scene
from bench.watching import Watcher
from tests.integration.replicas import election
from tests.integration.site import Run
from tests.lab import wait_for

COUNTS = (1000, 5000)
TRIES = 3
CHANGED = 20
PATIENCE_S = 120.0
TAKEOVERS, KILLS = 2, 1

Figures = dict[str, float]


def interpreter_s() -> float:
    """Return how long Python takes to start and to do nothing."""
    seconds = []
    for _ in range(TRIES):
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        seconds.append(time.monotonic() - began)
    return median(seconds)


class Starting:
    """Starts and ends registrar again and again, on one scene that grows."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._lists_all = True
        self._interpreter_s = interpreter_s()

    def cold(self, count: int) -> float:
        """Return how long a start takes with so many Services, beyond the interpreter's own."""
        here = self._scene
        here.population.grow(count)
        self._lists_all = True
        here.population.configure(health=UNCHECKED)
        here.start().stop()
        seconds, cpu = [], []
        for _ in range(TRIES):
            self._change()
            began = time.monotonic()
            run = here.site.start()
            seconds.append(self._published(here.slices) - began - self._interpreter_s)
            cpu.append(cpu_s(run.process.pid))
            self._published(here.endpoints)
            run.stop()
        print(f"{f'cold start, {count} Services':36} {spread(seconds):>24} {spread(cpu):>24}")
        return median(seconds)

    def takeover(self) -> Figures:
        """Return how long nobody leads after a leader's orderly end, and after kill -9."""
        here = self._scene
        here.population.configure(health=UNCHECKED, more=election(here.site))
        replicas = [here.site.start(), here.site.start()]
        figures = {}
        ends: tuple[tuple[str, int, Callable[[Run], object]], ...] = (
            ("takeover_s", TAKEOVERS, Run.stop),
            ("recovery_s", KILLS, Run.kill),
        )
        for name, tries, end in ends:
            seconds = []
            for _ in range(tries):
                leader = self._leader(replicas)
                began = time.monotonic()
                end(leader)
                self._change()
                seconds.append(self._published(here.slices) - began)
                replicas.remove(leader)
                replicas.append(here.site.start())
                replicas[-1].wait_for_line("running")
            print(f"{name:36} {spread(seconds):>24}")
            figures[name] = max(seconds)
        for one in replicas:
            one.stop()
        return figures

    @staticmethod
    def _leader(replicas: list[Run]) -> Run:
        def look() -> Run | None:
            return next((one for one in replicas if one.lines("leading")), None)

        found = wait_for(look, PATIENCE_S, "a leader")
        assert found is not None
        return found

    def _chosen(self) -> range:
        count = self._scene.population.count
        return range(0, count, count // CHANGED)

    def _change(self) -> None:
        """List a backend of some Services no more, or again."""
        self._lists_all = not self._lists_all
        self._scene.population.list_last(self._chosen(), is_listed=self._lists_all)

    def _published(self, watcher: Watcher) -> float:
        """Return when the last of the changes was published in a form."""
        wanted = [(service(number), place(numbers(number)[-1])) for number in self._chosen()]
        seen = watcher.wait_for_all(wanted, served=self._lists_all, patience=PATIENCE_S)
        assert len(seen) == len(wanted), f"{len(seen)} of {len(wanted)} were published"
        return max(seen.values())


def main() -> None:
    """Measure."""
    print(facts())
    print(f"{'seconds: median (least to most)':36} {'until in force':>24} {'CPU':>24}")
    figures: Figures = {}
    with scene() as here:
        starting = Starting(here)
        figures["cold_1000_s"] = starting.cold(COUNTS[0])
        figures |= starting.takeover()
        figures["cold_5000_s"] = starting.cold(COUNTS[1])
    print(last_line({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
