"""A replica of registrar: a machine of its own, a user with the shipped Roles, a process.

It must never reach the API server but by its cable, which can be cut, in either direction, or made
slow.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.integration.site import CLUSTER_ROLE, LEASE_ROLE, ROLE
from tests.lab import Lab
from tests.lab.machine import Machine
from tests.lab.namespaces import Argv
from tests.lab.processes import Process
from tests.simulation.cluster import NAMESPACE

ROOT = Path(__file__).parents[3]
DISK = "4m"
LONGEST_LOG = 1_000_000
CUTS = {
    "in": "chain in { type filter hook input priority 0; tcp sport 6443 drop; }",
    "out": "chain out { type filter hook output priority 0; tcp dport 6443 drop; }",
}
IDLE = re.compile(r":(\d+)\s+\S+:6443\s.*\blastsnd:(?:1[6-9]|[2-9]\d|\d{3,})\d{3}\b")
"""A connection on which it has sent nothing for 16 s, the port first: others it closes by then."""
SLOW = "tbf rate 400kbit burst 8kb latency 800ms"


class Replica:
    """One replica; `number` is the last part of its machine's address."""

    def __init__(self, lab: Lab, name: str, number: int, config: Path, bug: str) -> None:
        self.name = name
        self.user = lab.new_user()
        self.by = f"registrar/{name}"
        self._lab = lab
        self._link = f"b{number}"
        self._machine = Machine(lab.namespace, f"replica-{name}", number)
        self.folder = lab.state / f"replica-{name}"
        module = ["tests.integration.chaos.broken", bug] if bug else ["registrar"]
        self.process = Process(
            lab.state,
            self._machine.namespace,
            f"replica-{name}",
            [
                *("env", f"PYTHONPATH={ROOT}", f"TMPDIR={self.folder}", f"POD_NAME=replica-{name}"),
                *(sys.executable, "-m", *module, "run"),
                *("--config", config, "--kubeconfig", lab.kubeconfig(self.user)),
            ],
        )
        self.process.log = self.folder / "registrar.log"
        self._read = 0
        self._is_up = False
        self._tables = itertools.count()

    @contextlib.contextmanager
    def plugged_in(self) -> Iterator[Replica]:
        """Have a machine and a small disk within the block, and end all of it after that."""
        for role in (ROLE, CLUSTER_ROLE, LEASE_ROLE):
            self._lab.grant(self.user, role, NAMESPACE)
        self.folder.mkdir()
        mount: Argv = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", self.folder]
        subprocess.run(mount, check=True)
        try:
            self._machine.add()
            yield self
        finally:
            self._machine.end()
            subprocess.run(["umount", "--lazy", self.folder], check=True)

    # --- the process -------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, if it doesn't run."""
        if not self.process.is_running:
            if self.process.log.exists() and self.process.log.stat().st_size > LONGEST_LOG:
                self.process.log.unlink()
                self._read = 0
            self._is_up = False
            self.process.start()

    def defects(self) -> list[str]:
        """Return the errors that it has logged since the last time."""
        if not self.process.log.exists():
            return []
        with self.process.log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        lines = whole.decode(errors="replace").splitlines()
        self._is_up |= any('"event": "running"' in line for line in lines)
        return [line for line in lines if _is_error(line)]

    @contextlib.contextmanager
    def without_descriptors(self) -> Iterator[None]:
        """Have it get no new descriptor within the block, unless it is still being started."""
        if not self._is_up:
            yield
            return
        pid = self.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        has = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  it is quicker
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (has, before[1]))
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):  # it may have been killed
                resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    @contextlib.contextmanager
    def with_full_disk(self) -> Iterator[None]:
        """Have no room on its disk within the block."""
        filler = self.folder / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        try:
            yield
        finally:
            filler.unlink()

    # --- the way to the API server -----------------------------------------------------------

    @contextlib.contextmanager
    def cut(self, *directions: str) -> Iterator[None]:
        """Have nothing come in, or go out, between it and the API server."""
        with self._rules("\n".join(CUTS[one] for one in directions)):
            yield

    @contextlib.contextmanager
    def deaf(self) -> Iterator[None]:
        """Have nothing come in on its watches: all else works, so that it goes on and is late."""
        listed = ["ss", "-HtinO", "state", "established", "dport", "=", ":6443"]
        lines = self._machine.namespace.run(listed).stdout.splitlines()
        ports = [found[1] for line in lines if (found := IDLE.search(line))]
        if not ports:
            yield
            return
        rule = f"tcp sport 6443 tcp dport {{ {', '.join(ports)} }} drop;"
        with self._rules(f"chain deaf {{ type filter hook input priority 0; {rule} }}"):
            yield

    @contextlib.contextmanager
    def slow(self) -> Iterator[None]:
        """Have little pass on its cable, either way."""
        ends = [(self._machine.namespace, "eth0"), (self._lab.namespace, self._link)]
        for namespace, link in ends:
            argv = f"tc qdisc add dev {link} root {SLOW}".split()
            namespace.run(argv).check_returncode()
        try:
            yield
        finally:
            for namespace, link in ends:
                namespace.run(f"tc qdisc del dev {link} root".split()).check_returncode()

    @contextlib.contextmanager
    def _rules(self, chains: str) -> Iterator[None]:
        namespace, table = self._machine.namespace, f"chaos-{next(self._tables)}"
        made = f"table inet {table} {{\n{chains}\n}}"
        namespace.run(["nft", "-f", "-"], stdin=made).check_returncode()
        try:
            yield
        finally:
            namespace.run(["nft", "delete", "table", "inet", table]).check_returncode()


def _is_error(line: str) -> bool:
    try:
        return json.loads(line).get("level") in {"error", "critical"}
    except ValueError:
        return "Traceback" in line  # or the words of a library
