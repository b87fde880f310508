"""How long after a change in Consul the API server holds it: 200 changes, one after another.

On a real Consul and a real API server, by the watch alone, without health checks. Prints the
distribution, and as its last line JSON: `{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from queue import Queue
from threading import Thread

import httpx

from tests.integration.site import Site, in_slices
from tests.lab import Lab, consul

CHANGES = 200
STEADY = ("10.91.0.1", "10.91.0.2", "10.91.0.3")
CHANGING = "10.91.0.9"
PAUSE_S = (0.2, 1.2)
"""Changes don't come in step with anything."""


class Watcher:
    """Follows the slices of a Service: what they hold, and when that came."""

    def __init__(self, site: Site, service: str) -> None:
        self._site = site
        self._selector = f"kubernetes.io/service-name={service}"
        self._seen: Queue[tuple[float, frozenset[str]]] = Queue()
        Thread(target=self._follow, daemon=True).start()

    def wait_for(self, addresses: Iterable[str]) -> float:
        """Return when exactly these were published."""
        wanted = {f"{address}:80" for address in addresses}
        while True:
            at, found = self._seen.get(timeout=60)
            if found == wanted:
                return at

    def _follow(self) -> None:
        url = f"/apis/discovery.k8s.io/v1/namespaces/{self._site.namespace}/endpointslices"
        params = {"watch": "true", "labelSelector": self._selector}
        try:
            with self._site.lab.api.stream("GET", url, params=params, timeout=None) as stream:
                for line in stream.iter_lines():
                    at = time.monotonic()
                    self._seen.put((at, frozenset(in_slices([json.loads(line)["object"]]))))
        except httpx.HTTPError:
            return  # the lab has ended


def measure(lab: Lab) -> list[float]:
    """Return the seconds from each change's request until it is published."""
    with (
        tempfile.TemporaryDirectory() as folder,
        consul.alone(lab) as agent,
        Site.on(lab, "bench-consul", Path(folder)) as site,
    ):
        site.service("web")
        site.write("token", consul.MANAGEMENT)
        site.configure(
            "- {service: NS/web, from: {source: consul, service: web}}",
            sources=f"consul: {{type: consul, url: {agent.url}, tokenFile: token, interval: 1h}}",
            health="{type: none}",
        )
        for address in STEADY:
            agent.register("web", address)
        watcher = Watcher(site, "web")
        site.start()
        watcher.wait_for(STEADY)
        seconds: list[float] = []
        for number in range(CHANGES):
            time.sleep(random.uniform(*PAUSE_S))  # noqa: S311  no secret
            began = time.monotonic()
            if number % 2 == 0:
                instance = agent.register("web", CHANGING)
                wanted: tuple[str, ...] = (*STEADY, CHANGING)
            else:
                agent.deregister(instance)
                wanted = STEADY
            seconds.append(watcher.wait_for(wanted) - began)
        return seconds


def main() -> None:
    """Measure, and print."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}")
    print(f"{CHANGES} changes in Consul; seconds from each to its slice on the API server")
    with Lab.up() as lab:
        seconds = sorted(measure(lab))
    shares = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    found = {name: seconds[round(share * (len(seconds) - 1))] for name, share in shares.items()}
    print("  ".join(f"{name} {value:.3f}" for name, value in found.items()))
    print(json.dumps({"figures": {"consul_p99_s": round(found["p99"], 3)}}))


if __name__ == "__main__":
    main()
