"""Checks by UDP on the loopback address, driven as the worker does it: by poll, and by edges."""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest

from registrar.model import CheckResult, Expected, Outcome, UdpProbe
from registrar.probe.dial import family_of
from registrar.probe.exchange import Exchange
from registrar.probe.libc import sockaddr_of
from registrar.probe.udp import UdpProber
from tests.fakes import CHECK

PATIENCE_S = 10.0
ANY = UdpProbe(b"ping")
PONG = UdpProbe(b"ping", Expected(b"pong"))

AS_EXPECTED = CheckResult(Outcome.PASSED, "answered as expected")
REFUSED = CheckResult(Outcome.FAILED, "connection refused")

Drive = Callable[[Exchange], CheckResult]


class At:
    """A place to check."""

    def __init__(self, at: tuple[str, int]) -> None:
        self.at = at
        self.family = family_of(ip_address(at[0]))
        self.sockaddr = sockaddr_of(ip_address(at[0]), at[1])
        self.kept: object = None


def by_poll(exchange: Exchange) -> CheckResult:
    """Look at it as at one that is young."""
    while True:
        poller = select.poll()
        poller.register(exchange.fileno(), exchange.wants)
        ((_, events),) = poller.poll(PATIENCE_S * 1000)
        if (result := exchange.ready(events)) is not None:
            return result


def by_edges(exchange: Exchange) -> CheckResult:
    """Wait for what the epoll tells of it."""
    with select.epoll() as epoll:
        edges = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
        epoll.register(exchange.fileno(), edges)
        while True:
            ((_, events),) = epoll.poll(PATIENCE_S)
            if (result := exchange.ready(events)) is not None:
                return result


@contextmanager
def backend(address: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.socket(family_of(ip_address(address)), socket.SOCK_DGRAM) as bound:
        bound.settimeout(PATIENCE_S)
        bound.bind((address, 0))
        yield bound


def place(bound: socket.socket) -> At:
    return At(bound.getsockname()[:2])


@contextmanager
def begun(probe: UdpProbe, at: At) -> Iterator[Exchange]:
    exchange = UdpProber(CHECK, probe).begin(at)
    assert not isinstance(exchange, CheckResult), exchange
    try:
        yield exchange
    finally:
        exchange.close()


drives = pytest.mark.parametrize("drive", [by_poll, by_edges])


@drives
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"a pong", AS_EXPECTED),
        (b"else", CheckResult(Outcome.FAILED, "another answer than expected")),
        (b"", CheckResult(Outcome.FAILED, "another answer than expected")),
    ],
)
def test_the_first_answer_decides(
    address: str, drive: Drive, answer: bytes, expected: CheckResult
) -> None:
    with backend(address) as bound, begun(PONG, place(bound)) as exchange:
        asked, client = bound.recvfrom(100)
        assert asked == b"ping"
        bound.sendto(answer, client)
        bound.sendto(b"pong", client)
        assert drive(exchange) == expected


def test_an_answer_may_be_an_expression() -> None:
    probe = UdpProbe(b"ping", Expected(rb"^po.g$", is_expression=True))
    with backend() as bound, begun(probe, place(bound)) as exchange:
        bound.sendto(b"po\xffg", bound.recvfrom(100)[1])
        assert by_poll(exchange) == AS_EXPECTED


@drives
def test_an_answer_that_nobody_asked_to_hold_anything(drive: Drive) -> None:
    with backend() as bound, begun(ANY, place(bound)) as exchange:
        bound.sendto(b"", bound.recvfrom(100)[1])
        assert drive(exchange) == CheckResult(Outcome.PASSED, "answered")


@drives
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("probe", [ANY, PONG])
def test_a_port_where_nobody_listens_refuses(address: str, drive: Drive, probe: UdpProbe) -> None:
    with backend(address) as bound:
        gone = place(bound)
    with begun(probe, gone) as exchange:
        assert drive(exchange) == REFUSED


def test_silence_is_a_fault_where_an_answer_is_expected() -> None:
    with backend() as bound, begun(PONG, place(bound)) as exchange:
        assert exchange.overdue(1.0) == CheckResult(Outcome.SILENT, "no answer within 1 s")


def test_silence_is_none_where_none_is() -> None:
    with backend() as bound, begun(ANY, place(bound)) as exchange:
        assert exchange.overdue(0.5) == CheckResult(Outcome.PASSED, "no refusal within 0.5 s")


def test_nobody_else_can_answer() -> None:
    with backend() as bound, backend() as other, begun(PONG, place(bound)) as exchange:
        _, client = bound.recvfrom(100)
        other.sendto(b"other", client)
        assert exchange.ready(select.EPOLLIN) is None
        bound.sendto(b"pong", client)
        assert by_poll(exchange) == AS_EXPECTED


@pytest.mark.parametrize(("address", "source"), [("127.0.0.1", "127.0.0.5"), ("::1", "::1")])
def test_it_leaves_from_the_address_that_is_given(address: str, source: str) -> None:
    check = replace(CHECK, source_address=ip_address(source))
    with backend(address) as bound:
        exchange = UdpProber(check, PONG).begin(place(bound))
        assert not isinstance(exchange, CheckResult)
        _, client = bound.recvfrom(100)
        exchange.close()
    assert client[0] == source


def not_run(number: int) -> CheckResult:
    words = os.strerror(number).lower()
    return CheckResult(Outcome.UNKNOWN, f"could not be run: {words}")


def test_a_want_of_our_own_says_nothing_of_the_backend() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with backend() as bound:
        prober, at = UdpProber(CHECK, PONG), place(bound)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            result = prober.begin(at)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert result == not_run(errno.EMFILE)


def test_what_can_not_be_sent_says_nothing_of_the_backend() -> None:
    with backend() as bound:
        long = UdpProber(CHECK, UdpProbe(bytes(70_000))).begin(place(bound))
    assert long == not_run(errno.EMSGSIZE)
    nobody = UdpProber(CHECK, ANY).begin(At(("255.255.255.255", 9)))
    assert isinstance(nobody, CheckResult)
    assert nobody.outcome is Outcome.UNKNOWN
