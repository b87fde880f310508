"""Blocking calls in threads, which may hang."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from functools import partial

import pytest

from registrar.threads import in_thread

DEADLINE_S = 5.0


async def test_a_call_in_a_thread_gives_what_it_returns_or_raises() -> None:
    assert await in_thread(lambda: 42) == 42
    assert await in_thread(lambda: [None]) == [None]
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
    async with asyncio.timeout(DEADLINE_S):
        # A future refuses this one.
        with pytest.raises(RuntimeError):
            await in_thread(lambda: next(iter(())))


async def test_a_call_that_hangs_holds_up_nobody_who_no_longer_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait(DEADLINE_S)
        ended.set()

    hung = asyncio.create_task(in_thread(hang))
    assert await in_thread(lambda: begun.wait(DEADLINE_S))
    hung.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hung
    release.set()
    # Two calls later its result, which nobody waits for, has been thrown away without a word.
    assert await in_thread(lambda: ended.wait(DEADLINE_S))
    others = [thread for thread in threading.enumerate() if "(run)" in thread.name]
    for thread in others:
        await in_thread(partial(thread.join, DEADLINE_S))
    assert not caplog.records


def test_a_call_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    program = (
        "import asyncio, threading\n"
        "from registrar.threads import in_thread\n"
        "async def main():\n"
        "    begun = threading.Event()\n"
        "    def hang():\n"
        "        begun.set()\n"
        "        threading.Event().wait()\n"
        "    hung = asyncio.create_task(in_thread(hang))\n"
        "    await in_thread(begun.wait)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""


def test_a_call_that_ends_after_the_loop_says_nothing() -> None:
    release, ended = threading.Event(), threading.Event()

    def late() -> None:
        release.wait(DEADLINE_S)
        ended.set()

    async def begin() -> None:
        waiting = asyncio.create_task(in_thread(late))
        await in_thread(lambda: None)
        waiting.cancel()

    asyncio.run(begin())
    release.set()
    assert ended.wait(DEADLINE_S)
