"""Waits for what another process does: looks again and again, until a deadline.

It must never wait for a fixed time in the hope that something has happened by then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from tests.lab.errors import LabError

T = TypeVar("T")

_never = Event()


def wait_for(
    predicate: Callable[[], T],
    timeout: float,
    what: str | Callable[[], str],
    every: float = 0.05,
) -> T:
    """Return the first true value of `predicate`; `what` says in words what is waited for.

    Raise LabError, with its last value, if there is none within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        # Taken before the look: what became true in time counts, however slow the look is.
        late = time.monotonic() > deadline
        value = predicate()
        if value:
            return value
        if late:
            words = what() if callable(what) else what
            raise LabError(f"not within {timeout:g} s: {words}; last seen: {value!r}")
        _never.wait(every)
