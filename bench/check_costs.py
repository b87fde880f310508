"""What a check costs the engine, beside what it costs HAProxy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.check_process import Order
from bench.check_sides import Engine, Haproxy, Side, running
from bench.check_site import CheckSite, Pulse
from bench.report import cpu_s

CASES = (("tcp", 2000), ("tcp", 5000), ("http", 2000), ("http", 5000), ("https", 500))
"""What is checked, and so often a second."""

SETTLING_S = 2.5
"""By then each backend has been checked, and has been news."""

SETTLING_TLS_S = 5.0
"""HAProxy's first handshakes come all at once, so that some are too late."""

Make = Callable[[CheckSite, Order], Side]


@dataclass
class Runs:
    """What the rounds of one side have shown."""

    cpu_us: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    passed: list[float] = field(default_factory=list)
    burst: list[float] = field(default_factory=list)


class Costs:
    """Runs one after the other, so many seconds long."""

    def __init__(self, site: CheckSite, rounds: int, seconds: float) -> None:
        self._site = site
        self._rounds = rounds
        self._seconds = seconds

    def compare(self, kinds: Sequence[str]) -> dict[str, float]:
        """Compare what a check costs."""
        print(f"CPU per check, us; {self._rounds} rounds of {self._seconds:g} s: min, median, max")
        print(f"{'':12} {'HAProxy':^20} {'engine':^20} {'ratio':^17}", end="")
        print("".join(f"{head:^12}" for head in ("burst", "done", "passed")))
        cases = [case for case in CASES if case[0] in kinds]
        found = {case: (Runs(), Runs()) for case in cases}
        for number in range(self._rounds):
            for kind, rate in cases:
                haproxy, engine = found[kind, rate]
                pairs: list[tuple[Make, Runs]] = [(Haproxy, haproxy), (Engine, engine)]
                # Each is the first as often as the other.
                for make, runs in pairs[:: 1 if number % 2 == 0 else -1]:
                    self._run(make, self._site.order(kind, rate), rate, runs)
        return {
            f"{kind}_{rate}_ratio": _row(f"{kind} {rate}/s", *runs)
            for (kind, rate), runs in found.items()
        }

    def _run(self, make: Make, order: Order, rate: int, runs: Runs) -> None:
        settling, seconds = SETTLING_S, self._seconds
        if order.kind == "https":
            if make is Haproxy:
                settling = SETTLING_TLS_S
            else:
                seconds *= 2  # with one full handshake of each backend: one of ten is
        dropped = self._site.dropped()
        with Pulse(self._site) as pulse, running(make, self._site, order) as side:
            time.sleep(settling)
            side.begin()
            before, opened = cpu_s(side.pid), self._site.opened()
            time.sleep(seconds)
            spent, opened = cpu_s(side.pid) - before, self._site.opened() - opened
            done, passed = side.done()
        assert abs(done / opened - 1) < 0.02, f"{done} checks, {opened} connections"
        assert passed > 0.5, f"{passed} of all have passed"
        assert self._site.dropped() == dropped, "nginx did not keep up"
        runs.cpu_us.append(1e6 * spent / done)
        runs.share.append(done / (rate * seconds))
        runs.passed.append(passed)
        runs.burst.append(pulse.peak() / rate)


def _row(name: str, haproxy: Runs, engine: Runs) -> float:
    ratios = [b / a for a, b in zip(haproxy.cpu_us, engine.cpu_us, strict=True)]

    def spread(values: list[float], form: str) -> str:
        return " ".join(format(one, form) for one in (min(values), median(values), max(values)))

    print(
        f"{name:12} {spread(haproxy.cpu_us, '6.1f')} {spread(engine.cpu_us, '6.1f')}"
        f" {spread(ratios, '5.2f')}",
        *(f"{max(one.burst):5.2f}" for one in (haproxy, engine)),
        *(f"{min(one.share):5.3f}" for one in (haproxy, engine)),
        *(f"{min(one.passed):5.3f}" for one in (haproxy, engine)),
    )
    return round(median(ratios), 3)
