"""One process of the lab, to be started, stopped, frozen and thawed.

It must never signal a process id that may have become somebody else's.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.namespaces import Argv, Namespace
from tests.lab.waiting import wait_for


class Process:
    """A command in a namespace. Its id is kept in a file, for whoever comes later."""

    def __init__(
        self,
        state: Path,
        namespace: Namespace,
        name: str,
        argv: Argv,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self.log = state / f"{name}.log"
        self._state = state
        self._namespace = namespace
        self._argv = argv
        self._is_ready = is_ready
        self._file = state / f"{name}.pid"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id. Raise LabError if it is not running."""
        if self._popen is not None and self._popen.poll() is None:
            return self._popen.pid
        if self._file.exists():
            pid = int(self._file.read_text())
            if pid in self._namespace.pids():
                return pid
        raise LabError(f"{self.name} is not running")

    @property
    def exit_status(self) -> int | None:
        """The status with which what we have started has ended, None if it hasn't."""
        return None if self._popen is None else self._popen.poll()

    @property
    def is_running(self) -> bool:
        try:
            return self.pid > 0
        except LabError:
            return False

    @property
    def state(self) -> str:
        """Running, frozen or ended."""
        if not self.is_running:
            return "ended"
        # The third field of proc(5)'s stat, after a name that may hold anything.
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        return "frozen" if stat.rpartition(")")[2].split()[0] == "T" else "running"

    def start(
        self, timeout: float = 60, *, stdin: int = subprocess.DEVNULL, stdout: int | None = None
    ) -> None:
        """Start it and wait until it is ready; one that runs already is left alone.

        Raise LabError with the end of its log if it ends meanwhile.
        """
        if self.is_running:
            return
        self._popen = self._namespace.spawn(
            self._argv, self.log, cwd=self._state, stdin=stdin, stdout=stdout
        )
        self._file.write_text(str(self._popen.pid))
        wait_for(self._is_ready_or_raise, timeout, f"readiness of {self.name}")

    def stop(self, number: signal.Signals = signal.SIGKILL, timeout: float = 60) -> None:
        """End it, and wait until it has gone; one that has gone already is fine."""
        if self.is_running:
            self.signal(number)
            if number is not signal.SIGKILL:
                self.thaw()  # a frozen process heeds nothing else
            wait_for(lambda: not self.is_running, timeout, f"the end of {self.name}")
        self._file.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Send SIGSTOP: it is there, and does nothing."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT."""
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal. Raise LabError if it is not running."""
        os.kill(self.pid, number)

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines that it printed."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def raise_if_ended(self) -> None:
        """Raise LabError with the end of its log if it is not running."""
        if not self.is_running:
            raise LabError(f"{self.name} has ended; it said last:\n{self.log_tail()}")

    def _is_ready_or_raise(self) -> bool:
        self.raise_if_ended()
        return self._is_ready()
