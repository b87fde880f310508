"""Network namespaces, and processes in them: whatever runs in one of the lab's is the lab's.

It must never signal a process that is not in the namespace at hand.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.waiting import wait_for

Argv = Sequence[str | Path]


class Namespace:
    """One network namespace, known by its name to whoever comes later."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def exists(self) -> bool:
        return Path("/run/netns", self.name).exists()

    def add(self) -> None:
        """Make it, with its loopback up."""
        _ip("netns", "add", self.name)
        self.ip("link set lo up")

    def ip(self, *lines: str) -> None:
        """Configure its network: each line is the arguments of an `ip` command."""
        _ip("-n", self.name, "-batch", "-", stdin="\n".join(lines))

    def pids(self) -> list[int]:
        """Return the processes in it."""
        return [int(pid) for pid in _ip("netns", "pids", self.name).split()]

    def argv(self, argv: Argv) -> list[str]:
        """Return the command that runs `argv` in it; the process id stays the same."""
        return ["ip", "netns", "exec", self.name, *map(str, argv)]

    def run(
        self,
        argv: Argv,
        *,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; `env` is added to the environment."""
        return subprocess.run(
            self.argv(argv),
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=timeout,
            env={**os.environ, **(env or {})},
        )

    def spawn(
        self,
        argv: Argv,
        log: Path,
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own. What it prints is appended to `log`."""
        with log.open("ab") as out:
            child = subprocess.Popen(
                self.argv(argv),
                stdin=stdin,
                stdout=out if stdout is None else stdout,
                stderr=out,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def end(self) -> None:
        """Kill every process in it, and delete it."""

        def all_gone() -> bool:
            found = self.pids()
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not found

        if self.exists:
            wait_for(all_gone, 30, f"the end of all processes in {self.name}")
            _ip("netns", "delete", self.name)
        for child in self._children:
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()


class HostNamespace(Namespace):
    """Entered without a mount namespace of its own, which would hide the cgroups."""

    def argv(self, argv: Argv) -> list[str]:
        """Return the command that runs `argv` in it; the process id stays the same."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, argv)]


def names(lab: str) -> list[str]:
    """Return the namespaces of a lab: its own, and those of its backends."""
    found = [line.split()[0] for line in _ip("netns", "list").splitlines()]
    return [name for name in found if name == lab or name.startswith(f"{lab}-")]


def _ip(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        ["ip", *arguments], check=False, capture_output=True, text=True, input=stdin
    )
    if done.returncode != 0:
        said = f"{done.stderr.strip()}{f' of: {stdin}' if stdin else ''}"
        raise LabError(f"ip {' '.join(arguments)}: {said}")
    return done.stdout
