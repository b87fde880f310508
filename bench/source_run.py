"""A `registrar run` with much to watch, and what it costs: CPU, memory, how late its loop is."""

from __future__ import annotations

import http.client
import re
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Self

from bench.asking import SOCKET
from bench.report import MEGA, cpu_s, percent_of_a_core, resident, spread
from tests.integration.site import Site
from tests.lab import wait_for

PATIENCE_S = 120.0
PULSE_S = 0.01

CALM_S = 5.0
"""Until what follows a start is over: what was told meanwhile is asked for once more."""


class _Connection(http.client.HTTPConnection):
    """To a unix socket; light, for what asks must not cost more than what answers."""

    def __init__(self, path: Path) -> None:
        super().__init__("registrar", timeout=PATIENCE_S)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)

    def read(self, path: str) -> str:
        self.request("GET", path)
        return self.getresponse().read().decode()


class SourceRun:
    """A process that runs from when this is made, and how long it took to have all in place."""

    def __init__(self, site: Site, services: int) -> None:
        began = time.monotonic()
        self._run = site.start()
        self._socket = site.folder / SOCKET
        wait_for(self._socket.exists, PATIENCE_S, "the socket", every=0.02)
        self._connection = _Connection(self._socket)
        wait_for(
            lambda: self.metric('registrar_services{state="in-place"}') == services,
            PATIENCE_S,
            lambda: f"{services} Services in place: {self._run.lines()[-3:]}",
            every=1.0,
        )
        self.begun_s = time.monotonic() - began
        self.begun_cpu_s = self.cpu_s

    @property
    def cpu_s(self) -> float:
        """The CPU time that it has spent."""
        return cpu_s(self._run.process.pid)

    @property
    def megabytes(self) -> float:
        """Its memory."""
        return resident(self._run.process.pid) / MEGA

    def metric(self, name: str) -> float:
        """Return what one of its metrics says now, 0 if it is not there."""
        text = self._connection.read("/metrics")
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def answers(self, source: str) -> float:
        """Return how many questions to a source were answered so far."""
        labels = f'result="answered",source="{source}"'
        return self.metric(f"registrar_source_questions_total{{{labels}}}")

    def rest(self, seconds: float, windows: int) -> list[float]:
        """Return the percent of a core that it takes, in windows one after the other."""
        time.sleep(CALM_S)
        pid = self._run.process.pid
        return [percent_of_a_core(pid, seconds) for _ in range(windows)]

    def spent(self, work: Callable[[], object], rest: list[float], settle_s: float) -> float:
        """Return the CPU seconds of some work and what follows it, beyond those of rest."""
        began, before = time.monotonic(), self.cpu_s
        work()
        time.sleep(settle_s)
        at_rest = statistics.median(rest) / 100 * (time.monotonic() - began)
        return self.cpu_s - before - at_rest

    def pulse(self) -> Pulse:
        """Return what finds out how late the loop is, within a block."""
        return Pulse(self._socket)

    def end(self) -> None:
        """End it."""
        self._connection.close()
        self._run.stop()


class Pulse:
    """Asks whether the process is alive again and again, in a thread: that takes a free loop."""

    def __init__(self, path: Path) -> None:
        self._connection = _Connection(path)
        self._is_over = Event()
        self._thread = Thread(target=self._ask, daemon=True)
        self.seconds: list[float] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._connection.close()

    def _ask(self) -> None:
        while not self._is_over.wait(PULSE_S):
            began = time.monotonic()
            self._connection.read("/healthz")
            self.seconds.append(time.monotonic() - began)


def row(what: str, values: list[float], unit: str, digits: int = 2) -> float:
    """Print a figure of repeated measurements; return its median."""
    print(f"  {what:48} {spread(values, digits)} {unit}", flush=True)
    return round(statistics.median(values), 3)
