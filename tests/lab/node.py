"""A node: a Linux kernel as a plain process, with IPVS and the real kube-proxy.

It must never write to this machine's files, which it sees as its own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import secrets
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab import registers
from tests.lab.console import Console, Finished
from tests.lab.errors import LabError
from tests.lab.namespaces import Namespace
from tests.lab.processes import Process
from tests.lab.waiting import wait_for

INIT = Path(__file__).parent / "node-init.sh"
NAME, TAP = "node1", "tap0"
ADDRESSES = ("10.90.0.2", "fd00:90::2")
_SHOW_IPVS = 'while read -r line; do echo "$line"; done < /proc/net/ip_vs'
_VIRTUAL = re.compile(r"(?:TCP|UDP)\s+(\S+):([0-9A-F]{4}) ")
_REAL = re.compile(r"->\s+(\S+):([0-9A-F]{4})\s+\w+\s+(\d+)")
_CURL_ERRORS = {7: "refused or unreachable", 28: "timed out", 52: "empty answer", 56: "reset"}
_KUBERNETES = ("10.96.0.1", 443)

Place = tuple[str, int]
"""An address and a port."""


@dataclass(frozen=True)
class NodeResponse:
    """What an HTTP request from the node got: an error, or else a status and a body."""

    status: int
    body: str
    error: str = ""


class Node:
    """The node of a lab."""

    def __init__(self, program: Path, kubeconfig: Path, state: Path, namespace: Namespace) -> None:
        self._console = Console(state)
        memory = state / "node-memory"
        self._memory = memory
        argv = [
            *registers.argv(),
            "linux.uml",
            "mem=512M",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            f"init={INIT}",
            f"PROGRAM={program.resolve()}",
            f"STATE={state}",
            f"KUBECONFIG={kubeconfig}",
            f"uml_dir={memory}/",
            f"eth0=tuntap,{TAP},02:00:00:00:00:02",
            "con=null",
            "con0=fd:0,fd:1",
            "quiet",
            "loglevel=3",
        ]
        self._kernel = Process(state, namespace, "node", argv)

    @property
    def is_running(self) -> bool:
        return self._kernel.is_running

    def boot(self) -> None:
        """Boot, and wait until kube-proxy has made its first sync. The Node object must exist."""
        if self.is_running:
            return
        self._memory.mkdir(exist_ok=True)
        stdin, stdout = self._console.make()
        try:
            self._kernel.start(stdin=stdin, stdout=stdout)
        finally:
            os.close(stdin)
            os.close(stdout)
        self._console.wait_until_up(30)
        wait_for(self._kube_proxy_is_ready, 60, "the first sync of kube-proxy")

    def power_off(self) -> None:
        """End the node at once; `boot` starts a new one."""
        self._kernel.stop()

    def run(self, command: str, timeout: float = 30) -> Finished:
        """Run a shell command of one line; return its exit status and what it printed."""
        return self._console.run(command, timeout)

    def spawn(self, command: str) -> None:
        """Start a shell command of one line, which goes on until the node ends."""
        self._console.builtin(f"{command} > /run/spawned.log 2>&1 < /dev/null &")

    def ipvs(self) -> dict[Place, dict[Place, int]]:
        """Return the IPVS table: for each virtual server its real servers with their weights.

        It is what `ipvsadm -Ln` shows, but looking doesn't slow down what is waited for.
        """
        table: dict[Place, dict[Place, int]] = {}
        servers: dict[Place, int] = {}
        for line in self._console.builtin(_SHOW_IPVS).output.splitlines():
            if match := _VIRTUAL.match(line):
                servers = table.setdefault(_place(match), {})
            elif match := _REAL.match(line):
                servers[_place(match)] = int(match[3])
        return table

    def get(self, url: str, timeout: float = 3) -> NodeResponse:
        """Request a URL from the node, on a connection of its own."""
        done = self.run(shlex.join(curl(url, timeout)), timeout + 5)
        return response(done.status, done.output)

    @contextlib.contextmanager
    def requesting(self, url: str, *, every: float = 0.05) -> Iterator[Callable[[], list[int]]]:
        """Request a URL again and again within the block, each time on a new connection.

        What is yielded returns, after the block, the status of each answer: 0 where there was none.
        """
        log = f"/run/requests-{secrets.token_hex(4)}.log"
        command = (
            f"curl -s -m 3 --rate {1 / every:.0f}/s -w '%{{stderr}}%{{http_code}}\\n' -o /dev/null "
            f"{shlex.quote(url)}'?[1-1000000]' > {log} 2>&1 & echo $!"
        )
        pid = int(self._console.builtin(command).output)
        codes: list[int] = []
        try:
            yield lambda: codes
        finally:
            self._console.builtin(f"kill {pid}")
            codes += map(int, self.run(f"cat {log}").output.split())

    def kube_proxy_log(self, lines: int = 30) -> str:
        """Return the end of kube-proxy's log."""
        return self.run(f"tail -n {lines} /run/kube-proxy.log").output

    def _kube_proxy_is_ready(self) -> bool:
        if self._console.builtin("[ -e /run/kube-proxy.ended ]").status == 0:
            raise LabError(f"kube-proxy has ended; it said last:\n{self.kube_proxy_log()}")
        # The API server's own Service is the first virtual server there is.
        return _KUBERNETES in self.ipvs()


def curl(url: str, timeout: float) -> list[str]:
    """Return the command that requests a URL on a connection of its own, for `response`."""
    # -g: the brackets of an IPv6 address mean themselves.
    return ["curl", "-gs", "-m", f"{timeout:g}", "-w", "\\n%{http_code}", url]


def response(status: int, output: str) -> NodeResponse:
    """Return what `curl` says by its exit status and its output."""
    if status != 0:
        return NodeResponse(0, "", _CURL_ERRORS.get(status, f"curl: {status}"))
    body, _, code = output.rpartition("\n")
    return NodeResponse(int(code), body)


def _place(match: re.Match[str]) -> Place:
    # IPv4 as eight hexadecimal digits, IPv6 in brackets.
    text = match[1].strip("[]")
    address = ipaddress.ip_address(text if ":" in text else int(text, 16))
    return str(address), int(match[2], 16)
