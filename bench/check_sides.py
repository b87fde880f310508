"""The two that bench.checks compares, HAProxy and the engine, as processes of one shape."""

from __future__ import annotations

import contextlib
import csv
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Protocol, TypeVar

import msgspec

from bench.check_observer import FIRST
from bench.check_process import Answer, Order
from bench.check_site import NAME, CheckSite
from tests.lab import wait_for

PATIENCE_S = 30
S = TypeVar("S", bound="Side")

# `spread-checks 0` is the default; maxconn would else ask for more descriptors than there are.
HAPROXY = """
global
  nbthread 1
  maxconn 4000
  spread-checks 0
  stats socket {socket} mode 600
defaults
  mode {mode}
  timeout connect 1s
  timeout client 1s
  timeout server 1s
  timeout check 1s
backend checked
  {option}
"""


class Side(Protocol):
    """Checks the backends from when it is made until it is ended."""

    @property
    def pid(self) -> int:
        """Its process."""
        ...

    def begin(self) -> object:
        """Count from now on."""
        ...

    def done(self) -> tuple[int, float]:
        """Return how many checks were done since, and how much of them has passed."""
        ...

    def end(self) -> None:
        """End it."""
        ...


class Haproxy:
    """HAProxy, with nothing to do but checks."""

    def __init__(self, site: CheckSite, order: Order) -> None:
        self._site = site
        self._backends = order.backends
        self._socket = site.folder / "haproxy.sock"
        configuration = site.folder / "haproxy.cfg"
        is_tcp = order.kind == "tcp"
        option = "" if is_tcp else "option httpchk GET /"
        tls = (
            f" check-ssl check-sni {NAME} ca-file {order.ca_file} verify required verifyhost {NAME}"
        )
        ending = f"check inter {order.interval:g}s{tls if order.kind == 'https' else ''}"
        head = HAPROXY.format(socket=self._socket, mode="tcp" if is_tcp else "http", option=option)
        servers = [
            f"  server s{n} {IPv4Address(FIRST + n)}:{order.port} {ending}\n"
            for n in range(order.backends)
        ]
        configuration.write_text(head + "".join(servers))
        self._opened = site.opened()
        self._child = site.namespace.spawn(
            ["haproxy", "-db", "-f", configuration], site.folder / "haproxy.log"
        )
        wait_for(self._has_begun, PATIENCE_S, "HAProxy's first check", every=0.01)

    def _has_begun(self) -> bool:
        log = self._site.folder / "haproxy.log"
        assert self._child.poll() is None, log.read_text()[-500:]
        return self._site.opened() > self._opened

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    def begin(self) -> None:
        """Count from now on."""
        self._opened = self._site.opened()

    def done(self) -> tuple[int, float]:
        """Return how many connections it has begun since: one a check. The rest is of the last."""
        done = self._site.opened() - self._opened
        servers = [row for row in self._stats() if row["svname"] not in ("FRONTEND", "BACKEND")]
        assert len(servers) == self._backends
        passed = [row for row in servers if row["check_status"].lstrip("* ")[-2:] == "OK"]
        return done, len(passed) / len(servers)

    def _stats(self) -> list[dict[str, str]]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._socket))
            connection.sendall(b"show stat\n")
            told = connection.makefile("r").read()
        return list(csv.DictReader(told.lstrip("# ").strip().splitlines()))

    def end(self) -> None:
        """End it."""
        self._child.kill()
        self._child.wait()


class Engine:
    """The engine, in a process with a main loop that is idle unless it is to be busy."""

    def __init__(self, site: CheckSite, order: Order) -> None:
        self._site = site
        self._begun: Answer | None = None
        self._opened = site.opened()
        argv = [sys.executable, "-m", "bench.check_process", msgspec.json.encode(order).decode()]
        self._child = site.namespace.spawn(
            argv,
            site.folder / "engine.log",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        wait_for(self._has_begun, PATIENCE_S, "the engine's first check")

    def _has_begun(self) -> bool:
        assert self._child.poll() is None, self._log()
        return self._site.opened() > self._opened

    def _log(self) -> str:
        return (self._site.folder / "engine.log").read_text()[-2000:]

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    def _ask(self, line: bytes) -> Answer:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(line)
        self._child.stdin.flush()
        told = self._child.stdout.readline()
        assert told, self._log()
        return msgspec.json.decode(told, type=Answer)

    def begin(self) -> Answer:
        """Count from now on; return how it went until now."""
        self._begun = self._ask(b"begin\n")
        return self._begun

    def answer(self) -> Answer:
        """Return how it went."""
        return self._ask(b"end\n")

    def done(self) -> tuple[int, float]:
        """Return how many checks have ended since, and how much of them has passed."""
        assert self._begun is not None
        answer = self.answer()
        done = answer.done - self._begun.done
        return done, (answer.passed - self._begun.passed) / done

    def end(self) -> None:
        """End it."""
        self._child.kill()
        self._child.wait()


@contextlib.contextmanager
def running(make: Callable[[CheckSite, Order], S], site: CheckSite, order: Order) -> Iterator[S]:
    """Have a side running."""
    side = make(site, order)
    try:
        yield side
    finally:
        side.end()


def haproxy_version() -> str:
    """Return what HAProxy says of itself."""
    argv = ["haproxy", "-v"]
    told = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return " ".join(told.split()[:3])
