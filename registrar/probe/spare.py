"""Keeps sockets for the next check: a socket that is reset costs less than a new one."""

from __future__ import annotations

import socket
from typing import Final, TypeVar, cast

from registrar.probe.libc import dissolve

MOST = 64
"""Of a kind. More are under way at once only where many checks are slow, and those are closed."""


class Resettable(socket.SocketType):
    """A TCP socket that may serve one check after another."""

    __slots__ = ("may_be_kept",)

    may_be_kept: bool
    """Not where it is bound to an address or an interface."""

    def release(self) -> None:
        """Reset the connection, for good or for the next check. Nothing may wait on it."""
        if self.may_be_kept:
            SPARE.give(self)
        else:
            self.close()


R = TypeVar("R", bound=Resettable)


class Spare:
    """Sockets that nobody uses, by their kind and family."""

    def __init__(self) -> None:
        self._kept: dict[tuple[type[Resettable], int], list[Resettable]] = {}

    def take(self, kind: type[R], family: int) -> R | None:
        """Return a socket that has the options with which it was kept, None if there is none."""
        kept = self._kept.get((kind, family))
        return cast("R", kept.pop()) if kept else None

    def give(self, opened: Resettable) -> None:
        """Reset a connection, and keep its socket, or close it."""
        kept = self._kept.setdefault((type(opened), opened.family), [])
        if len(kept) < MOST and dissolve(opened.fileno()):
            kept.append(opened)
        else:
            opened.close()

    def clear(self) -> None:
        """Close all."""
        for kept in self._kept.values():
            while kept:
                kept.pop().close()


SPARE: Final = Spare()
"""That of the process."""
