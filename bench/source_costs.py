"""What sources cost a `registrar run`: at rest, for each change, in memory.

1,000 services of a real Consul, 5,000 names of a real DNS server, 100 Docker hosts, and a file of
50,000 backends. A hundred dockerds don't fit on a machine: those are scripted ones, in a process of
their own. All is published on a real API server, with health `none`. A change's cost is that of
hearing it and of writing it. Memory is what there is beyond one Service of the same source, and so
is that of the Services too. Prints tables and the machine's facts, and as its last line JSON:
`{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import click

from bench.asking import ADMIN
from bench.ending import end_in_order
from bench.population import create_services, service
from bench.report import facts, last_line
from bench.source_run import SourceRun, row
from bench.watching import Watcher
from tests.integration.site import Site
from tests.lab import Lab
from tests.lab import consul as consul_servers
from tests.lab.dns_servers import Knot

ROOT = Path(__file__).parents[1]
LONGEST_S = 600

SERVICES = 1000
CHANGES = 40
PAUSE_S = 0.1
SETTLE_S = 2.0
"""So long after a change nothing is done for it any more."""

NAMES = 5  # of each Service
TTL_S = 10

WAIT_S = 30
"""So long a watch of Consul hangs, as long as the poll's interval: all come round in a measurement.

By default it is twice as long.
"""
WINDOWS = 3
REST_S = 6

HOSTS = 100
HOST_SERVICES = 10
"""Services with a container on each host: so many lists and streams of events has each host."""

MEMBERS = 50  # of each group in the file
RELOADS = 3
FIRST = int(ip_address("10.128.0.0"))

Figures = dict[str, float]
Change = Callable[[int], tuple[str, str]]
"""Makes a change, by its number; returns Service and the place that is served then."""


def place(number: int) -> str:
    """Return one of as many places as are wanted."""
    return f"{ip_address(FIRST + number)}:80"


class Bench:
    """A site with its Services, and what runs there."""

    def __init__(self, site: Site, sources: str = "") -> None:
        self.site = site
        self._sources = sources

    @classmethod
    @contextlib.contextmanager
    def on(cls, lab: Lab, name: str, services: int) -> Iterator[Bench]:
        """Make it."""
        with tempfile.TemporaryDirectory() as folder, Site.on(lab, name, Path(folder)) as site:
            create_services(site, map(service, range(services)))
            yield cls(site)

    def run(self, services: int, query: str, sources: str = "") -> SourceRun:
        """Run it; `NUM` in the query stands for each Service's number."""
        self.site.configure(
            "\n".join(
                f"- {{service: NS/s{n}, from: {query.replace('NUM', str(n))}, confirm: none}}"
                for n in range(services)
            ),
            sources=sources,
            health="{type: none}",
            more=ADMIN,
        )
        return SourceRun(self.site, services)

    def measured(
        self, what: str, services: int, query: str, sources: str = ""
    ) -> tuple[SourceRun, float]:
        """Run it with one Service, then with all; say what that took, return MB and the run."""
        one = self.run(1, query, sources)
        base = one.megabytes
        one.end()
        run = self.run(services, query, sources)
        print(f"\n{what}")
        row("until all is published", [run.begun_s], "s", 1)
        row("its CPU", [run.begun_cpu_s], "s", 1)
        return run, base

    def change(self, run: SourceRun, rest: list[float], change: Change) -> float:
        """Make changes one after the other; return the milliseconds of CPU of one."""
        watcher = Watcher(self.site)

        def make_all() -> None:
            made = []
            for number in range(CHANGES):
                made.append(change(number))
                time.sleep(PAUSE_S)
            for name, there in made:
                watcher.wait(name, there)

        return 1000 * run.spent(make_all, rest, SETTLE_S) / CHANGES


# --- a function for each source ------------------------------------------------------------------


