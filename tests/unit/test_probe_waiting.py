from __future__ import annotations

import math
import select
import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from registrar.counts import Tally
from registrar.model import CheckResult, HealthCheck, TcpProbe
from registrar.probe.checked import Checked, Manner
from registrar.probe.exchange import Place
from registrar.probe.waiting import Waiting

PATIENCE_S = 10.0


class Conversation(socket.socket):
    """An exchange that goes on for as long as anybody likes."""

    wants = select.EPOLLIN

    def release(self) -> None:
        self.close()

    def ready(self, _: int) -> CheckResult | None:
        return None

    def overdue(self, timeout: float) -> CheckResult:
        raise AssertionError(timeout)


class NoProber:
    """A prober of which nothing is wanted."""

    files = ()

    def begin(self, place: Place) -> Conversation:
        raise AssertionError(place)

    def read(self) -> None:
        pass


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    made = Waiting()
    yield made
    for checked in made.all():
        end(made, checked)
    made.close()


def checked(timeout: float) -> Checked:
    manner = Manner(HealthCheck(TcpProbe(), timeout=timeout), NoProber(), Tally())
    return Checked(manner, (ip_address("192.0.2.1"), 80))


def begin(waiting: Waiting, one: Checked, *, at: float) -> socket.socket:
    """Have a check begin; return the other end of its conversation."""
    here, there = socket.socketpair()
    one.exchange = Conversation(fileno=here.detach())
    one.started = at
    waiting.begin(one)
    return there


def end(waiting: Waiting, one: Checked) -> None:
    assert one.exchange is not None
    waiting.end(one)
    one.exchange.close()
    one.exchange = None


def test_the_next_deadline_is_that_of_whoever_is_still_waited_for(waiting: Waiting) -> None:
    quick, slow = checked(1.0), checked(5.0)
    assert waiting.next_deadline() == math.inf
    with begin(waiting, slow, at=0.0), begin(waiting, quick, at=1.0):
        assert waiting.next_deadline() == 2.0
        end(waiting, quick)
        assert waiting.next_deadline() == 5.0
        end(waiting, slow)
        assert waiting.next_deadline() == math.inf


def test_what_has_ended_in_time_is_not_overdue_nor_is_the_check_after_it(waiting: Waiting) -> None:
    one, other = checked(1.0), checked(1.0)
    with begin(waiting, one, at=0.0):
        end(waiting, one)
    with begin(waiting, one, at=0.5), begin(waiting, other, at=0.5):
        end(waiting, other)
        assert list(waiting.overdue(1.4)) == []
        assert list(waiting.overdue(1.5)) == [one]
        assert list(waiting.overdue(9.0)) == []


def test_what_happens_is_told_of_whoever_is_waited_for(waiting: Waiting) -> None:
    one, other = checked(1.0), checked(1.0)
    with begin(waiting, one, at=0.0) as there, begin(waiting, other, at=0.0) as elsewhere:
        waiting.poll(0)  # that both may write is no news
        there.send(b"x")
        ((who, happened),) = waiting.poll(PATIENCE_S)
        assert who is one
        assert happened & select.EPOLLIN
        end(waiting, other)
        elsewhere.close()
        assert waiting.poll(0) == []


def test_to_wake_it_ends_one_poll(waiting: Waiting) -> None:
    waiting.wake()
    assert waiting.poll(None) == []
    waiting.wake()
    waiting.wake()
    assert waiting.poll(PATIENCE_S) == []
    assert not select.select([waiting._epoll], [], [], 0)[0]  # noqa: SLF001  nothing is left over
