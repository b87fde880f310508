"""Commands to the node: a pair of named pipes, so that its console outlives whoever booted it.

It must never mix two answers: one asks at a time, and each question has a token of its own.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.lab.errors import LabError


class Finished(NamedTuple):
    """A command that has ended."""

    status: int
    output: str


class Console:
    """The node's standard input and output, as node-init.sh serves them."""

    def __init__(self, state: Path) -> None:
        self._in, self._out = state / "console.in", state / "console.out"
        self._lock = state / "console.lock"

    def make(self) -> tuple[int, int]:
        """Return what is to be the node's standard input and output."""
        for pipe in (self._in, self._out):
            pipe.unlink(missing_ok=True)
            os.mkfifo(pipe)
        # Opened for both ways, the node never sees its callers hang up.
        return os.open(self._in, os.O_RDWR), os.open(self._out, os.O_RDWR)

    def wait_until_up(self, timeout: float) -> None:
        """Return once the node takes commands."""
        with self._held() as (_, out):
            _read_until(out, re.compile(r"^node-is-up$", re.MULTILINE), timeout)

    def run(self, command: str, timeout: float) -> Finished:
        """Run a shell command of one line; status 124 is one that was ended by its timeout."""
        return self._ask(command, f"{timeout:g}", timeout + 10)

    def builtin(self, command: str) -> Finished:
        """Have the node's first shell do something that starts no process and can't block."""
        return self._ask(command, "0", 30)

    def _ask(self, command: str, node_timeout: str, timeout: float) -> Finished:
        if "\n" in command:
            raise LabError("a command on the node is one line")
        token = secrets.token_hex(8)
        with self._held() as (console, out):
            os.write(console, f"{token} {node_timeout} {command}\n".encode())
            answer = re.compile(rf"^{token}\n(?s:(.*?)){token}=(\d+)$", re.MULTILINE)
            match = _read_until(out, answer, timeout)
        return Finished(int(match[2]), match[1])

    @contextmanager
    def _held(self) -> Iterator[tuple[int, int]]:
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                console = os.open(self._in, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                raise LabError("the node is not running") from None
            out = os.open(self._out, os.O_RDONLY | os.O_NONBLOCK)
            try:
                yield console, out
            finally:
                os.close(console)
                os.close(out)


def _read_until(out: int, pattern: re.Pattern[str], timeout: float) -> re.Match[str]:
    deadline = time.monotonic() + timeout
    said = b""
    while True:
        text = said.decode(errors="replace")
        if match := pattern.search(text):
            return match
        left = max(0, deadline - time.monotonic())
        if not select.select([out], [], [], left)[0]:
            raise LabError(f"the node did not answer within {timeout:g} s; it said: {text!r}")
        more = os.read(out, 65536)
        if not more:
            raise LabError(f"the node has ended; it said: {text!r}")
        said += more
