"""How long after a container starts or stops that is published, and what hanging hosts cost.

On a real dockerd and a real API server, and between scripted daemons.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

import httpx

from bench.watching import Watcher
from registrar.files import Files
from registrar.source import Context, Part
from registrar.threads import in_thread
from sources.docker import DockerOptions, DockerQuery, DockerSource
from tests.integration.site import Site
from tests.lab import Lab
from tests.lab.docker_host import DockerHost
from tests.sources.docker_engine import Engine, container, published

# A Service changes once a second at most: so many in turn, and none has to wait for that.
SERVICES = 20
HOSTS, HANGING = 50, 5
ROUNDS = 24


def measure(lab: Lab, changes: int) -> list[float]:
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
            return [_change(client, watcher, turn, places) for turn in range(changes)]


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
