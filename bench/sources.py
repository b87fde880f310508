"""How long after a change where backends are listed the slice is right: 30 changes each.

On a real API server and real servers of the sources, with health `none` and nothing to confirm.
Prints a table and the machine's facts, and as its last line JSON: `{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import docker_source
from bench.report import facts, last_line
from bench.watching import Watcher
from tests.integration.site import Site
from tests.lab import Lab
from tests.lab import consul as consul_servers
from tests.lab.dns_servers import Knot

CHANGES = 30
DNS_TTL_S = 1

SERVICES = 20
"""They change in turn, for each changes once a second at most: that is not what is measured."""

PAUSE_S = 0.1

Change = Callable[[int, int], tuple[str, float]]
"""Makes a change of a Service, by its number and the Service's, which comes first.

It returns which place is served then, and when it was made."""


@contextlib.contextmanager
def serving(lab: Lab, name: str) -> Iterator[Site]:
    """Make a site with its Services."""
    with tempfile.TemporaryDirectory() as folder, Site.on(lab, name, Path(folder)) as site:
        ports = {"ports": [{"port": 80}]}
        lab.apply(*(site.object("v1", "Service", f"s{n}", spec=ports) for n in range(SERVICES)))
        yield site


def measure(site: Site, query: str, change: Change, *, sources: str = "") -> list[float]:
    """Run registrar with a query for each Service, make the changes, return the seconds of each.

    `sN` in the query is the Service's name. The first change of each, number 0, is what is there
    when registrar starts; it is not measured.
    """
    site.configure(
        "\n".join(
            f"- {{service: NS/s{n}, from: {query.replace('sN', f's{n}')}, confirm: none}}"
            for n in range(SERVICES)
        ),
        sources=sources,
        health="{type: none}",
    )
    watcher = Watcher(site)
    places = [change(service, 0)[0] for service in range(SERVICES)]
    site.start()
    for service, place in enumerate(places):
        watcher.wait(f"s{service}", place)
    seconds: list[float] = []
    for number in range(CHANGES):
        time.sleep(PAUSE_S)
        service = number % SERVICES
        place, made = change(service, 1 + number // SERVICES)
        seconds.append(watcher.wait(f"s{service}", place) - made)
    return seconds


def _address(service: int, number: int) -> str:
    return f"10.92.{service}.{number + 1}"


# --- a function for each source ------------------------------------------------------------------


def files(lab: Lab) -> list[float]:
    """Rename a new file over the old one."""
    groups: dict[str, list[str]] = {}
    with serving(lab, "bench-files") as site:

        def change(service: int, number: int) -> tuple[str, float]:
            place = f"{_address(service, number)}:80"
            groups[f"s{service}"] = [place]
            site.list_backends(**groups)
            return place, time.monotonic()

        return measure(site, "{source: files, group: sN}", change)


def consul(lab: Lab) -> list[float]:
    """Register an instance at another address, with the watch alone to see it."""
    with serving(lab, "bench-consul") as site, consul_servers.alone(lab) as agent:
        site.write("token", consul_servers.MANAGEMENT)

        def change(service: int, number: int) -> tuple[str, float]:
            address, made = _address(service, number), time.monotonic()
            agent.register(f"s{service}", address, ID=f"s{service}-1")
            return f"{address}:80", made

        options = f"url: {agent.url}, tokenFile: token, interval: 1h"
        return measure(
            site,
            "{source: consul, service: sN}",
            change,
            sources=f"consul: {{type: consul, {options}}}",
        )


def dns(lab: Lab) -> list[float]:
    """Change a record in a real server's zone; return the seconds beyond its TTL."""
    knot = Knot(lab.state, lab.namespace, 5399)
    records: dict[int, str] = {}
    with serving(lab, "bench-dns") as site, contextlib.closing(knot):

        def change(service: int, number: int) -> tuple[str, float]:
            address = _address(service, number)
            records[service] = f"s{service} {DNS_TTL_S} A {address}"
            made = time.monotonic()  # before, for the server answers by it while we still wait
            is_running = number > 0 or service > 0
            (knot.serve if is_running else knot.start)(*records.values())
            return f"{address}:80", made

        source = f"dns: {{type: dns, servers: ['{knot.server}']}}"
        seconds = measure(site, "{source: dns, name: sN.test}", change, sources=source)
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
    print(facts())
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
    print(last_line(figures))


if __name__ == "__main__":
    main()
