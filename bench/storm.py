"""How long after 300 Services change at the same instant the last slice is right.

On a real API server with its controllers. Prints a table and the machine's facts, and as its last
line JSON: `{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from threading import Thread

import httpx

from bench.report import facts, last_line
from tests.integration.site import Run, Site
from tests.lab import Lab, wait_for

SERVICES = 300
ROUNDS = 5
REST_S = 1.5
"""A Service changes once a second at most: what is measured begins at rest."""
FORMS = ("both", "endpointslices", "endpoints")


class Watcher:
    """Follows the slices of a namespace; `right_at` says when the last one became right."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._wanted = ""
        self._pending: set[str] = set()
        self.right_at = 0.0
        Thread(target=self._follow, daemon=True).start()

    def expect(self, address: str) -> None:
        """Wait from now on for every Service to have this address."""
        self._wanted = address
        self._pending = {f"s{n}" for n in range(SERVICES)}

    @property
    def is_done(self) -> bool:
        """Whether every Service has it."""
        return not self._pending

    def _follow(self) -> None:
        url = f"/apis/discovery.k8s.io/v1/namespaces/{self._site.namespace}/endpointslices"
        try:
            with self._site.lab.api.stream("GET", url, params={"watch": "true"}, timeout=None) as s:
                for line in s.iter_lines():
                    self._see(line)
        except httpx.HTTPError:
            return  # the lab has ended

    def _see(self, line: str) -> None:
        if f'"{self._wanted}"' not in line or not self._pending:
            return
        service = json.loads(line)["object"]["metadata"]["labels"]["kubernetes.io/service-name"]
        self._pending.discard(service)
        if not self._pending:
            self.right_at = time.monotonic()


def measure(lab: Lab, form: str) -> tuple[list[float], int]:
    """Return the seconds of each round, and how many writes a change of all cost in the last."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Site.on(lab, f"storm-{form}", Path(folder)) as site,
    ):
        ports = {"ports": [{"port": 80}]}
        lab.apply(*(site.object("v1", "Service", f"s{n}", spec=ports) for n in range(SERVICES)))
        site.configure(
            "\n".join(
                f"- {{service: NS/s{n}, from: {{source: files, group: g}}, "
                f"health: {{type: none}}, publish: {form}}}"
                for n in range(SERVICES)
            )
        )
        site.list_backends(g=["10.91.0.1:80"])
        watcher = Watcher(site)
        watcher.expect("10.91.0.1")
        run = site.start()
        _wait(watcher, run)
        seconds: list[float] = []
        writes = 0
        for number in range(ROUNDS):
            before = len(site.writes())
            time.sleep(REST_S)
            watcher.expect(f"10.91.1.{number + 1}")
            began = time.monotonic()
            site.list_backends(g=["10.91.0.1:80", f"10.91.1.{number + 1}:80"])
            _wait(watcher, run)
            seconds.append(watcher.right_at - began)
            wanted = {"both": 2}.get(form, 1) * SERVICES
            _wait_for_writes(site, before + wanted)
            writes = len(site.writes()) - before
        return seconds, writes


def _wait_for_writes(site: Site, count: int) -> None:
    wait_for(lambda: len(site.writes()) >= count, 60, f"{count} writes", every=0.5)


def _wait(watcher: Watcher, run: Run) -> None:
    wait_for(lambda: watcher.is_done, 120, lambda: f"all slices; {run.lines()[-3:]}")


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
