"""What the engine does beside asking: whom it asks once for all, how often, and when it can't."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from registrar.model import CheckResult, Header, HttpProbe, Outcome, Target
from registrar.probe import worker
from registrar.probe.checked import Checked
from registrar.probe.engine import CheckEngine
from registrar.probe.http import HttpProber
from registrar.probe.tcp import TcpProber
from tests.checking import Reports, checking
from tests.fakes import CHECK, NoFiles, target

HOUR = replace(CHECK, interval=3600.0)


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        yield listener


@contextmanager
def never_accepting() -> Iterator[tuple[str, int]]:
    """Give the address of a listener whose queue is full: who connects hears nothing."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)  # noqa: FBT003  it takes no keyword
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


async def test_targets_that_ask_the_same_are_checked_once() -> None:
    with listening() as listener:
        check = replace(HOUR, port=port_of(listener))
        one, other = target("127.0.0.1", 80, check), target("127.0.0.1", 443, check)
        async with checking(one, other) as (engine, reports):
            await reports.wait_for(one)
            await reports.wait_for(other)
            assert engine.tallies["tcp"].passed == 1
            engine.remove(one)
            await engine.renew([other])
            assert engine.tallies["tcp"].passed == 2
            assert reports.of(one) == reports.of(other)[:1]


async def test_a_defect_in_reading_files_is_told_and_got_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")

    def broken(_: HttpProber) -> None:
        raise RuntimeError(token.read_text())

    check = replace(CHECK, probe=HttpProbe(headers=(Header("X-Token", file=token),)), interval=0.05)
    with listening() as listener, capture_logs() as logs:
        asked = target("127.0.0.1", port_of(listener), check)
        with monkeypatch.context() as patch:
            patch.setattr(HttpProber, "read", broken)
            async with checking(asked) as (_, reports):
                found = await reports.wait_until(asked, "defect")
                assert found.outcome is Outcome.UNKNOWN
                assert "RuntimeError" in found.reason
                assert "s3cret" not in found.reason
                patch.undo()
                token.write_text("another")
                assert (await reports.wait_until(asked, "answer")).outcome is Outcome.SILENT
    (line,) = [line for line in logs if line["event"] == "check-files-not-read"]
    assert line["files"] == [str(token)]
    assert "s3cret" not in str(line)


async def test_a_verdict_that_is_about_to_change_is_waited_for_less_long() -> None:
    check = replace(HOUR, fast_interval=0.02, timeout=0.02, rise=4, fall=3)
    with listening() as listener:
        address = listener.getsockname()
        asked = target("127.0.0.1", address[1], check)
        async with checking(asked) as (engine, reports):
            await reports.wait_until(asked, "connected")
            listener.close()
            await engine.renew([asked])
            down = [one for one in await reports.wait_for(asked, 4) if "refused" in one.reason]
            assert len(down) == 3  # and then nothing for an hour
            with socket.create_server(address):
                await engine.renew([asked])
                await reports.wait_for(asked, 8)
            assert [one.outcome for one in reports.of(asked)[4:]] == [Outcome.PASSED] * 4


async def test_what_says_the_same_again_and_again_is_no_news() -> None:
    quick = replace(CHECK, interval=0.02, timeout=0.02, rise=2, fall=3)
    with listening() as listener:
        asked = target("127.0.0.1", port_of(listener), quick)
        async with checking(asked) as (engine, reports):
            while engine.tallies.get("tcp") is None or engine.tallies["tcp"].passed < 10:
                await engine.renew([asked])
            assert len(reports.of(asked)) == 3
            engine.tell_all(is_on=True)
            await reports.wait_for(asked, 10)


async def test_silence_is_told_of_again_and_again() -> None:
    silent = replace(CHECK, interval=0.05, timeout=0.02, fall=1, rise=1)
    with never_accepting() as address:
        asked = target("127.0.0.1", address[1], silent)
        async with checking(asked) as (_, reports):
            found = await reports.wait_for(asked, 5)
    assert {one.reason for one in found} == {"no connection within 0.02 s"}


