"""What bench.checks runs in: a network namespace with an nginx that all checks go to.

Whoever makes a connection there is counted by the kernel, so that every check counts alike.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Self

from bench.check_observer import BIN_S
from bench.check_process import Order
from bench.nginx import configuration, listen
from tests.certificates import Authority
from tests.lab.namespaces import Namespace
from tests.lab.processes import Process

INTERVAL_S = 2.0
NAME = "backend.test"
PORTS = {"tcp": 8080, "http": 8080, "https": 8443}
FIRST_HOLE = "10.255.0.1/16"
"""Whatever is sent to others in that network is lost."""

SAMPLE_S = 0.02


class CheckSite:
    """The namespace, and what is in it."""

    def __init__(self, folder: Path, files: int) -> None:
        self.folder = folder
        self.namespace = Namespace(f"registrar-bench-checks-{os.getpid()}")
        authority = Authority(folder / "tls")  # where nothing else changes
        self.ca_file = authority.file
        cert, key = authority.issue(NAME)
        file = folder / "nginx.conf"
        file.write_text(
            configuration(
                folder,
                files,
                "ssl_protocols TLSv1.2 TLSv1.3;",
                f"ssl_certificate {cert};",
                f"ssl_certificate_key {key};",
                listen(PORTS["http"]),
                listen(PORTS["https"], "ssl"),
            )
        )
        argv: list[str | Path] = ["nginx", "-p", folder, "-c", file]
        self._nginx = Process(folder, self.namespace, "nginx", argv, self._listens)

    @classmethod
    @contextlib.contextmanager
    def up(cls, folder: Path, files: int) -> Iterator[CheckSite]:
        """Have it up, with nothing left behind."""
        site = cls(folder, files)
        try:
            site.namespace.add()
            site.namespace.ip(
                # Without ARP nobody finds out that nobody is there.
                "link add hole type veth peer name bottom",
                "link set hole up arp off",
                "link set bottom up",
                f"addr add {FIRST_HOLE} dev hole",
            )
            site._nginx.start()
            yield site
        finally:
            site.namespace.end()

    def order(self, kind: str, rate: float) -> Order:
        """Return the order to do so many checks a second."""
        return Order(
            kind=kind,
            port=PORTS[kind],
            backends=int(rate * INTERVAL_S),
            interval=INTERVAL_S,
            ca_file=str(self.ca_file),
            name=NAME,
        )

    def _listens(self) -> bool:
        ports = {f"{port:04X}" for port in PORTS.values()}
        lines = self._proc("tcp").splitlines()[1:]
        found = {
            fields[1].partition(":")[2] for line in lines if (fields := line.split())[3] == "0A"
        }
        return ports <= found

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self._nginx.pid}/net/{name}").read_text()

    def opened(self) -> int:
        """Return how many connections have been begun in the namespace."""
        return self._counter("snmp", "Tcp:", "ActiveOpens")

    def dropped(self) -> int:
        """Return how many connections nginx's kernel would not take."""
        return self._counter("netstat", "TcpExt:", "ListenDrops")

    def _counter(self, file: str, group: str, name: str) -> int:
        heads, values = (
            line.split() for line in self._proc(file).splitlines() if line.startswith(group)
        )
        return int(values[heads.index(name)])


class Pulse:
    """Looks again and again at how many connections were begun, in a thread."""

    def __init__(self, site: CheckSite) -> None:
        self._site = site
        self._seen: list[tuple[float, int]] = []
        self._is_over = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(SAMPLE_S):
            self._seen.append((time.monotonic(), self._site.opened()))

    def peak(self) -> float:
        """Return how many a second began in the worst tenth of a second."""
        peak, first = 0.0, 0
        for at, count in self._seen:
            while self._seen[first][0] <= at - BIN_S:
                began, before = self._seen[first]
                peak = max(peak, (count - before) / (at - began))
                first += 1
        return peak
