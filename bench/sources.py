"""How long after a change where backends are listed the slice is right: 200 changes each.

On a real API server and real servers of the sources, with health `none` and nothing to confirm.
Prints a table and the machine's facts, and as its last line JSON: `{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Condition, Thread

import httpx

from tests.integration.site import Site, in_slices
from tests.lab import Lab
from tests.lab import consul as consul_servers
from tests.lab.dns_servers import Knot

CHANGES = 200
PATIENCE_S = 60.0
DNS_TTL_S = 1

Change = Callable[[int], tuple[str, float]]
"""Makes one change, by its number: which address must be served then, and when it was made."""


class Slices:
    """Follows the slices of a namespace, to tell when an address was first served."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._served: dict[str, float] = {}
        self._news = Condition()
        Thread(target=self._follow, daemon=True).start()

    def served_at(self, address: str) -> float:
        """Wait until an address is served; return when that was seen."""
        with self._news:
            if not self._news.wait_for(lambda: address in self._served, PATIENCE_S):
                raise TimeoutError(f"{address} is not served")
            return self._served[address]

    def _follow(self) -> None:
        url = f"/apis/discovery.k8s.io/v1/namespaces/{self._site.namespace}/endpointslices"
        try:
            with self._site.lab.api.stream("GET", url, params={"watch": "true"}, timeout=None) as s:
                for line in s.iter_lines():
                    now = time.monotonic()
                    with self._news:
                        for address in in_slices([json.loads(line)["object"]]):
                            self._served.setdefault(address, now)
                        self._news.notify_all()
        except httpx.HTTPError:
            return  # the lab has ended


@contextlib.contextmanager
def serving(lab: Lab, name: str) -> Iterator[Site]:
    """Make a site with the Service `web`."""
    with tempfile.TemporaryDirectory() as folder, Site.on(lab, name, Path(folder)) as site:
        site.service("web")
        yield site


def measure(site: Site, query: str, change: Change, *, sources: str = "") -> list[float]:
    """Run registrar with a query for `web`, make the changes, and return the seconds of each.

    The first change, number 0, is what is there when registrar starts; it is not measured.
    """
    site.configure(
        f"- {{service: NS/web, from: {query}, confirm: none}}",
        sources=sources,
        health="{type: none}",
    )
    slices = Slices(site)
    address, _ = change(0)
    site.start()
    slices.served_at(address)
    seconds: list[float] = []
    for number in range(1, CHANGES + 1):
        address, made = change(number)
        seconds.append(slices.served_at(address) - made)
        # At most one write a second for a Service: what is measured is the way, not that pause.
        time.sleep(max(0.0, made + 1.2 - time.monotonic()))
    return seconds


# --- a function for each source ------------------------------------------------------------------


def files(lab: Lab) -> list[float]:
    """Rename a new file over the old one."""
    with serving(lab, "bench-files") as site:

        def change(number: int) -> tuple[str, float]:
            address = f"10.92.0.{number + 1}:80"
            site.list_backends(web=[address])
            return address, time.monotonic()

        return measure(site, "{source: files, group: web}", change)


def consul(lab: Lab) -> list[float]:
    """Register an instance at another address, with the watch alone to see it."""
    with serving(lab, "bench-consul") as site, consul_servers.alone(lab) as agent:
        site.write("token", consul_servers.MANAGEMENT)

        def change(number: int) -> tuple[str, float]:
            address, made = f"10.92.1.{number + 1}", time.monotonic()
            agent.register("web", address, ID="web-1")
            return f"{address}:80", made

        options = f"url: {agent.url}, tokenFile: token, interval: 1h"
        return measure(
            site,
            "{source: consul, service: web}",
            change,
            sources=f"consul: {{type: consul, {options}}}",
        )


def dns(lab: Lab) -> list[float]:
    """Change a record in a real server's zone; return the seconds beyond its TTL."""
    knot = Knot(lab.state, lab.namespace, 5399)
    with serving(lab, "bench-dns") as site, contextlib.closing(knot):

        def change(number: int) -> tuple[str, float]:
            address = f"10.92.0.{number + 1}"
            record = f"web {DNS_TTL_S} A {address}"
            made = time.monotonic()  # before, for the server answers by it while we still wait
            (knot.serve if number else knot.start)(record)
            return f"{address}:6666", made

        source = f"dns: {{type: dns, servers: ['{knot.server}']}}"
        seconds = measure(site, "{source: dns, name: web.test}", change, sources=source)
        return [one - DNS_TTL_S for one in seconds]


SOURCES: dict[str, Callable[[Lab], list[float]]] = {
    "file_p99_s": files,
    "consul_p99_s": consul,
    "dns_p99_over_ttl_s": dns,
}
"""By the name of the figure, which is the 99th percentile."""


def main() -> None:
    """Measure each source."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}")
    print(f"{CHANGES} changes each; seconds from the change to the slice")
    print(f"{'figure':>20} {'min':>6} {'p50':>6} {'p90':>6} {'p99':>6} {'max':>6}")
    figures: dict[str, float] = {}
    with Lab.up() as lab:
        for name, run in SOURCES.items():
            seconds = run(lab)
            cuts = statistics.quantiles(seconds, n=100, method="inclusive")
            row = (min(seconds), cuts[49], cuts[89], cuts[98], max(seconds))
            print(f"{name:>20} " + " ".join(f"{one:6.3f}" for one in row))
            figures[name] = round(cuts[98], 3)
    print(json.dumps({"figures": figures}))


if __name__ == "__main__":
    main()