def consul(lab: Lab) -> Figures:
    """Watch services; register instances elsewhere."""
    limits = {"http_max_conns_per_client": 4 * SERVICES}
    with (
        Bench.on(lab, "bench-consul", SERVICES) as bench,
        consul_servers.alone(lab, limits=limits) as agent,
    ):
        bench.site.write("token", consul_servers.MANAGEMENT)

        def register(number: int, service: int) -> tuple[str, str]:
            address = place(number).partition(":")[0]
            agent.register(f"s{service}", address, ID=f"s{service}-1")
            return f"s{service}", place(number)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(register, range(SERVICES), range(SERVICES)))
        options = f"url: {agent.url}, tokenFile: token, watches: {SERVICES}, wait: {WAIT_S}s"
        run, base = bench.measured(
            f"{SERVICES:,} services of Consul, each watched and polled every {WAIT_S} s",
            SERVICES,
            "{source: consul, service: sNUM}",
            f"consul: {{type: consul, {options}}}",
        )
        began, before = time.monotonic(), run.answers("consul")
        rest = run.rest(WAIT_S / WINDOWS, WINDOWS)
        figures = {"consul_1000_rest_cpu_percent": row("CPU at rest", rest, "% of a core")}
        polls = (run.answers("consul") - before) / (time.monotonic() - began)
        row("polls, those for parts among them", [polls], "a second", 1)
        spent = bench.change(run, rest, lambda n: register(SERVICES + n, n))
        figures["consul_change_cpu_ms"] = row("CPU of a change", [spent], "ms")
        memory = 1000 * (run.megabytes - base) / SERVICES
        figures["consul_mb_per_1000"] = row("memory of 1,000", [memory], "MB", 1)
        run.end()
        return figures


def dns(lab: Lab) -> Figures:
    """Ask for names again and again."""
    count = SERVICES * NAMES
    with Bench.on(lab, "bench-dns", SERVICES) as bench:
        knot = Knot(lab.state, lab.namespace, 5397)
        with contextlib.closing(knot):
            knot.start(
                *(
                    f"n{n // NAMES}-{n % NAMES} {TTL_S} A {ip_address(FIRST + n)}"
                    for n in range(count)
                )
            )
            names = ", ".join(f"nNUM-{n}.test" for n in range(NAMES))
            run, base = bench.measured(
                f"{count:,} names of a DNS server, TTL {TTL_S} s, {NAMES} of each Service",
                SERVICES,
                f"{{source: dns, names: [{names}]}}",
                f"dns: {{type: dns, servers: ['{knot.server}']}}",
            )
            began, before, spent = time.monotonic(), run.answers("dns"), run.cpu_s
            rest = run.rest(TTL_S, WINDOWS)
            answers, spent = run.answers("dns") - before, run.cpu_s - spent
            figures = {"dns_5000_rest_cpu_percent": row("CPU at rest", rest, "% of a core")}
            row(
                "answers, those for parts among them",
                [answers / (time.monotonic() - began)],
                "a second",
                0,
            )
            each = 1e6 * spent / answers
            figures["dns_answer_cpu_us"] = row("CPU of an answer", [each], "us", 0)
            memory = 1000 * (run.megabytes - base) / count
            figures["dns_mb_per_1000"] = row("memory of 1,000 names", [memory], "MB", 1)
            run.end()
            return figures


