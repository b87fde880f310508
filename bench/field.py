"""The workload on which comparable operators were measured, on the same kind of machine.

N Services of three backends, TCP checks every second that wait for a second, down at the first
failure. A backend's host begins to reset, and the time until that is published is taken, the
check's interval included; once more while a tenth of all addresses is hung; then rest, a restart,
and bad input. Prints a table beside what two operators came to, and as its last line JSON:
`{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import time

from bench.asking import ADMIN, metrics, total
from bench.changes import since_made
from bench.population import BACKENDS, CHECKED, numbers, service
from bench.report import cpu_s, distribution, facts, head, last_line, quantile
from bench.scene import Scene, scene
from tests.integration.site import Run

EVENTS = {1: 30, 100: 40, 1000: 300}
"""By the number of Services. A check's interval is most of it: many are needed for a median."""
PAUSE_S = 0.11
WINDOW_S = 12.0
SETTLING_S = 3.0
TENTH = 10

THEIRS = """
what two comparable operators came to:      one          the other
  N=1, p50 / p99 s                      0.56 / 1.02    0.59 / 1.05
  N=100                                  4.8 / 9.9     0.92 / 2.2
  N=1,000                                 57 / 97      served 129 of the 1,000
  N=100, a tenth hung                    5.3 / 9.3       15 / 30
  checks done of 3,000 a second wanted     30             188
  CPU of a check, us                     1,150            785
  writes a minute at rest, N=1,000       1,671         16,019
"""

Figures = dict[str, float]


class Field:
    """Measures on one scene that grows."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def at(self, count: int, *, hung: bool) -> tuple[Figures, Run]:
        """Measure with so many Services; return the run that is left."""
        here = self._scene
        here.population.grow(count)
        here.population.configure(health=CHECKED, more=ADMIN)
        lost = [n for n in range(BACKENDS * count) if n % TENTH == TENTH - 1] if hung else []
        if lost:
            here.crowd.hang(*lost)
        run = here.start(besides=-len(lost))
        time.sleep(SETTLING_S)
        figures = self._rate(run, BACKENDS * count) if count == max(EVENTS) else {}
        events = EVENTS[count]
        services = [n for n in range(count) if not set(numbers(n)[:1]) & set(lost)][:events]
        if len(services) < events:
            seen = here.changes().one_by_one(events)
        else:
            seen = here.changes().deaths(services, 0, PAUSE_S).seen_by(here.slices)
        name = f"N={count}{', a tenth hung' if hung else ''}"
        made = since_made(seen)
        print(distribution(name, made, 2), flush=True)
        return {**figures, "p50_s": quantile(made, 50), "p99_s": quantile(made, 99)}, run

    def _rate(self, run: Run, wanted: int) -> Figures:
        """Return how much of what was wanted was checked, and the CPU of each check."""
        before, began = self._checks()
        cpu = cpu_s(run.process.pid)
        time.sleep(WINDOW_S)
        spent = cpu_s(run.process.pid) - cpu  # without what it takes to ask
        after, ended = self._checks()
        done, seconds = after - before, ended - began
        each_us = 1e6 * spent / (WINDOW_S * done / seconds)
        return {"done_ratio": done / seconds / wanted, "check_us": each_us}

    def _checks(self) -> tuple[float, float]:
        """Return how many checks have ended, and when that was counted."""
        asked = time.monotonic()
        found = total(metrics(self._scene.site.folder), "registrar_checks_total")
        return found, (asked + time.monotonic()) / 2

    def affected_by_bad_input(self) -> int:
        """Return how many good backends are served no more for what is wrong with others."""
        here, groups = self._scene, self._scene.population.groups
        groups[service(0)] = [*groups[service(0)], "127.0.0.1:80"]
        groups[service(1)] = [*groups[service(1)], "10.200.0.one:80", "10.200.0.2:eighty"]
        here.population.list()
        affected = self._suffer("a loopback address, malformed addresses")
        here.population.list_all()
        file = here.site.folder / "registrar.yaml"
        text = file.read_text()
        bad = f"  - {{service: {here.site.namespace}/s0, form: {{source: fiels}}}}\n"
        here.site.write("registrar.yaml", text + bad)
        affected += self._suffer("a malformed mapping")
        here.site.write("registrar.yaml", text)
        return affected

    def _suffer(self, what: str) -> int:
        """Have a backend of some Services die; return how many good ones were not served before."""
        here = self._scene
        count = here.population.count
        time.sleep(SETTLING_S)  # whatever it does, it has done
        lost = BACKENDS * count - here.slices.ready()
        chosen = [0, 1, 2, count // 2, count - 1]
        seen = since_made(here.changes().deaths(chosen, 1, PAUSE_S).seen_by(here.slices))
        here.heal()
        print(distribution(f"N={count}, {what}", seen, 2))
        return lost


def main() -> None:
    """Measure."""
    print(facts())
    print(head("from a backend's death to it being published", "s"))
    figures: Figures = {}
    with scene() as here:
        field = Field(here)
        for count in EVENTS:
            found, run = field.at(count, hung=False)
            if count > 1:
                here.heal()
                run.stop()
                hung, run = field.at(count, hung=True)
            here.heal()
            if count < max(EVENTS):
                run.stop()
        writes = here.writes_at_rest(WINDOW_S) * 60 / WINDOW_S
        restart, _ = here.writes_after_a_restart(run)
        affected = field.affected_by_bad_input()
    print(THEIRS)
    for name, one in (("N=1,000", found), ("a tenth hung", hung)):
        print(
            f"{name}: {one['done_ratio']:.4f} of the checks, {one['check_us']:.0f} us of CPU each"
        )
    print(f"  {writes:.0f} writes a minute at rest, {restart} after a restart")
    print(f"  {affected} good backends that bad input took away")
    figures = {
        "n1000_p50_s": round(found["p50_s"], 3),
        "n1000_p99_s": round(found["p99_s"], 3),
        "hung_p50_s": round(hung["p50_s"], 3),
        "hung_p99_s": round(hung["p99_s"], 3),
        "checks_done_ratio": round(min(found["done_ratio"], hung["done_ratio"]), 4),
        "check_us": round(found["check_us"], 1),
        "hung_check_us": round(hung["check_us"], 1),
        "writes_a_minute_at_rest": writes,
        "writes_after_restart": restart,
        "affected_by_bad_input": affected,
    }
    print(last_line(figures))


if __name__ == "__main__":
    main()