async def test_silence_that_changes_nothing_is_told_of_seldom_and_its_end_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "SETTLED_S", 3600.0)
    reports = Reports()

    def settled(one: Target, result: CheckResult) -> bool:
        reports.take(one, result)
        return True

    check = replace(CHECK, interval=0.02, timeout=0.01, fall=1, rise=1)
    engine = CheckEngine(settled, NoFiles())
    with never_accepting() as address:
        asked = target("127.0.0.1", address[1], check)
        engine.add(asked)
        await reports.wait_for(asked)
        for _ in range(20):
            await engine.renew([asked])
        assert engine.tallies["tcp"].silent > 20
        assert len(reports.of(asked)) < 6
    await reports.wait_until(asked, "refused")
    await engine.aclose()


async def test_a_defect_of_one_check_ends_no_other_and_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = replace(CHECK, interval=0.05, timeout=0.05)
    begin = TcpProber.begin

    def broken(self: TcpProber, place: Checked) -> object:
        if place.at[1] == 1:
            raise ValueError("unexpected")
        return begin(self, place)

    monkeypatch.setattr(TcpProber, "begin", broken)
    with listening() as listener, capture_logs() as logs:
        good, bad = target("127.0.0.1", port_of(listener), quick), target("127.0.0.1", 1, quick)
        async with checking(bad, good) as (engine, reports):
            for _ in range(3):
                await engine.renew([good, bad])
            await reports.wait_until(good, "connected")
        assert reports.of(bad)[0] == CheckResult(
            Outcome.UNKNOWN, "could not be run: internal error"
        )
    assert [line["event"] for line in logs] == ["check-internal-error"]
    assert logs[0]["exc_info"].args == ("unexpected",)


class FullEpoll:
    """An epoll that takes no more: Linux lets each user wait for so many."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self.is_full = True

    def register(self, descriptor: int, events: int) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._epoll.register(descriptor, events)

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        return self._epoll.poll(timeout)

    def close(self) -> None:
        self._epoll.close()


async def test_what_can_not_be_waited_for_is_unknown_and_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[FullEpoll] = []
    epoll = select.epoll

    def full() -> FullEpoll:
        made.append(FullEpoll(epoll()))
        made[0].is_full = False  # until the worker has registered what wakes it
        return made[0]

    monkeypatch.setattr(select, "epoll", full)
    quick = replace(CHECK, interval=0.1, timeout=0.1)
    with listening() as listener:
        asked = target("127.0.0.1", port_of(listener), quick)
        async with checking() as (engine, reports):
            made[0].is_full = True
            engine.add(asked)
            (first, *_) = await reports.wait_for(asked)
            assert first == CheckResult(
                Outcome.UNKNOWN, "could not be run: no space left on device"
            )
            made[0].is_full = False
            await reports.wait_until(asked, "connected")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("rate", [1e9, 0.0], ids=["woken", "looking"])
async def test_many_are_checked_and_none_leaves_anything_behind(
    monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    """In both ways to wait: for each event, and for the next look."""
    monkeypatch.setattr(worker, "TICKING_RATE", rate)
    quick = replace(CHECK, interval=0.1, timeout=0.1)
    before = descriptors()
    with listening() as listener:
        dead = port_of(listener)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        up = [
            target("127.0.0.1", port_of(listener), replace(quick, rise=number))
            for number in range(1, 41)
        ]
        down = [target(f"127.0.1.{number}", dead, quick) for number in range(1, 21)]
        async with checking(*up, *down) as (engine, reports):
            for one in (*up, *down):
                await reports.wait_for(one)
            for _ in range(3):
                await engine.renew([*up, *down])
    assert {one.reason for each in up for one in reports.of(each)} == {"connected"}
    assert {one.reason for each in down for one in reports.of(each)} == {"connection refused"}
    assert descriptors() == before


async def test_closing_gives_up_what_is_under_way() -> None:
    before = descriptors()
    slow = replace(CHECK, interval=60.0, timeout=60.0)
    with never_accepting() as address:
        engine = CheckEngine(Reports().take, NoFiles())
        asked = target("127.0.0.1", address[1], slow)
        engine.add(asked)
        renewing = asyncio.create_task(engine.renew([asked]))
        await asyncio.sleep(0)
        await engine.aclose()
        renewing.cancel()
    assert descriptors() == before
