"""What a scrape costs with 5,000 Services: its time, its size, and how long the loop stands still.

The whole program on the embedded API server, in one process. Prints a table, the machine's facts,
and as its last line JSON: `{"figures": {...}}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from registrar.logs import configure_logs
from registrar.model import Outcome
from tests.embedded_program import EmbeddedProgram, checked, embedded_program, wait_until

SERVICES = int(os.environ.get("SERVICES", "5000"))
BACKENDS = 3
GROUPS = 50
SCRAPES = 20
TICK_S = 0.001


def write(folder: Path) -> str:
    """Write the backends' file; return the configuration."""
    groups = {f"g{n}": [f"10.20.{n}.{b + 1}:80" for b in range(BACKENDS)] for n in range(GROUPS)}
    (folder / "backends.yaml").write_text(json.dumps(groups))
    services = "".join(
        f"  - {{service: shop/s{n}, from: {{source: files, group: g{n % GROUPS}}}, "
        "create: {port: 80}}\n"
        for n in range(SERVICES)
    )
    return (
        "instance: bench\n"
        "sources: {files: {type: static, files: [backends.yaml]}}\n"
        "defaults: {health: {type: tcp, interval: 60s, timeout: 1s}}\n"
        f"services:\n{services}"
    )


async def stalls(until: asyncio.Event) -> list[float]:
    """Return by how much the loop was late, each millisecond until then."""
    found = []
    while not until.is_set():
        began = time.perf_counter()
        await asyncio.sleep(TICK_S)
        found.append(time.perf_counter() - began - TICK_S)
    return found


async def measure(program: EmbeddedProgram) -> dict[str, float]:
    """Scrape again and again; return the figures."""
    done = asyncio.Event()
    watching = asyncio.create_task(stalls(done))
    times, size, cpu = [], 0, time.process_time()
    for _ in range(SCRAPES):
        began = time.perf_counter()
        answer = await program.get("/metrics")
        times.append(time.perf_counter() - began)
        size = len(answer.content)
    cpu = time.process_time() - cpu
    done.set()
    late = sorted(await watching)
    return {
        "scrape_ms": 1000 * sorted(times)[SCRAPES // 2],
        "cpu_ms": 1000 * cpu / SCRAPES,
        "size_kib": size / 1024,
        "loop_late_p99_ms": 1000 * late[len(late) * 99 // 100],
        "loop_late_most_ms": 1000 * late[-1],
    }


async def main() -> None:
    """Run it."""
    configure_logs(level="error")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_check = checked(lambda _: Outcome.PASSED)
        async with embedded_program(folder, write(folder), run_check) as program:

            async def is_settled() -> bool:
                standings = program.app.reconciler.standings
                states = [standing.state for standing in standings.values()]
                return states.count("in-place") == SERVICES

            await wait_until(is_settled, "all Services in place", patience=600)
            figures = await measure(program)
    print(f"{SERVICES} Services, {BACKENDS} backends each, {SCRAPES} scrapes")
    for figure, value in figures.items():
        print(f"  {figure:18} {value:8.1f}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(json.dumps({"figures": figures}))
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
