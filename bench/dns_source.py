"""How long after its TTL a change in DNS is published: 200 changes on a real server and API server.

Prints a table and the machine's facts, and as its last line JSON: `{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from threading import Event, Thread

import httpx

from tests.integration.site import Site
from tests.lab import Lab
from tests.lab.dns_servers import Knot

CHANGES = 200
TTL_S = 1
PORT = 5399
NAME = "web"


class Watcher:
    """Follows the slices of a namespace; notes when each address is first seen ready."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._known: dict[str, float] = {}
        self._news = Event()
        Thread(target=self._follow, daemon=True).start()

    def seen_at(self, address: str) -> float:
        """Return when the address was published (monotonic seconds); wait for it if need be."""
        deadline = time.monotonic() + 60
        while address not in self._known:
            assert self._news.wait(max(0.0, deadline - time.monotonic())), f"no {address}"
            self._news.clear()
        return self._known[address]

    def _follow(self) -> None:
        url = f"/apis/discovery.k8s.io/v1/namespaces/{self._site.namespace}/endpointslices"
        try:
            with self._site.lab.api.stream("GET", url, params={"watch": "true"}, timeout=None) as s:
                for line in s.iter_lines():
                    self._note(line)
        except httpx.HTTPError:
            return  # the lab has ended

    def _note(self, line: str) -> None:
        now = time.monotonic()
        for endpoint in json.loads(line)["object"].get("endpoints") or ():
            for address in endpoint["addresses"]:
                self._known.setdefault(address, now)
        self._news.set()


def measure(lab: Lab) -> list[float]:
    """Return for each change the seconds from it until it was published, less the TTL.

    One name, changed 200 times one after the other, each time at another moment of its TTL: the
    next change is made a little later after the last was seen.
    """
    knot = Knot(lab.state, lab.namespace, PORT)
    with tempfile.TemporaryDirectory() as folder, Site.on(lab, "dns", Path(folder)) as site:
        knot.start(_record(0))
        site.service(NAME, ports=[{"port": 80}])
        site.configure(
            f"- {{service: NS/{NAME}, port: 80, from: {{source: dns, name: {NAME}.test}}, "
            "confirm: none}",
            sources=f"dns: {{type: dns, servers: ['{knot.server}']}}",
            health="{type: none}",
        )
        watcher = Watcher(site)
        site.start()
        watcher.seen_at(_address(0))
        seconds: list[float] = []
        try:
            for number in range(1, CHANGES + 1):
                # Else every change would come right after a question, and wait for the whole TTL.
                time.sleep(TTL_S * (number % 20) / 20)
                began = time.monotonic()
                knot.serve(_record(number))
                seconds.append(watcher.seen_at(_address(number)) - began - TTL_S)
        finally:
            knot.stop()
        return seconds


def _address(number: int) -> str:
    return f"10.91.{number // 250}.{number % 250 + 1}"


def _record(number: int) -> str:
    return f"{NAME} {TTL_S} A {_address(number)}"


def main() -> None:
    """Measure, and print the distribution."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}")
    print(f"{CHANGES} changes of a record with a TTL of {TTL_S} s; seconds over the TTL")
    with Lab.up() as lab:
        seconds = sorted(measure(lab))
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    print(f"{'min':>7} {'p50':>7} {'p90':>7} {'p99':>7} {'max':>7}")
    shown = (seconds[0], cuts[49], cuts[89], cuts[98], seconds[-1])
    print(" ".join(f"{one:7.3f}" for one in shown))
    print(json.dumps({"figures": {"dns_p99_over_ttl_s": round(cuts[98], 3)}}))


if __name__ == "__main__":
    main()
