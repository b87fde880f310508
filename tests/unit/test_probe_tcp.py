from __future__ import annotations

import errno
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_address

import pytest

from registrar.expect import MOST_BYTES, Expectation
from registrar.model import CheckResult, Expected, Outcome, TcpProbe
from registrar.probe.libc import connect, dissolve, sockaddr_of
from registrar.probe.results import of_dialling, of_network
from tests.checking import check, checking
from tests.fakes import CHECK, target

QUICK = replace(CHECK, timeout=0.2)


@contextmanager
def listening(address: str = "127.0.0.1", backlog: int = 8) -> Iterator[socket.socket]:
    family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen(backlog)
        yield listener


async def outcome(address: str, listener: socket.socket) -> CheckResult:
    return await check(target(address, listener.getsockname()[1], QUICK))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_backend_that_accepts_is_up(address: str) -> None:
    with listening(address) as listener:
        assert await outcome(address, listener) == CheckResult(Outcome.PASSED, "connected")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_backend_that_refuses_is_down(address: str) -> None:
    with listening(address) as listener:
        gone = target(address, listener.getsockname()[1], QUICK)
    assert await check(gone) == CheckResult(Outcome.FAILED, "connection refused")


async def test_a_backend_whose_queue_is_full_is_down_after_the_timeout() -> None:
    with listening(backlog=0) as listener, ExitStack() as stack:
        for _ in range(4):  # they fill the queue that nobody empties
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003  it takes no keyword
            with suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        began = time.monotonic()
        result = await outcome("127.0.0.1", listener)
        assert result == CheckResult(Outcome.SILENT, "no connection within 0.2 s")
        assert 0.2 <= time.monotonic() - began < 1.0


async def test_a_check_is_gone_before_the_program_behind_the_backend_learns_of_it() -> None:
    with listening() as listener:
        asked = target("127.0.0.1", listener.getsockname()[1], QUICK)
        async with checking(asked) as (engine, reports):
            await reports.wait_until(asked, "connected")
            for _ in range(3):  # a socket that has served before is no other
                await engine.renew([asked])
            assert engine.tallies["tcp"].passed >= 4
        listener.setblocking(False)  # noqa: FBT003  it takes no keyword
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_the_handshake_is_completed_where_that_is_asked_for() -> None:
    complete = replace(QUICK, probe=TcpProbe(completes=True))
    with listening() as listener:
        asked = target("127.0.0.1", listener.getsockname()[1], complete)
        assert (await check(asked)).outcome is Outcome.PASSED
        listener.settimeout(30)
        accepted, _ = listener.accept()
        with accepted, pytest.raises(ConnectionResetError):
            accepted.recv(1)


# --- failures of our own say nothing of the backend ----------------------------------------------


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_being_out_of_descriptors_is_unknown() -> None:
    with listening() as listener:
        asked = target("127.0.0.1", listener.getsockname()[1], replace(QUICK, interval=0.2))
        async with checking() as (engine, reports):
            with no_descriptors_left():
                engine.add(asked)
                (result, *_) = await reports.wait_for(asked)
            assert result == CheckResult(Outcome.UNKNOWN, "could not be run: too many open files")
            await reports.wait_until(asked, "connected")


async def test_having_no_route_is_unknown() -> None:
    unroutable = target("224.0.0.1", 80, QUICK)  # TCP has no way to a multicast group
    result = await check(unroutable)
    assert result == CheckResult(Outcome.UNKNOWN, "could not be run: network is unreachable")


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EPERM, errno.ENOBUFS])
def test_what_we_lack_is_unknown(number: int) -> None:
    assert of_dialling(number).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (errno.ECONNRESET, Outcome.FAILED),
        (errno.ECONNREFUSED, Outcome.FAILED),
        (errno.EHOSTUNREACH, Outcome.SILENT),
        (errno.ETIMEDOUT, Outcome.SILENT),
    ],
)
def test_what_the_backend_or_the_way_to_it_does_is_told_apart(
    number: int, outcome: Outcome
) -> None:
    expected = CheckResult(outcome, os.strerror(number).lower())
    assert of_network(number) == expected


def test_no_answer_makes_an_expression_take_long() -> None:
    """By backtracking it would take longer than the sun lasts."""
    expect = Expectation(Expected(rb"^(a+)+$", is_expression=True))
    assert not expect.is_met(b"a" * (MOST_BYTES - 1) + b"b")
    assert expect.is_met(b"a" * MOST_BYTES)


async def test_a_source_address_of_the_other_family_is_unknown() -> None:
    with listening() as listener:
        check_from = replace(QUICK, source_address=ip_address("::1"))
        asked = target("127.0.0.1", listener.getsockname()[1], check_from)
        found = await check(asked)
    assert found.outcome is Outcome.UNKNOWN
    assert found.reason == "could not be run: cannot assign requested address"


async def test_checks_leave_from_the_address_that_is_given() -> None:
    complete = replace(
        QUICK, probe=TcpProbe(completes=True), source_address=ip_address("127.0.0.77")
    )
    with listening() as listener:
        assert (await check(target("127.0.0.1", listener.getsockname()[1], complete))).reason
        listener.settimeout(30)
        accepted, (source, _) = listener.accept()
        accepted.close()
    assert source == "127.0.0.77"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_for_libc_is_what_python_makes_of_it(address: str) -> None:
    with listening(address) as listener, socket.socket(listener.family) as opened:
        port = listener.getsockname()[1]
        assert connect(opened.fileno(), sockaddr_of(ip_address(address), port)) == 0
        assert opened.getpeername()[:2] == (address, port)
        assert dissolve(opened.fileno())
        with pytest.raises(OSError, match="not connected"):
            opened.getpeername()
