"""How long after a container starts or stops the cluster holds it, and what hanging hosts cost.

On a real dockerd and a real API server, and between scripted daemons. Prints tables, and as its
last line JSON: `{"figures": {...}}`. Needs root.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import httpx

from registrar.files import Files, in_thread
from registrar.source import Context, Part
from sources.docker import DockerOptions, DockerQuery, DockerSource
from tests.integration.site import Site, in_slices
from tests.lab import Lab
from tests.lab.docker_host import DockerHost
from tests.sources.docker_engine import Engine, container, published

CHANGES = 200
# A Service changes once a second at most: so many in turn, and none has to wait for that.
SERVICES = 20
HOSTS, HANGING = 50, 5
ROUNDS = 40
PATIENCE_S = 30.0


class Watcher:
    """Follows the slices of a namespace."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._slices: dict[str, dict[str, Any]] = {}
        self._news = Condition()
        Thread(target=self._follow, daemon=True).start()

    def wait(self, service: str, place: str, *, served: bool) -> float:
        """Return when a Service was seen to serve a place, or no longer to do so."""
        with self._news:
            done = self._news.wait_for(
                lambda: (place in self._places(service)) is served, PATIENCE_S
            )
            assert done, f"{service} and {place}: not within {PATIENCE_S:g} s"
            return self._seen_at

    def _places(self, service: str) -> set[str]:
        label = "kubernetes.io/service-name"
        found = [s for s in self._slices.values() if s["metadata"]["labels"][label] == service]
        return {place for place, ready in in_slices(found).items() if ready}

    def _follow(self) -> None:
        url = f"/apis/discovery.k8s.io/v1/namespaces/{self._site.namespace}/endpointslices"
        with (
            contextlib.suppress(httpx.HTTPError),  # the lab has ended
            self._site.lab.api.stream("GET", url, params={"watch": "true"}, timeout=None) as news,
        ):
            for line in news.iter_lines():
                event = json.loads(line)
                with self._news:
                    self._slices.pop(event["object"]["metadata"]["name"], None)
                    if event["type"] != "DELETED":
                        self._slices[event["object"]["metadata"]["name"]] = event["object"]
                    self._seen_at = time.monotonic()
                    self._news.notify_all()


def measure(lab: Lab) -> list[float]:
    """Return the seconds from each change's completion by the daemon to its place in the slices."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Site.on(lab, "docker-source", Path(folder)) as site,
        DockerHost.on(lab) as host,
    ):
        places = _serve(host)
        ports = {"ports": [{"port": 80}]}
        lab.apply(*(site.object("v1", "Service", f"s{n}", spec=ports) for n in range(SERVICES)))
        site.configure(
            "\n".join(
                f"- {{service: NS/s{n}, from: {{source: hosts, labels: {{s{n}: '1'}}}}}}"
                for n in range(SERVICES)
            ),
            sources=f"hosts: {{type: docker, hosts: [{host.url}]}}",
            health="{type: none}",
        )
        watcher = Watcher(site)
        site.start()
        for number, place in enumerate(places):
            watcher.wait(f"s{number}", place, served=True)
        transport = httpx.HTTPTransport(uds=str(host.socket))
        with httpx.Client(transport=transport, base_url="http://docker", timeout=30) as client:
            return [_change(client, watcher, turn, places) for turn in range(CHANGES)]


def _serve(host: DockerHost) -> list[str]:
    """Run two containers that stay, and one that changes for each Service; return its place."""
    labels = [text for n in range(SERVICES) for text in ("--label", f"s{n}=1")]
    for number in range(2):
        host.serve(f"stays{number}", *labels, "--publish", f"{9000 + number}:80")
    for number in range(SERVICES):
        host.serve(f"c{number}", "--label", f"s{number}=1", "--publish", f"{8000 + number}:80")
    return [f"{host.address}:{8000 + number}" for number in range(SERVICES)]


def _change(client: httpx.Client, watcher: Watcher, turn: int, places: list[str]) -> float:
    number = turn % SERVICES
    starts = turn // SERVICES % 2 == 1
    deed = "start" if starts else "stop?t=0"
    client.post(f"/containers/c{number}/{deed}").raise_for_status()
    completed = time.monotonic()
    seen = watcher.wait(f"s{number}", places[number], served=starts)
    # The event is told before the command is answered.
    return max(0.0, seen - completed)


async def measure_hanging(hanging: int) -> list[float]:
    """Return the seconds from each change to its answer of all scripted hosts that don't hang."""
    engines = [Engine() for _ in range(HOSTS)]
    for engine in engines:
        await engine.start()
    hosts = [{"url": engine.url, "address": "10.20.3.7"} for engine in engines]
    files = Files()
    options = DockerOptions.model_validate({"hosts": hosts, "timeout": "10s"})
    source = DockerSource(options, Context(Path(), files, in_thread))
    query = DockerQuery.model_validate({"labels": {"app": "web"}})
    for engine in engines[:hanging]:
        engine.hangs = True
    stuck = [asyncio.create_task(_ask_on(source, Part(query, e.url))) for e in engines[:hanging]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_watch(source, Part(query, engine.url), engine))
                for engine in engines[HANGING:]
            ]
        return [seconds for task in tasks for seconds in task.result()]
    finally:
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        await asyncio.gather(*(engine.stop() for engine in engines))


async def _ask_on(source: DockerSource, part: Part[DockerQuery]) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(source.options.timeout):
                await source.discover(part)


async def _watch(source: DockerSource, part: Part[DockerQuery], engine: Engine) -> list[float]:
    seconds: list[float] = []
    async with contextlib.aclosing(source.watch(part)) as told:
        await anext(told)
        for turn in range(ROUNDS):
            await asyncio.sleep(0.5)
            begun = time.monotonic()
            engine.has(container("a", published(1000 + turn)))
            async for answer in told:
                if [backend.port for backend in getattr(answer, "backends", ())] == [1000 + turn]:
                    break
            seconds.append(time.monotonic() - begun)
    return seconds


def _row(name: str, seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    row = {"min": min(seconds), "p50": cuts[49], "p90": cuts[89], "p99": cuts[98]}
    row["max"] = max(seconds)
    print(f"{name:>28} {len(seconds):6}", *(f"{value:7.3f}" for value in row.values()))
    return row


def main() -> None:
    """Measure both."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}")
    print(
        f"{'seconds':>28} {'count':>6}", *(f"{n:>7}" for n in ("min", "p50", "p90", "p99", "max"))
    )
    with Lab.up() as lab:
        changed = _row("container to slice", measure(lab))
    without = _row(f"{HOSTS} hosts, none hangs", asyncio.run(measure_hanging(0)))
    with_some = _row(f"{HOSTS} hosts, {HANGING} hang", asyncio.run(measure_hanging(HANGING)))
    figures = {
        "docker_p99_s": round(changed["p99"], 3),
        "docker_50_hosts_p99_s": round(without["p99"], 3),
        "docker_50_hosts_5_hang_p99_s": round(with_some["p99"], 3),
    }
    print(json.dumps({"figures": figures}))


if __name__ == "__main__":
    main()
