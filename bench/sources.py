"""How long after a change where backends are listed the slice is right: 200 changes each.

On a real API server and real servers of the sources, with health `none` and nothing to confirm.
Prints a table and the machine's facts, and as its last line JSON: `{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import docker_source
from bench.watching import Watcher
from tests.integration.site import Site
from tests.lab import Lab
from tests.lab import consul as consul_servers
from tests.lab.dns_servers import Knot

CHANGES = 200
DNS_TTL_S = 1

Change = Callable[[int], tuple[str, float]]
"""Makes one change, by its number: which place must be served then, and when it was made."""


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
    watcher = Watcher(site)
    place, _ = change(0)
    site.start()
    watcher.wait("web", place)
    seconds: list[float] = []
    for number in range(1, CHANGES + 1):
        place, made = change(number)
        seconds.append(watcher.wait("web", place) - made)
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


def docker(lab: Lab) -> list[float]:
    """Start and stop containers."""
    return docker_source.measure(lab, CHANGES)


SOURCES: dict[str, Callable[[Lab], list[float]]] = {
    "file_p99_s": files,
    "consul_p99_s": consul,
    "docker_p99_s": docker,
    "dns_p99_over_ttl_s": dns,
}
"""By the name of the figure, which is the 99th percentile."""


def row(name: str, seconds: list[float]) -> float:
    """Print the distribution; return its 99th percentile."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    shown = (min(seconds), cuts[49], cuts[89], cuts[98], max(seconds))
    print(f"{name:>30} {len(seconds):6}", *(f"{one:6.3f}" for one in shown), flush=True)
    return round(cuts[98], 3)


def main() -> None:
    """Measure the sources whose figures are named as arguments, else all."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}")
    print("seconds from the change to the slice; for DNS from the end of the TTL")
    heads = ("min", "p50", "p90", "p99", "max")
    print(f"{'':>30} {'count':>6}", *(f"{head:>6}" for head in heads))
    figures: dict[str, float] = {}
    wanted = sys.argv[1:] or list(SOURCES)
    with Lab.up() as lab:
        for name in wanted:
            figures[name] = row(name, SOURCES[name](lab))
    if "docker_p99_s" in wanted:
        for hanging in (0, docker_source.HANGING):
            name = f"docker_{docker_source.HOSTS}_hosts_{hanging}_hang_p99_s"
            figures[name] = row(name, asyncio.run(docker_source.measure_hanging(hanging)))
    print(json.dumps({"figures": figures}))


if __name__ == "__main__":
    main()
