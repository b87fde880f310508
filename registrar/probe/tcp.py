"""A backend is up that accepts a TCP connection, and answers as it is expected to."""

from __future__ import annotations

import select
import socket

from registrar.expect import MOST_BYTES, Expectation
from registrar.model import CheckResult, HealthCheck, TcpProbe
from registrar.probe.dial import Dialler
from registrar.probe.exchange import Place
from registrar.probe.results import failed, of_dialling, of_network, passed, silent
from registrar.probe.spare import Resettable
from registrar.probe.stream import StreamExchange

ERRORS = select.EPOLLERR | select.EPOLLHUP
_CONNECTED = passed("connected")
_AS_EXPECTED = passed("answered as expected")


class TcpProber:
    """Begins checks that only connect, or that talk where there is something to be said."""

    def __init__(self, check: HealthCheck, probe: TcpProbe) -> None:
        self._expect = None if probe.expect is None else Expectation(probe.expect)
        self._send = probe.send
        completes = probe.completes or self._expect is not None
        self._dialler = Dialler(check, completes=completes)

    files = None

    def read(self) -> None:
        """Read nothing."""

    def begin(self, place: Place) -> TcpExchange | StreamExchange | CheckResult:
        """Begin a check."""
        try:
            if self._expect is None:
                return self._dialler.tcp(TcpExchange, place)
            opened = self._dialler.tcp(StreamExchange, place)
        except OSError as error:
            return of_dialling(error.errno or 0)
        return opened.hold(TcpConversation(self._send, self._expect))


class TcpExchange(Resettable):
    """Waits for the connection, no more."""

    __slots__ = ()

    wants = select.EPOLLOUT

    def ready(self, events: int) -> CheckResult | None:
        """Take what has become of the connection."""
        if events & ERRORS and (code := self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
            return of_network(code)
        return _CONNECTED

    def overdue(self, timeout: float) -> CheckResult:
        """Return that there is no connection."""
        return silent("connection", timeout)


class TcpConversation:
    """Says something, and hears whether the answer holds what is expected."""

    __slots__ = ("_expect", "_heard", "_send")

    def __init__(self, send: bytes, expect: Expectation) -> None:
        self._send = send
        self._expect = expect
        self._heard = b""

    @property
    def awaited(self) -> str:
        """What it waits for."""
        return "expected answer" if self._heard else "answer"

    def opening(self) -> bytes:
        """Return what to say first."""
        return self._send

    def heard(self, data: bytes) -> CheckResult | bytes:
        """Look for what is expected in all that has come."""
        self._heard += data[: MOST_BYTES - len(self._heard)]
        if self._expect.is_met(self._heard):
            return _AS_EXPECTED
        if len(self._heard) == MOST_BYTES:
            return failed(f"the first {MOST_BYTES} bytes are not the expected answer")
        return b""

    def ended(self) -> CheckResult:
        """Return that what was expected didn't come."""
        if not self._heard:
            return failed("closed without an answer")
        return failed("closed after another answer than expected")
