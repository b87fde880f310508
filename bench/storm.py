"""How long after 300 Services change at the same instant the last slice is right.

On a real API server with its controllers. Prints a table and the machine's facts, and as its last
line JSON: `{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from bench.population import create_services, service
from bench.report import facts, last_line
from bench.watching import Watcher
from tests.integration.site import Site
from tests.lab import Lab, wait_for

SERVICES = 300
PATIENCE_S = 120.0
ROUNDS = 3
REST_S = 1.5
"""A Service changes once a second at most: what is measured begins at rest."""
FORMS = ("both", "endpointslices", "endpoints")


def measure(lab: Lab, form: str) -> tuple[list[float], int]:
    """Return the seconds of each round, and how many writes a change of all cost in the last."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Site.on(lab, f"storm-{form}", Path(folder)) as site,
    ):
        create_services(site, map(service, range(SERVICES)))
        site.configure(
            "\n".join(
                f"- {{service: NS/{service(n)}, from: {{source: files, group: g}}, "
                f"health: {{type: none}}, publish: {form}}}"
                for n in range(SERVICES)
            )
        )
        site.list_backends(g=["10.91.0.1:80"])
        watcher = Watcher(site)
        site.start()
        _right_at(watcher, "10.91.0.1")
        seconds: list[float] = []
        writes = 0
        for number in range(ROUNDS):
            time.sleep(REST_S)
            before = len(site.writes())  # what follows from the last round has been written
            new = f"10.91.1.{number + 1}"
            began = time.monotonic()
            site.list_backends(g=["10.91.0.1:80", f"{new}:80"])
            seconds.append(_right_at(watcher, new) - began)
            wanted = {"both": 2}.get(form, 1) * SERVICES
            _wait_for_writes(site, before + wanted)
            writes = len(site.writes()) - before
        return seconds, writes


def _wait_for_writes(site: Site, count: int) -> None:
    wait_for(lambda: len(site.writes()) >= count, 60, f"{count} writes", every=0.5)


def _right_at(watcher: Watcher, address: str) -> float:
    """Return when the last of the Services was seen to serve an address."""
    wanted = [(service(number), f"{address}:80") for number in range(SERVICES)]
    seen = watcher.wait_for_all(wanted, patience=PATIENCE_S)
    assert len(seen) == SERVICES, f"{len(seen)} of {SERVICES} serve {address}"
    return max(seen.values())


def main() -> None:
    """Measure each form."""
    figures: dict[str, float] = {}
    print(facts())
    print(f"{SERVICES} Services change at once; seconds from the file's change to the last slice")
    print(f"{'form':>16} {'min':>6} {'median':>7} {'max':>6} {'writes':>7}")
    with Lab.up() as lab:
        for form in FORMS:
            seconds, writes = measure(lab, form)
            median = statistics.median(seconds)
            print(f"{form:>16} {min(seconds):6.2f} {median:7.2f} {max(seconds):6.2f} {writes:7}")
            figures[f"storm_300_{form}_s"] = round(median, 3)
            figures[f"storm_300_{form}_writes"] = writes
    print(last_line(figures))


if __name__ == "__main__":
    main()
