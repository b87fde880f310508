"""The engine in a process of its own, for bench.checks: checks what it is told to, and says how.

Its argument is an Order. To each line that it reads it answers with an Answer, and `begin` has it
observe from then on. It ends when there is nothing more to read.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path
from unittest.mock import patch

import msgspec

from bench.check_observer import FIRST, Observer
from registrar.checks import Checks
from registrar.files import Files
from registrar.logs import configure_logs
from registrar.model import (
    HealthCheck,
    HttpProbe,
    Probe,
    ProbeTls,
    ServiceKey,
    Target,
    TcpProbe,
)
from registrar.probe.engine import CheckEngine
from registrar.probe.probers import prober_of

FIRST_HOLE = int(IPv4Address("10.255.1.1"))
GROUP = 10
"""So many backends has a Service."""

SLICE_S = (0.001, 0.020)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to check, and how. `name` is that of the certificate, `holes` never answer.

    The memory of what was there `already` is not counted. With `is_judged` backends are those of
    Services, with all that is known of each.
    """

    kind: str
    port: int
    backends: int
    already: int = 0
    holes: int = 0
    interval: float
    ca_file: str = ""
    name: str = ""
    is_observed: bool = False
    is_judged: bool = False
    is_busy: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How it went so far; the lower part only where it is observed.

    `late` is by how many seconds checks began too late, sorted. `gap` is the longest time without
    any, `slip` by how much the cadence of one backend has slipped. All three since `begin`.
    `bins` is how many began in each tenth of a second, from the first on.
    """

    passed: int
    failed: int
    silent: int
    unknown: int
    grown: int
    """The bytes that the backends have made the process grow by."""
    late: list[float]
    gap: float
    slip: float
    bins: list[int]

    @property
    def done(self) -> int:
        """How many checks have ended, of any outcome."""
        return self.passed + self.failed + self.silent + self.unknown


class Bench:
    """The engine, and what it checks."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._observer = Observer(order.interval) if order.is_observed else None
        observed = prober_of if self._observer is None else self._observer.prober
        patch("registrar.probe.engine.prober_of", observed).start()
        self._files = Files()
        self._checks = Checks(lambda _: None)
        self._engine = CheckEngine(
            self._checks.report if order.is_judged else lambda _target, _result: False, self._files
        )
        self._checks.start(self._engine)
        self._add(0, order.already)
        gc.collect()
        self._before = private_bytes()
        self._add(order.already, order.already + order.backends)
        gc.collect()
        gc.freeze()

    def _add(self, first: int, last: int) -> None:
        order = self._order
        check = HealthCheck(_probe(order), interval=order.interval, timeout=1.0, rise=1, fall=1)
        holes = set(range(1, order.backends, order.backends // order.holes) if order.holes else ())
        for begin in range(first, last, GROUP):
            targets = [
                Target(IPv4Address((FIRST_HOLE if n in holes else FIRST) + n), order.port, check)
                for n in range(begin, begin + GROUP)
            ]
            if order.is_judged:
                key = ServiceKey("shop", f"s{begin}")
                self._checks.want(key, dict.fromkeys(targets))
            else:
                for target in targets:
                    self._engine.add(target)

    def begin(self) -> None:
        """Observe from now on."""
        if self._observer is not None:
            self._observer.begin()

    def answer(self) -> Answer:
        """Say how it went."""
        tally, seen = self._engine.tallies[self._order.kind], self._observer
        return Answer(
            passed=tally.passed,
            failed=tally.failed,
            silent=tally.silent,
            unknown=tally.unknown,
            grown=private_bytes() - self._before,
            late=[] if seen is None else seen.late(),
            gap=0.0 if seen is None else seen.gap(),
            slip=0.0 if seen is None else seen.slip(),
            bins=[] if seen is None else seen.bins(),
        )

    async def aclose(self) -> None:
        """End."""
        await self._engine.aclose()
        await self._files.aclose()


def _probe(order: Order) -> Probe:
    if order.kind == "tcp":
        return TcpProbe()
    if order.kind == "http":
        return HttpProbe()
    return HttpProbe(tls=ProbeTls(ca_file=Path(order.ca_file), server_name=order.name))


def private_bytes() -> int:
    """Return the memory of this process that it shares with no other."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


async def be_busy() -> None:
    """Work half of the time, in pieces of any length."""
    pieces = random.Random(1)  # noqa: S311  no secret
    while True:
        length = pieces.uniform(*SLICE_S)
        until = time.monotonic() + length
        while time.monotonic() < until:
            sum(range(100))
        await asyncio.sleep(length)


async def main() -> None:
    """Run it."""
    configure_logs(level="error")
    order = msgspec.json.decode(sys.argv[1], type=Order)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    bench = Bench(order)
    work = asyncio.create_task(be_busy()) if order.is_busy else None
    while line := await lines.readline():
        sys.stdout.buffer.write(msgspec.json.encode(bench.answer()) + b"\n")
        sys.stdout.flush()
        if line == b"begin\n":
            bench.begin()
    if work is not None:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
    await bench.aclose()


if __name__ == "__main__":
    asyncio.run(main())
