"""What registrar takes at rest, how that grows, and what a change costs among how many Services.

Services of three backends are watched and unchanged: first without checks; then with TCP checks, as
seldom as it takes for the machine not to be busy with them. One Service more, of a source of its
own, is what changes. Services are headless, which makes no difference but to how long they take to
be made. Prints a table and the machine's facts, and as its last line JSON: `{"figures": {...}}`.
Needs root.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from bench.population import BACKENDS, UNCHECKED
from bench.report import (
    MEGA,
    cpu_s,
    exponent,
    facts,
    last_line,
    percent_of_a_core,
    resident,
    spread,
)
from bench.scene import Scene, scene

COUNTS = (1000, 5000, 10_000)
WINDOWS, WINDOW_S = 3, 3.0
SETTLING_S = 8.0
CHANGES, PAUSE_S = 6, 1.1
INTERVAL_S = 15
SELDOM = f"{{type: tcp, interval: {INTERVAL_S}s, timeout: 1s, rise: 1, fall: 1}}"
CHANGING = "- {service: NS/changing, from: {source: own, group: changing}, health: {type: none}}"
OWN = "own: {type: static, files: [own.yaml]}"


@dataclass(frozen=True, slots=True)
class Taken:
    """What so many Services take: bytes without and with checks, percents of a core, CPU in s."""

    services: int
    bytes: int
    checked_bytes: int
    rest: float
    change: float


class Footprint:
    """Measures on one scene that grows."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._turn = 0
        scene.site.service("changing", clusterIP="None")

    def at(self, count: int) -> Taken:
        """Measure with so many Services."""
        here = self._scene
        here.population.grow(count)
        self._configure(UNCHECKED)
        if self._turn == 0:
            self._list()
        run = here.start(besides=1)
        if count:
            time.sleep(SETTLING_S)
        pid = run.process.pid
        windows = [percent_of_a_core(pid, WINDOW_S) for _ in range(WINDOWS)]
        size = resident(pid)
        spent = self._change(pid, median(windows))
        run.stop()
        checked = self._checked_bytes() if count else size
        print(
            f"{count:8} {spread(windows):>26} {size / MEGA:12.1f} {checked / MEGA:12.1f}"
            f" {1000 * spent:14.2f}",
            flush=True,
        )
        return Taken(count, size, checked, median(windows), spent)

    def _configure(self, health: str) -> None:
        here = self._scene
        here.population.configure(health=health, others=CHANGING, sources=OWN)

    def _checked_bytes(self) -> int:
        """Return what another run takes that checks all; nobody asks it for its metrics."""
        self._configure(SELDOM)
        run = self._scene.start(besides=1)
        run.wait_for_line("running")
        time.sleep(SETTLING_S + INTERVAL_S)
        size = resident(run.process.pid)
        run.stop()
        return size

    def _change(self, pid: int, rest: float) -> float:
        """Return the CPU that each of some changes takes, beyond the percent of a core at rest."""
        before, began = cpu_s(pid), time.monotonic()
        for _ in range(CHANGES):
            time.sleep(PAUSE_S)
            self._list()
        took = time.monotonic() - began
        return (cpu_s(pid) - before - took * rest / 100) / CHANGES

    def _list(self) -> None:
        """List another backend of the Service that changes, and wait until it is published."""
        self._turn += 1
        place = f"10.201.0.{self._turn % 250 + 1}:80"
        self._scene.site.write("own.yaml", f"changing: ['{place}']\n")
        if self._turn > 1:
            self._scene.endpoints.wait("changing", place)


def main() -> None:
    """Measure."""
    print(facts())
    print(
        f"{'Services':>8} {'at rest, % of a core':>26} {'MB':>12} {'MB, checked':>12}"
        f" {'change, CPU ms':>14}"
    )
    with scene(headless=True) as here:
        footprint = Footprint(here)
        base = footprint.at(0)
        taken = [footprint.at(count) for count in COUNTS]
    last = taken[-1]
    backends = BACKENDS * last.services / 1000
    figures = {
        "mb_per_1000_backends": (last.checked_bytes - base.checked_bytes) / MEGA / backends,
        "rest_cpu_percent_1000": taken[0].rest,
        "memory_exponent": exponent(
            {one.services: one.checked_bytes - base.checked_bytes for one in taken}
        ),
        "cpu_exponent": exponent({one.services: one.rest for one in taken}),
        "change_cpu_ms": 1000 * last.change,
        "change_exponent": exponent({one.services: one.change for one in taken}),
    }
    print(last_line({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