def docker(lab: Lab) -> Figures:
    """Listen to hosts; publish containers elsewhere."""
    argv = [sys.executable, "-m", "bench.docker_engines", str(HOSTS), str(HOST_SERVICES)]
    with Bench.on(lab, "bench-docker", HOST_SERVICES) as bench:
        engines = lab.spawn(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert engines.stdin is not None
        assert engines.stdout is not None
        tell = engines.stdin
        ports = json.loads(engines.stdout.readline())
        hosts = ", ".join(
            f"{{url: 'tcp://127.0.0.1:{port}', address: {ip_address(FIRST + n)}}}"
            for n, port in enumerate(ports)
        )

        def publish(number: int) -> tuple[str, str]:
            host, service = number % HOSTS, number % HOST_SERVICES
            tell.write(f"{host} {service} {9000 + number}\n".encode())
            tell.flush()
            return f"s{service}", f"{ip_address(FIRST + host)}:{9000 + number}"

        run, base = bench.measured(
            f"{HOSTS} Docker hosts (scripted daemons), {HOST_SERVICES} Services with a container"
            " on each",
            HOST_SERVICES,
            "{source: docker, labels: {app: sNUM}}",
            f"docker: {{type: docker, hosts: [{hosts}]}}",
        )
        rest = run.rest(REST_S, WINDOWS)
        figures = {"docker_100_rest_cpu_percent": row("CPU at rest", rest, "% of a core")}
        spent = bench.change(run, rest, publish)
        figures["docker_change_cpu_ms"] = row("CPU of a change", [spent], "ms")
        row("memory of 100 hosts", [run.megabytes - base], "MB", 1)
        run.end()
        tell.close()
        return figures


def static(lab: Lab) -> Figures:
    """Rename a new file over the old one, with one backend changed."""
    count = SERVICES * MEMBERS
    with Bench.on(lab, "bench-static", SERVICES) as bench:
        groups = {
            f"s{n}": [place(n * MEMBERS + member) for member in range(MEMBERS)]
            for n in range(SERVICES)
        }

        def write() -> None:
            bench.site.write("backends.yaml", as_yaml(groups))

        write()
        what = f"a file of {count:,} backends in {SERVICES:,} groups"
        run, base = bench.measured(what, SERVICES, "{source: files, group: sNUM}")
        rest = run.rest(REST_S, WINDOWS)
        figures = {"static_50000_rest_cpu_percent": row("CPU at rest", rest, "% of a core")}
        watcher = Watcher(bench.site)
        seconds: list[float] = []
        spent: list[float] = []
        late: list[float] = []
        for number in range(RELOADS):
            service = f"s{number * SERVICES // RELOADS}"
            groups[service][0] = place(count + number)
            with run.pulse() as pulse:
                reload = partial(_reload, write, watcher, (service, groups[service][0]), seconds)
                spent.append(run.spent(reload, rest, SETTLE_S))
            late.append(1000 * max(pulse.seconds))
        row(
            "an alive-request meanwhile, at the median",
            [1000 * sorted(pulse.seconds)[len(pulse.seconds) // 2]],
            "ms",
            1,
        )
        figures["static_50000_reload_s"] = row("from a change to its publishing", seconds, "s")
        figures["static_50000_reload_cpu_s"] = row("its CPU", spent, "s")
        figures["static_50000_loop_late_ms"] = row("the loop is late meanwhile by", late, "ms", 0)
        row("memory of 50,000 backends", [run.megabytes - base], "MB", 1)
        run.end()
        return figures


def _reload(
    write: Callable[[], None], watcher: Watcher, wanted: tuple[str, str], seconds: list[float]
) -> None:
    write()
    began = time.monotonic()
    seconds.append(watcher.wait(*wanted) - began)


def as_yaml(groups: dict[str, list[str]]) -> str:
    """Return groups as a program writes them that thinks of readers."""
    return "".join(
        f"{name}:\n" + "".join(f"  - {one}\n" for one in members)
        for name, members in groups.items()
    )


PARTS: Sequence[Callable[[Lab], Figures]] = (consul, dns, docker, static)


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([part.__name__ for part in PARTS]),
    help="Measure these; else all.",
)
def main(only: tuple[str, ...]) -> None:
    """Measure."""
    end_in_order(LONGEST_S)
    print(facts())
    print("median of repeated measurements (least to most); one alone where there are no others")
    figures: Figures = {}
    with Lab.up() as lab:
        for part in PARTS:
            if not only or part.__name__ in only:
                figures |= part(lab)
    print(last_line(figures))


if __name__ == "__main__":
    main()
