"""Follows the IPVS table of the lab's node: which backends it sends to, and since when."""

from __future__ import annotations

import subprocess
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path
from threading import Condition, Thread

from bench import node_observer
from tests.lab import Lab
from tests.lab.node import ADDRESSES

PORT = 9999
PATIENCE_S = 60.0
RETRIES = 30


class IpvsWatcher:
    """Watches from the moment it is made until the lab ends."""

    def __init__(self, lab: Lab) -> None:
        node = lab.boot_node()
        observer = Path(node_observer.__file__)
        node.spawn(f"{sys.executable} -I -S {observer} {PORT}")
        argv = ["curl", "-sN", "--retry", str(RETRIES), "--retry-connrefused", "--retry-delay", "1"]
        self._told = lab.spawn([*argv, f"http://{ADDRESSES[0]}:{PORT}/"], stdout=subprocess.PIPE)
        self._turned: dict[tuple[str, str], tuple[bool, float]] = {}
        self._news = Condition()
        Thread(target=self._follow, daemon=True).start()

    def wait(
        self, virtual: str, place: str, *, served: bool = True, patience: float = PATIENCE_S
    ) -> float:
        """Return when a virtual server was seen to send to a place, or no longer to do so.

        That is in monotonic seconds; places are ADDRESS:PORT. Weight 0 is no longer sent to.
        """
        key = virtual, place

        def is_so() -> bool:
            return self._turned.get(key, (False, 0.0))[0] is served

        with self._news:
            if not self._news.wait_for(is_so, patience):
                raise TimeoutError(f"{virtual} and {place}: not within {patience:g} s")
            return self._turned[key][1]

    def serving(self) -> int:
        """Return how many backends are sent to, over all virtual servers."""
        with self._news:
            return sum(served for served, _ in self._turned.values())

    def _follow(self) -> None:
        assert self._told.stdout is not None
        for line in self._told.stdout:
            now = time.monotonic()
            virtual, real, weight = line.decode().split()
            with self._news:
                self._turned[_place(virtual), _place(real)] = weight != "0", now
                self._news.notify_all()


def _place(text: str) -> str:
    address, _, port = text.rpartition(":")
    if address.startswith("["):
        return f"{address}:{int(port, 16)}"
    return f"{IPv4Address(int(address, 16))}:{int(port, 16)}"
