"""Keeps sockets for the next check: a socket that is reset costs less than a new one."""

from __future__ import annotations

import socket
from typing import Final, Self, TypeVar, cast

from registrar.probe.libc import dissolve

MOST = 64
"""Of a sort. More are under way at once only where many checks are slow, and those are closed."""


class Resettable(socket.SocketType):
    """A TCP socket that may serve one check after another."""

    __slots__ = ("shelf",)

    shelf: list[Self] | None
    """Where it is kept; None if it is not, for it is bound to an address or an interface."""

    def release(self: Self) -> None:
        """Reset the connection, for good or for the next check. Nothing may wait on it."""
        shelf = self.shelf
        if shelf is not None and len(shelf) < MOST and dissolve(self.fileno()):
            shelf.append(self)
        else:
            self.close()


R = TypeVar("R", bound=Resettable)


class Spare:
    """Sockets that nobody uses, a shelf for each sort of them."""

    def __init__(self) -> None:
        self._shelves: dict[tuple[type[Resettable], int, bool], list[Resettable]] = {}

    def shelf(self, kind: type[R], family: int, *, completes: bool) -> list[R]:
        """Return where sockets of one class and family are kept that have the same options."""
        sort = kind, family, completes
        shelf = self._shelves.get(sort)
        if shelf is None:
            shelf = self._shelves[sort] = []
        return cast("list[R]", shelf)

    def clear(self) -> None:
        """Close all."""
        for shelf in self._shelves.values():
            while shelf:
                shelf.pop().close()


SPARE: Final = Spare()
"""That of the process."""
