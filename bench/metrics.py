"""What a scrape costs with 5,000 Services: its time, its size, and how late it makes the loop.

The whole program in one process, with Services, backends and verdicts put into its parts: how they
would get there is not measured. Prints a table and the machine's facts, and as its last line JSON:
`{"figures": {...}}`.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from bench.report import facts, last_line
from registrar.app.app import App
from registrar.logs import configure_logs
from registrar.model import (
    Desired,
    Endpoint,
    EndpointId,
    HealthCheck,
    Outcome,
    Plan,
    PortMapping,
    ServiceKey,
    ServiceMapping,
    Target,
    TcpProbe,
)
from tests.embedded_program import EmbeddedProgram, checked, embedded_program

SERVICES = 5000
BACKENDS = 3
SCRAPES = 20
TICK_S = 0.001
CHECK = HealthCheck(TcpProbe(), interval=600.0)
FIRST = int(ip_address("10.20.0.0"))

CONFIGURATION = """
instance: bench
sources: {files: {type: static, files: [backends.yaml]}}
services: [{service: shop/web, from: {source: files}, create: {port: 80}}]
"""


def fill(app: App) -> None:
    """Have everything in place, with all backends up."""
    mappings = []
    for number in range(SERVICES):
        key = ServiceKey("shop", f"service-{number}")
        places = [ip_address(FIRST + number * BACKENDS + n) for n in range(BACKENDS)]
        mappings.append(ServiceMapping(key, (PortMapping(None, (), 80, CHECK),)))
        app.checks.want(key, {Target(place, 80, CHECK): True for place in places})
        endpoints = frozenset(Endpoint(EndpointId("", "TCP", p, 80), ready=True) for p in places)
        app.reconciler.standings.settle(key, Desired(endpoints), Plan(), ())
    app.config = replace(app.config, mappings=tuple(mappings))


async def lateness(until: asyncio.Task[None]) -> tuple[float, float]:
    """Return by how many milliseconds the loop was late until then: p99, and at most."""
    late = []
    while not until.done():
        began = time.perf_counter()
        await asyncio.sleep(TICK_S)
        late.append(time.perf_counter() - began - TICK_S)
    late.sort()
    return 1000 * late[len(late) * 99 // 100], 1000 * late[-1]


async def measure(program: EmbeddedProgram) -> dict[str, float]:
    """Scrape again and again; return the figures."""
    times: list[float] = []
    size = 0

    async def scrape() -> None:
        nonlocal size
        for _ in range(SCRAPES):
            began = time.perf_counter()
            answer = await program.get("/metrics")
            times.append(time.perf_counter() - began)
            size = len(answer.content)

    rest = await lateness(asyncio.create_task(asyncio.sleep(5)))
    cpu = time.process_time()
    busy = await lateness(asyncio.create_task(scrape()))
    return {
        "scrape_ms": 1000 * sorted(times)[SCRAPES // 2],
        "cpu_ms": 1000 * (time.process_time() - cpu) / SCRAPES,
        "size_kib": size / 1024,
        "late_p99_ms": busy[0],
        "late_most_ms": busy[1],
        "at_rest_late_p99_ms": rest[0],
        "at_rest_late_most_ms": rest[1],
    }


async def main() -> None:
    """Run it."""
    configure_logs(level="error")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "backends.yaml").write_text("web: [10.20.1.1:80]\n")
        engine = checked(lambda _: Outcome.PASSED)
        async with embedded_program(folder, CONFIGURATION, engine) as program:
            await program.app.due.close()  # no look is to find that none of it is there
            fill(program.app)
            await program.wait_for_sample("registrar_check_targets", SERVICES * BACKENDS)
            figures = await measure(program)
    print(f"{SERVICES} Services, {BACKENDS} backends each, {SCRAPES} scrapes")
    for figure, value in figures.items():
        print(f"  {figure:22} {value:8.1f}")
    print(facts())
    print(last_line(figures))


if __name__ == "__main__":
    asyncio.run(main())
