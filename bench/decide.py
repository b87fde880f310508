"""What a look at a Service costs in one process, without I/O: where nothing changed, and a backend.

The whole program in one process, but that it writes nothing. What its first pass would write is put
into its view, as if the API server had stored it; then all Services are due again and again. In a
pass nothing has changed. In a reconcile the verdict on one backend of the Service has: it decides,
plans, and encodes what is to be written of slice and Endpoints. The log is off. CPU is that of the
thread that looks; how it grows with the number of Services, and of backends, is fitted as a power.
Prints a table and the machine's facts, and as its last line JSON: `{"figures": {...}}`.
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

from bench.report import MEGA, exponent, facts, last_line, spread
from registrar.app.app import App
from registrar.app.construction import Mode
from registrar.app.demo import embedded_cluster
from registrar.app.running import running
from registrar.config import read_config
from registrar.logs import configure_logs
from registrar.model import CheckResult, Outcome, ServiceKey, Target
from tests.fakes import RecordingEngine

SERVICES = (100, 1000, 5000)
BACKENDS = (3, 30, 300)
SHARE = 20
"""So many Services have the same backends, so that 5,000 are started in seconds."""
GROUPS = 50
"""So many groups of backends are listed in a file: each query reads the whole of one."""
LOOKS = 2000
"""So many of each kind in all, over the rounds of a size."""
ROUNDS = (2, 9)
"""At least, and at most."""
PATIENCE_S = 100.0
FORMS = 2
UP, DOWN = (CheckResult(one, "as told") for one in (Outcome.PASSED, Outcome.FAILED))
FIRST = int(ip_address("100.64.0.0"))

HEAD = """
instance: bench
networks: {cluster: [10.96.0.0/12, 10.244.0.0/16]}
defaults: {health: {type: tcp, interval: 10m, fall: 1, rise: 1}}
"""


@dataclass(slots=True)
class Costs:
    """Microseconds a Service, round by round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class Idle(RecordingEngine):
    """An engine that checks nothing: the benchmark says how checks end."""

    async def aclose(self) -> None:
        """There is nothing to stop."""


class Bench:
    """A running program whose Services are all in place."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._keys = [mapping.key for mapping in app.config.mappings]
        self._encoder = msgspec.json.Encoder()
        self._victims = {key: self._victim(key) for key in self._keys}
        self.passes, self.reconciles = Costs(), Costs()

    async def begin(self) -> None:
        """Have everything up, and the view hold what would be written."""
        for target in {one for key in self._keys for one in self._app.checks.verdicts(key)}:
            self._app.checks.report(target, UP)
        await self._look_at_all()
        for number, key in enumerate(self._keys):
            for write in self._app.reconciler.standings[key].writes:
                meta = replace(write.object.metadata, uid=str(number), resource_version="1000000")
                self._app.view.note(replace(write.object, metadata=meta))
        await self._look_at_all()
        self._expect_writes(0)

    async def pass_over_all(self) -> None:
        """Measure a look at each Service, of which none has changed."""
        await self._measure(self.passes)
        self._expect_writes(0)

    async def reconcile_all(self) -> None:
        """Measure a look at each Service, of which each has a backend that went down."""
        self._judge(DOWN)
        await self._measure(self.reconciles)
        self._expect_writes(FORMS)
        self._judge(UP)
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

    def _judge(self, result: CheckResult) -> None:
        for target in set(self._victims.values()):
            self._app.checks.report(target, result)

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
        sources, mappings = list[str](), list[str]()
        files: dict[str, list[str]] = {}
        for number in range(services):
            group = number // SHARE
            source = f"rack-{group // GROUPS}"
            if number % SHARE == 0:
                first = FIRST + group * backends
                places = ", ".join(f"{ip_address(first + n)}:80" for n in range(backends))
                files.setdefault(source, []).append(f"g{group}: [{places}]\n")
            query = f"{{source: {source}, group: g{group}}}"
            mappings.append(f"- {{service: shop/service-{number}, from: {query}}}\n")
        for source, groups in files.items():
            (folder / f"{source}.yaml").write_text("".join(groups))
            sources.append(f"  {source}: {{type: static, files: [{source}.yaml], interval: 10m}}\n")
        file = folder / "registrar.yaml"
        file.write_text("".join((HEAD, "sources:\n", *sources, "services:\n", *mappings)))
        config = read_config(file)
        async with (
            embedded_cluster(folder, config.mappings, 0) as cluster,
            running(config, cluster.options, Mode.PLAN, lambda *_: Idle()) as app,
        ):
            await app.heard(PATIENCE_S)
            while app.checks.targets < services // SHARE * backends or not app.due.idle:  # noqa: ASYNC110  its sources tell nobody
                await asyncio.sleep(0.05)
            bench = Bench(app)
            await bench.begin()
            yield bench


async def measure(services: int, backends: int) -> Bench:
    """Measure round by round, and print what came of it."""
    least, most = ROUNDS
    async with site(services, backends) as bench:
        for _ in range(max(least, min(most, LOOKS // (services * max(1, backends // 10))))):
            await bench.pass_over_all()
            await bench.reconcile_all()
    costs = (bench.passes, bench.reconciles)
    columns = (f"{spread(one, 0):>24}" for cost in costs for one in (cost.wall, cost.cpu))
    print(f"{services:>6} x {backends:<3}", *columns, flush=True)
    return bench


async def main() -> None:
    """Run it."""
    configure_logs(level="error")
    columns = ("pass, us: wall", "CPU", "reconcile, us: wall", "CPU")
    print(f"{'Services':>12}", *(f"{column:>24}" for column in columns))
    by_services = {count: await measure(count, BACKENDS[0]) for count in SERVICES}
    by_backends = {count: await measure(SHARE, count) for count in BACKENDS}
    cost = statistics.median
    middle = by_services[SERVICES[1]]
    figures = {
        "reconciles_per_s": MEGA / cost(middle.reconciles.wall),
        "reconcile_cpu_us": cost(middle.reconciles.cpu),
        "pass_us": cost(middle.passes.wall),
        "pass_cpu_us": cost(middle.passes.cpu),
    }
    for by, found in (("services", by_services), ("backends", by_backends)):
        passes = {count: cost(one.passes.cpu) for count, one in found.items()}
        reconciles = {count: cost(one.reconciles.cpu) for count, one in found.items()}
        figures[f"pass_by_{by}_exponent"] = exponent(passes)
        figures[f"reconcile_by_{by}_exponent"] = exponent(reconciles)
    for figure, value in figures.items():
        print(f"  {figure:32} {value:9.2f}")
    print(facts())
    print(last_line(figures))


if __name__ == "__main__":
    asyncio.run(main())
