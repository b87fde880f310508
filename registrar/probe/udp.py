"""A backend is up that answers a datagram as it is expected to, or at least doesn't refuse it."""

from __future__ import annotations

import select
import socket
from typing import Self

from registrar.expect import MOST_BYTES, Expectation
from registrar.model import CheckResult, HealthCheck, UdpProbe
from registrar.probe.dial import Dialler
from registrar.probe.exchange import Place
from registrar.probe.results import failed, of_dialling, of_network, passed, silent

_ANSWERED = passed("answered")
_AS_EXPECTED = passed("answered as expected")
_ANOTHER = failed("another answer than expected")


class UdpProber:
    """Begins checks that send one datagram."""

    def __init__(self, check: HealthCheck, probe: UdpProbe) -> None:
        self._expect = None if probe.expect is None else Expectation(probe.expect)
        self._send = probe.send
        self._dialler = Dialler(check, completes=True)

    files = None

    def read(self) -> None:
        """Read nothing."""

    def begin(self, place: Place) -> UdpExchange | CheckResult:
        """Begin a check: send the datagram."""
        try:
            opened = self._dialler.udp(UdpExchange, place)
        except OSError as error:
            return of_dialling(error.errno or 0)
        try:
            opened.send(self._send)
        except OSError as error:
            opened.close()
            return of_dialling(error.errno or 0)
        return opened.expect(self._expect)


class UdpExchange(socket.SocketType):
    """Waits for the first datagram that comes back, or for word that nobody takes ours."""

    __slots__ = ("_expect",)

    _expect: Expectation | None

    wants = select.EPOLLIN

    def expect(self, expect: Expectation | None) -> Self:
        """Say what the answer is to hold; None if none need come."""
        self._expect = expect
        return self

    def ready(self, events: int) -> CheckResult | None:  # noqa: ARG002  whatever it is, recv tells
        """Take what has come."""
        try:
            answer = self.recv(MOST_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            return of_network(error.errno or 0)
        if self._expect is None:
            return _ANSWERED
        return _AS_EXPECTED if self._expect.is_met(answer) else _ANOTHER

    def release(self) -> None:
        """Close the socket: another answer may still be on its way to it."""
        self.close()

    def overdue(self, timeout: float) -> CheckResult:
        """Return that nothing has come, which is no fault where nothing need come."""
        if self._expect is None:
            return passed(f"no refusal within {timeout:g} s")
        return silent("answer", timeout)
