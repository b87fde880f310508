"""What a look at a Service costs in one process, without I/O: where nothing changed, and a backend.

The whole program in one process, but that it writes nothing. What its first pass would write is put
into its view, as if the API server had stored it; then all Services are due again and again. In a
pass nothing has changed. In a reconcile the verdict on one backend of the Service has: it decides,
plans, and encodes what is to be written of slice and Endpoints. Prints tables and the machine's
facts, and as its last line JSON: `{"figures": {...}}`.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bench.report import MEGA, facts, last_line, spread
from registrar.app.app import App
from registrar.app.construction import Mode
from registrar.app.demo import embedded_cluster
from registrar.app.running import running
from registrar.config import read_config
from registrar.logs import configure_logs
from registrar.model import CheckResult, Outcome, ServiceKey, Target
from tests.embedded_program import checked, wait_until

SIZES = ((100, 3), (1000, 3), (10_000, 3), (300, 30), (30, 300))
"""How many Services, of how many backends each."""
ROUNDS = 7
PATIENCE_S = 100.0
FORMS = 2
FIRST = int(ip_address("100.64.0.0"))

HEAD = """
instance: bench
sources: {files: {type: static, files: [backends.yaml]}}
networks: {cluster: [10.96.0.0/12, 10.244.0.0/16]}
defaults: {health: {type: tcp, interval: 10m, fall: 1, rise: 1}}
services:
"""


@dataclass(slots=True)
class Costs:
    """Microseconds a Service, round by round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class Bench:
    """A running program whose Services are all in place."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._keys = [mapping.key for mapping in app.config.mappings]
        self._lists = app.view  # what it holds is what has been noted in it
        self._encoder = msgspec.json.Encoder()
        self._victims = {key: self._victim(key) for key in self._keys}
        self.passes, self.reconciles = Costs(), Costs()

    async def store(self) -> None:
        """Have the view hold what would be written."""
        for number, key in enumerate(self._keys):
            for write in self._app.reconciler.standings[key].writes:
                meta = replace(write.object.metadata, uid=str(number), resource_version="1000000")
                self._app.view.note(replace(write.object, metadata=meta))

    async def pass_over_all(self) -> None:
        """Measure a look at each Service, of which none has changed."""
        await self._measure(self.passes)
        self._expect_writes(0)

    async def reconcile_all(self) -> None:
        """Measure a look at each Service, of which each has a backend that went down."""
        self._judge(Outcome.FAILED)
        await self._measure(self.reconciles)
        self._expect_writes(FORMS)
        self._judge(Outcome.PASSED)
        await self._look_at_all()
        self._expect_writes(0)

    async def _measure(self, costs: Costs) -> None:
        gc.collect()
        wall, cpu = time.perf_counter(), time.thread_time()
        await self._look_at_all()
        for key in self._keys:
            for write in self._app.reconciler.standings[key].writes:
                self._encoder.encode(write.object)
        costs.cpu.append((time.thread_time() - cpu) / len(self._keys) * MEGA)
        costs.wall.append((time.perf_counter() - wall) / len(self._keys) * MEGA)

    async def _look_at_all(self) -> None:
        for key in self._keys:
            self._app.due.mark(key, 0)
        while not self._app.due.idle:  # noqa: ASYNC110  nothing else is to be done meanwhile
            await asyncio.sleep(0)

    def _victim(self, key: ServiceKey) -> Target:
        return min(self._app.checks.verdicts(key), key=lambda target: int(target.address))

    def _judge(self, outcome: Outcome) -> None:
        for target in self._victims.values():
            self._app.checks.report(target, CheckResult(outcome, "as the benchmark says"))

    def _expect_writes(self, count: int) -> None:
        for key in self._keys:
            standing = self._app.reconciler.standings[key]
            if standing.holds or len(standing.writes) != count:
                sys.exit(f"{key}: {len(standing.writes)} writes, {standing.holds}; not {count}")


@asynccontextmanager
async def site(services: int, backends: int) -> AsyncIterator[Bench]:
    """Run a program with so many Services of so many backends, all up and in place."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        groups, mappings = [], []
        for number in range(services):
            first = FIRST + number * backends
            places = ", ".join(f"{ip_address(first + n)}:80" for n in range(backends))
            groups.append(f"g{number}: [{places}]\n")
            mappings.append(
                f"- {{service: shop/service-{number}, from: {{source: files, group: g{number}}}}}\n"
            )
        (folder / "backends.yaml").write_text("".join(groups))
        file = folder / "registrar.yaml"
        file.write_text(HEAD + "".join(mappings))
        config = read_config(file)
        engine = checked(lambda _: Outcome.PASSED)
        async with (
            embedded_cluster(folder, config.mappings, 0) as cluster,
            running(config, cluster.options, Mode.PLAN, engine) as app,
        ):
            await app.heard(PATIENCE_S)
            await app.settle(PATIENCE_S)
            bench = Bench(app)
            await bench.store()
            yield bench


async def measure(services: int, backends: int) -> Bench:
    """Measure round by round."""
    began = time.perf_counter()
    async with site(services, backends) as bench:
        print("ready after", time.perf_counter() - began, file=sys.stderr)
        for _ in range(ROUNDS):
            await bench.pass_over_all()
            await bench.reconcile_all()
    print("over after", time.perf_counter() - began, file=sys.stderr)
    return bench


async def main() -> None:
    """Run it."""
    configure_logs(level="error")
    print(f"{'Services x backends':20} {'pass, us: wall':>28} {'CPU':>28} {'reconcile, us: wall':>28} {'CPU':>28}")
    for services, backends in SIZES:
        found = await measure(services, backends)
        columns = (found.passes.wall, found.passes.cpu, found.reconciles.wall, found.reconciles.cpu)
        print(f"{services:>6} x {backends:<11}", *(f"{spread(one, 0):>28}" for one in columns), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
