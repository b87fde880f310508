"""Holds a conversation on a connection that is being made."""

from __future__ import annotations

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


class StreamExchange(Resettable):
    """Connects, says what is to be said, and hears the answer, until there is a result."""

    __slots__ = ("_conversation", "_is_open", "_left", "_unsent")

    _conversation: Conversation
    _is_open: bool
    _left: int
    _unsent: bytes

    def hold(self, conversation: Conversation) -> Self:
        """Hold a conversation once the connection is there."""
        self._conversation = conversation
        self._is_open = False
        self._left = MOST_HEARD
        self._unsent = b""
        return self

    @property
    def wants(self) -> int:
        """To be open first, then to hear."""
        return select.EPOLLIN if self._is_open and not self._unsent else select.EPOLLOUT

    def ready(self, events: int) -> CheckResult | None:
        """Go on as far as it goes."""
        try:
            if not self._is_open:
                if not events & _OPEN:
                    return None
                if events != select.EPOLLOUT and (code := self._error()):
                    return of_network(code)
                self._is_open = True
                self._unsent = self._conversation.opening()
            if self._unsent:
                self._unsent = self._unsent[self.send(self._unsent) :]
            return self._hear() if events & _HEARD else None
        except BlockingIOError:
            return None
        except OSError as error:
            return of_network(error.errno or 0, self._conversation.awaited)

    def overdue(self, timeout: float) -> CheckResult:
        """Return that what was awaited hasn't come."""
        return silent(self._conversation.awaited if self._is_open else "connection", timeout)

    def _error(self) -> int:
        return self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def _hear(self) -> CheckResult:
        """Hear until there is a result. Raise BlockingIOError where more has to come."""
        while data := self.recv(CHUNK):
            self._left -= len(data)
            if self._left < 0:
                return TOO_LONG
            said = self._conversation.heard(data)
            if not isinstance(said, bytes):
                return said
            if said:
                self._unsent += said
                self._unsent = self._unsent[self.send(self._unsent) :]
        return self._conversation.ended()
