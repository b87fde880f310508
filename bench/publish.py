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
CHANGES = 40
BY_FILE = 20
ON_THE_NODE = 12
REST_S = 20.0
STORM_RATE, STORM_S = 100, 20
PATIENCE_S = 120.0

Figures = dict[str, float]


class Publishing:
    """Measures one after the other, on one scene that grows."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._writes = 0.0

    def at(self, count: int, *, on_the_node: bool) -> Figures:
        """Measure with so many Services."""
        here = self._scene
        here.population.grow(count)
        here.population.configure(health=CHECKED)
        run = here.population.publish(here.slices)
        here.wait_until_served()
        name = f"{count:5} Services"
        before = here.count_writes()
        seen = since_met(here.changes().one_by_one(CHANGES), 1000)
        print(distribution(f"{name}, a backend, slices", seen), flush=True)
        figures = {"change_p50_ms": quantile(seen, 50), "change_p99_ms": quantile(seen, 99)}
        here.heal()
        late = since_met(here.changes(here.endpoints).one_by_one(BY_FILE), 1000)
        print(distribution(f"{name}, a backend, Endpoints", late), flush=True)
        # What `heal` brought back were changes as well.
        changes = CHANGES + BY_FILE + self._back(CHANGES)
        figures["writes_per_change"] = self._per_change(before, changes)
        here.heal()
        by_file = here.changes().by_file(BY_FILE)
        print(distribution(f"{name}, the file", [1000 * s for s in by_file]), flush=True)
        if on_the_node:
            figures |= self._on_the_node(name)
        if count == COUNTS[-1]:
            figures["writes_at_rest"] = here.writes_at_rest(REST_S)
            figures |= self._in_a_storm(run)
            here.heal()
            figures["writes_after_restart"], _ = here.writes_after_a_restart(run)
        else:
            run.stop()
        return figures

    def _back(self, changes: int) -> int:
        """Return how many backends were left dead by so many changes one by one."""
        rounds, rest = divmod(changes, self._scene.population.count)
        return rest if rounds % 2 == 0 else self._scene.population.count - rest

    def _per_change(self, before: Mapping[str, int], changes: int) -> float:
        after = self._scene.count_writes()
        return max((after[form] - before[form]) / changes for form in after)

    def _on_the_node(self, name: str) -> Figures:
        """Measure until kube-proxy has told the kernel."""
        here = self._scene
        watcher = IpvsWatcher(here.lab)
        wanted = BACKENDS * here.population.count
        wait_for(lambda: watcher.serving() >= wanted, PATIENCE_S, f"{wanted} real servers")
        found = []
        for turn in range(ON_THE_NODE):
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
        seen = since_met(here.changes().storm(STORM_RATE, STORM_S), 1000)
        took = time.monotonic() - began
        cores = (cpu_s(run.process.pid) - cpu) / took
        print(distribution(f"storm of {STORM_RATE} a second, slices", seen))
        wanted = BACKENDS * here.population.count - len(seen)
        wait_for(lambda: here.endpoints.ready() <= wanted, PATIENCE_S, "all Endpoints")
        writes = self._per_change(before, len(seen))
        print(
            f"{len(seen)} changes in {took:.1f} s; registrar took {cores:.2f} cores;"
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
