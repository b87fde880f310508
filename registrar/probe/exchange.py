"""One check under way: what the worker asks of it, and what is said on its connection.

An Exchange does the I/O of one check, on one socket. A Conversation does none: it is what a
protocol adds to a connection, and can be had in a test without any network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from registrar.model import CheckResult


class Exchange(Protocol):
    """One check under way. Most are sockets themselves: one object less a check."""

    def fileno(self) -> int:
        """Return the descriptor of its socket, which is non-blocking."""
        ...

    def close(self) -> None:
        """Close the socket."""
        ...

    def release(self) -> None:
        """As `close`, where no epoll waits on it: the socket may serve another check."""
        ...

    @property
    def wants(self) -> int:
        """Which of EPOLLIN and EPOLLOUT would bring it on."""
        ...

    def ready(self, events: int) -> CheckResult | None:
        """Go on after an event of epoll. Return how the check ended, None while it goes on.

        Events are edges: it goes on until the socket has nothing more.
        """
        ...

    def overdue(self, timeout: float) -> CheckResult:
        """Return how it ends now that so many seconds are over."""
        ...


class Conversation(Protocol):
    """What is said on a connection that is open: bytes go in and out of it, and a result.

    It holds no more than a bounded number of bytes, whatever it hears.
    """

    def opening(self) -> bytes:
        """Return what to say first; nothing if the other side is to begin."""
        ...

    def heard(self, data: bytes) -> CheckResult | bytes:
        """Take what has come. Return how the check ended, or what to say; nothing is to wait."""
        ...

    def ended(self) -> CheckResult:
        """Return how the check ends now that the other side has closed."""
        ...

    @property
    def awaited(self) -> str:
        """What it waits for, in words that fit into `no ... within 1 s`."""
        ...


class Place(Protocol):
    """Where a check goes, as Python and as libc have it; what is kept for the next check."""

    family: int
    sockaddr: bytes
    kept: object

    @property
    def at(self) -> tuple[str, int]:
        """Address and port as Python has them."""
        ...


class Prober(Protocol):
    """Begins the checks of one HealthCheck, once it has read the files that this takes."""

    @property
    def files(self) -> Sequence[Path] | None:
        """What `read` reads, before the first check and again whenever they change.

        None where it need not even be called.
        """
        ...

    def read(self) -> None:
        """Read the files, in any thread. Raise nothing: checks are not run where it can't."""
        ...

    def begin(self, place: Place) -> Exchange | CheckResult:
        """Begin a check. Return how it ended if that is known at once. Raise no OSError."""
        ...
