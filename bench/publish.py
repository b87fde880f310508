"""How long from a change until it is published, and until the node sends by it; what is written.

A backend dies, or comes back; its check's own interval is taken out, for the kernel of its host
notes when the first check met the change. On a real API server, with a real kube-proxy on a kernel
that is a process. Prints tables and the machine's facts, and as its last line JSON:
`{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import click

from bench.changes import PACE_S, since_met
from bench.crowd import place
from bench.ipvs_watching import IpvsWatcher
from bench.population import BACKENDS, CHECKED, numbers, service
from bench.report import cpu_s, distribution, facts, head, last_line, quantile
from bench.scene import Scene, scene
from tests.integration.site import Run
from tests.lab import wait_for

COUNTS = (1, 100, 1000)
CHANGES, PAUSE_S = 40, 0.17
OF_ONE = 20
BY_FILE = 10
ON_THE_NODE = (1,)
NODE_CHANGES = 10
REST_S = 15.0
STORM_RATE, STORM_S = 100, 20
PATIENCE_S = 120.0

Figures = dict[str, float]


class Publishing:
    """Measures one after the other, on one scene that grows."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def at(self, count: int, *, on_the_node: bool) -> Figures:
        """Measure with so many Services."""
        here = self._scene
        here.population.grow(count)
        here.population.configure(health=CHECKED)
        run = here.start()
        name = f"{count:5} Services"
        figures = self._one_by_one(name) if count < CHANGES else self._deaths(name)
        here.heal()
        by_file = here.changes().by_file(BY_FILE)
        print(distribution(f"{name}, the file", [1000 * s for s in by_file]), flush=True)
        here.population.list_all()
        here.wait_until_served()
        if on_the_node and count in ON_THE_NODE:
            figures |= self._on_the_node(name)
        if count == COUNTS[-1]:
            figures["writes_at_rest"] = here.writes_at_rest(REST_S)
            figures |= self._in_a_storm(run)
            here.heal()
            figures["writes_after_restart"], _ = here.writes_after_a_restart(run)
        else:
            run.stop()
        return figures

    def _one_by_one(self, name: str) -> Figures:
        seen = since_met(self._scene.changes().one_by_one(OF_ONE), 1000)
        print(distribution(f"{name}, a backend, slices", seen), flush=True)
        return {"change_one_p50_ms": quantile(seen, 50)}

    def _deaths(self, name: str) -> Figures:
        here = self._scene
        before = here.count_writes()
        deaths = here.changes().deaths(range(CHANGES), 0, PAUSE_S)
        seen = since_met(deaths.seen_by(here.slices), 1000)
        print(distribution(f"{name}, a backend, slices", seen), flush=True)
        later = since_met(deaths.seen_by(here.endpoints), 1000)
        print(distribution(f"{name}, a backend, Endpoints", later), flush=True)
        return {
            "change_p50_ms": quantile(seen, 50),
            "change_p99_ms": quantile(seen, 99),
            "writes_per_change": self._per_change(before, len(deaths)),
        }

    def _per_change(self, before: Mapping[str, int], changes: int) -> float:
        """Return how much was written of a form and change, of the form with most."""
        after = self._scene.count_writes()
        return max((after[form] - before[form]) / changes for form in after)

    def _on_the_node(self, name: str) -> Figures:
        """Measure until kube-proxy has told the kernel."""
        here = self._scene
        watcher = IpvsWatcher(here.lab)
        wanted = BACKENDS * here.population.count
        wait_for(lambda: watcher.serving() >= wanted, PATIENCE_S, f"{wanted} real servers")
        found = []
        for turn in range(NODE_CHANGES):
            number = turn % here.population.count
            time.sleep(PACE_S)
            here.crowd.forget()
            backend = numbers(number)[0]
            is_alive = turn // here.population.count % 2 == 1
            (here.crowd.live if is_alive else here.crowd.die)(backend)
            virtual = f"{here.site.cluster_ip(service(number))}:80"
            seen = watcher.wait(virtual, place(backend), served=is_alive)
            found.append(1000 * (seen - here.crowd.met()[place(backend)]))
        print(distribution(f"{name}, a backend, IPVS", found), flush=True)
        here.lab.node.power_off()
        here.heal()
        return {"ipvs_p50_ms": quantile(found, 50), "ipvs_p99_ms": quantile(found, 99)}

    def _in_a_storm(self, run: Run) -> Figures:
        here = self._scene
        before, cpu, began = here.count_writes(), cpu_s(run.process.pid), time.monotonic()
        deaths = here.changes().storm(STORM_RATE, STORM_S)
        seen = since_met(deaths.seen_by(here.slices), 1000)
        took = time.monotonic() - began
        cores = (cpu_s(run.process.pid) - cpu) / took
        print(distribution(f"storm of {STORM_RATE} a second, slices", seen))
        later = since_met(deaths.seen_by(here.endpoints), 1000)
        print(distribution(f"storm of {STORM_RATE} a second, Endpoints", later))
        writes = self._per_change(before, len(deaths))
        print(
            f"{len(deaths)} changes in {took:.1f} s; registrar took {cores:.2f} cores;"
            f" {writes:.2f} writes a form and change"
        )
        return {"storm_p99_ms": quantile(seen, 99), "storm_writes_per_change": writes}


@click.command()
@click.option("--node/--no-node", default=True, help="Whether to measure on the node as well.")
def main(*, node: bool) -> None:
    """Measure."""
    print(facts())
    print(head("from the first check that meets a change", "ms"))
    figures: Figures = {}
    with scene() as here:
        publishing = Publishing(here)
        for count in COUNTS:
            figures |= publishing.at(count, on_the_node=node)
    print(
        f"{figures['writes_per_change']:.2f} writes a form and change;"
        f" {figures['writes_at_rest']} in {REST_S:.0f} s at rest,"
        f" {figures['writes_after_restart']} after a restart"
    )
    print(last_line({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
