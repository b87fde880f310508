"""Holds a conversation on a connection that is being made."""

from __future__ import annotations

import errno
import select
import socket
from typing import Self

from registrar.model import CheckResult
from registrar.probe.exchange import Conversation
from registrar.probe.results import failed, of_network, silent
from registrar.probe.spare import Resettable

_OPEN = select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP
_HEARD = select.EPOLLIN | select.EPOLLERR | select.EPOLLHUP
CHUNK = 16_384
MOST_HEARD = 131_072
"""In bytes: a conversation that goes on without a result beyond that is given up."""
TOO_LONG = failed(f"answer goes on beyond {MOST_HEARD} bytes")
MOST_PIECES = 256
"""That an answer may come in. Each is looked at, and a fast peer is not to take up all the time."""
TOO_MANY = failed(f"answer comes in more than {MOST_PIECES} pieces")


class StreamExchange(Resettable):
    """Connects, says what is to be said, and hears the answer, until there is a result."""

    __slots__ = ("_conversation", "_is_open", "_left", "_pieces", "_unsent", "wants")

    _conversation: Conversation
    _is_open: bool
    _left: int
    _pieces: int
    _unsent: bytes
    wants: int
    """To be open first, then to hear."""

    def hold(self, conversation: Conversation) -> Self:
        """Hold a conversation once the connection is there."""
        self._conversation = conversation
        self._is_open = False
        self._left = MOST_HEARD
        self._pieces = MOST_PIECES
        self._unsent = b""
        self.wants = select.EPOLLOUT
        return self

    def ready(self, events: int) -> CheckResult | None:
        """Go on as far as it goes."""
        try:
            if not self._is_open:
                if not events & _OPEN:
                    return None
                if events != select.EPOLLOUT and (code := self._error()):
                    return self._failure(code)
                self._is_open = True
                self._unsent = self._conversation.opening()
            if self._unsent:
                self._unsent = self._unsent[self.send(self._unsent) :]
            self.wants = select.EPOLLOUT if self._unsent else select.EPOLLIN
            return self._hear() if events & _HEARD else None
        except BlockingIOError:
            return None
        except OSError as error:
            return self._failure(error.errno or 0)

    def overdue(self, timeout: float) -> CheckResult:
        """Return that what was awaited hasn't come."""
        return silent(self._conversation.awaited if self._is_open else "connection", timeout)

    def _failure(self, code: int) -> CheckResult:
        if code == errno.EPIPE:  # it has closed, and reset what came after
            return self._conversation.ended()
        return of_network(code, "" if code == errno.ECONNREFUSED else self._conversation.awaited)

    def _error(self) -> int:
        return self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def _hear(self) -> CheckResult:
        """Hear until there is a result. Raise BlockingIOError where more has to come."""
        while data := self.recv(CHUNK):
            self._left -= len(data)
            self._pieces -= 1
            if self._left < 0:
                return TOO_LONG
            if self._pieces < 0:
                return TOO_MANY
            said = self._conversation.heard(data)
            if not isinstance(said, bytes):
                return said
            if said:
                self._unsent += said
                self._unsent = self._unsent[self.send(self._unsent) :]
        return self._conversation.ended()
