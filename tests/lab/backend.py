"""A backend outside the cluster: a host of its own (a namespace) with an HTTP server on it.

It must never be reachable but by the lab's bridge.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab.machine import Machine
from tests.lab.namespaces import Argv, Namespace
from tests.lab.processes import Process

SERVER = Path(__file__).parent / "backend_server.py"
# Neighbours are still found, or the loss would not be silent for long.
CUT = """\
table inet cut {
  chain in { type filter hook input priority -300; icmpv6 type { nd-neighbor-solicit, \
nd-neighbor-advert } accept; drop; }
  chain out { type filter hook output priority -300; icmpv6 type { nd-neighbor-solicit, \
nd-neighbor-advert } accept; drop; }
}
"""


@dataclass(frozen=True)
class Host:
    """What there is to know of a backend; `number` is the last part of its addresses."""

    name: str
    number: int
    port: int


class Backend:
    """One backend; an object for it can be made again from the same Host."""

    def __init__(self, state: Path, lab: Namespace, host: Host) -> None:
        self.name = host.name
        self.port = host.port
        self._machine = Machine(lab, host.name, host.number)
        self.address, self.address6 = self._machine.address, self._machine.address6
        self.namespace = self._machine.namespace
        self._sick = state / f"backend-{host.name}.sick"
        argv: Argv = [sys.executable, "-I", "-S", SERVER, host.name, str(host.port), self._sick]
        self._process = Process(
            state, self.namespace, f"backend-{host.name}", argv, self._says_ready
        )

    def __str__(self) -> str:
        return f"{self.name} {self.address} {self.address6} port {self.port}"

    @property
    def state(self) -> str:
        """What was done to it, in words."""
        words = [self._process.state]
        if self._is_cut():
            words.append("cut off")
        if self._sick.exists():
            words.append("unhealthy")
        return ", ".join(words)

    def add(self) -> None:
        """Make the host, plug it in, and start its server."""
        self._machine.add()
        self.start()

    def remove(self) -> None:
        """End the server and unplug the host."""
        self._machine.end()
        self._sick.unlink(missing_ok=True)

    def start(self) -> None:
        """Start the server; it accepts connections on return."""
        self._process.log.unlink(missing_ok=True)
        self._process.start(timeout=30)

    def kill(self) -> None:
        """Kill the server: connections are refused from now on."""
        self._process.stop()

    def freeze(self) -> None:
        """Stop the server: its kernel accepts connections, and nobody answers."""
        self._process.freeze()

    def thaw(self) -> None:
        """Let the server go on."""
        self._process.thaw()

    def cut(self) -> None:
        """Cut the host off: what is sent to it is lost without a word."""
        if not self._is_cut():
            self.namespace.run(["nft", "-f", "-"], stdin=CUT).check_returncode()

    def heal(self) -> None:
        """Undo `cut`."""
        if self._is_cut():
            self.namespace.run(["nft", "delete", "table", "inet", "cut"]).check_returncode()

    def set_healthy(self, healthy: bool) -> None:  # noqa: FBT001  reads well where it is called
        """Say what /healthz answers: 200 or 503."""
        if healthy:
            self._sick.unlink(missing_ok=True)
        else:
            self._sick.touch()

    def _is_cut(self) -> bool:
        return "table inet cut" in self.namespace.run(["nft", "list", "tables"]).stdout

    def _says_ready(self) -> bool:
        return "ready" in self._process.log_tail()
