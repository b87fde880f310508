"""Thousands of backends on one machine of the lab: an nginx that answers at all their addresses.

Each can die (its host resets connections) or hang (what is sent to it is lost), and the kernel
notes when the first check met the change: that is when it could be known.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address

from bench.nginx import configuration, listen
from tests.lab import Lab
from tests.lab.machine import Machine
from tests.lab.namespaces import Argv
from tests.lab.parts import NGINX_PACKAGES, install
from tests.lab.processes import Process

NUMBER = 9
PORT = 80
FIRST = IPv4Address("10.200.0.1")
NETWORK = "10.200.0.0/16"
FORGOTTEN_S = 3600
FILES = 60_000

# The empty set is listed to know that all before it has been done.
RULES = f"""
table ip crowd {{
  set empty {{ type ipv4_addr; }}
  set dead {{ type ipv4_addr; }}
  set hung {{ type ipv4_addr; }}
  set changed {{ type ipv4_addr; }}
  set met {{ type ipv4_addr; size 65535; flags dynamic,timeout; timeout {FORGOTTEN_S}s; }}
  chain in {{
    type filter hook input priority -300;
    ip daddr @hung drop
    ip daddr @changed tcp flags & (syn | ack) == syn add @met {{ ip daddr }}
    ip daddr @dead meta l4proto tcp reject with tcp reset
  }}
}}
"""

_MET = re.compile(r"(10\.200\.\d+\.\d+) (?:timeout \S+ )?expires (\S+)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def address(number: int) -> str:
    """Return the address of a backend."""
    return str(FIRST + number)


def place(number: int) -> str:
    """Return a backend as files and slices name it."""
    return f"{address(number)}:{PORT}"


class Crowd:
    """The machine; backends are named by their number, from 0 to 65,000."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._machine = Machine(lab.namespace, "crowd", NUMBER)
        self._folder = lab.state / "crowd"
        argv: Argv = ["nginx", "-p", self._folder, "-c", self._folder / "nginx.conf"]
        self._nft: subprocess.Popen[bytes] | None = None
        self._nginx = Process(lab.state, self._machine.namespace, "crowd", argv, self._answers)

    @classmethod
    @contextlib.contextmanager
    def on(cls, lab: Lab) -> Iterator[Crowd]:
        """Have it up within the block."""
        install(NGINX_PACKAGES)
        crowd = cls(lab)
        crowd._folder.mkdir()
        (crowd._folder / "nginx.conf").write_text(configuration(crowd._folder, FILES, listen(PORT)))
        try:
            crowd._machine.add()
            crowd._machine.namespace.ip(f"route add local {NETWORK} dev lo")
            lab.namespace.ip(f"route add {NETWORK} via {crowd._machine.address}")
            crowd._machine.namespace.run(["nft", "-f", "-"], stdin=RULES).check_returncode()
            crowd._nft = crowd._machine.namespace.spawn(
                ["stdbuf", "-oL", "nft", "-i"],  # to start it takes longer than to do its work
                crowd._folder / "nft.log",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            crowd._nginx.start()
            yield crowd
        finally:
            crowd._machine.end()

    def die(self, *numbers: int) -> float:
        """Have backends reset all connections from now on; return when, in monotonic seconds."""
        return self._change("add element ip crowd dead", numbers)

    def live(self, *numbers: int) -> float:
        """Undo `die`."""
        return self._change("delete element ip crowd dead", numbers)

    def hang(self, *numbers: int) -> None:
        """Have what is sent to backends be lost from now on."""
        self._do(f"add element ip crowd hung {_set(numbers)}")

    def heal(self) -> None:
        """Undo every `die` and `hang`."""
        self._flush("dead", "hung", "changed", "met")

    def forget(self) -> None:
        """Forget which have changed, and when that was met."""
        self._flush("changed", "met")

    def met(self) -> Mapping[str, float]:
        """Return when each changed backend was first met so, in monotonic seconds, by place.

        It is exact to a jiffy, and to how long it takes to ask. Whoever changes again has to be
        forgotten before.
        """
        asked = time.monotonic()
        told = self._ask("met")
        now = (asked + time.monotonic()) / 2
        return {
            f"{text}:{PORT}": now - FORGOTTEN_S + _seconds(left)
            for text, left in _MET.findall(told)
        }

    def _change(self, command: str, numbers: Iterable[int]) -> float:
        # One transaction: from the first packet on that meets the change, all is in force.
        changed = _set(numbers)
        began = time.monotonic()
        self._do(f"add element ip crowd changed {changed}; {command} {changed}")
        return began

    def _flush(self, *sets: str) -> None:
        self._do("; ".join(f"flush set ip crowd {name}" for name in sets))

    def _do(self, commands: str) -> None:
        """Do something, and return once it is done."""
        self._send(commands)
        self._ask("empty")

    def _ask(self, name: str) -> str:
        """Return a set as nft lists it."""
        self._send(f"list set ip crowd {name}")
        assert self._nft is not None
        assert self._nft.stdout is not None
        lines = []
        while (line := self._nft.stdout.readline()) != b"}\n":
            assert line, f"nft has ended: {(self._folder / 'nft.log').read_text()}"
            lines.append(line.decode())
        return "".join(lines)

    def _send(self, commands: str) -> None:
        assert self._nft is not None
        assert self._nft.stdin is not None
        self._nft.stdin.write(f"{commands}\n".encode())
        self._nft.stdin.flush()

    def _answers(self) -> bool:
        return self._lab.run(["curl", "-sf", "-m", "2", f"http://{place(0)}/"]).returncode == 0


def _set(numbers: Iterable[int]) -> str:
    return f"{{ {', '.join(map(address, numbers))} }}"


def _seconds(text: str) -> float:
    return sum(float(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)(ms|h|m|s)", text))
