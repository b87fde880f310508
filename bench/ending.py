"""Has a benchmark end in order when it is ended, or takes too long: nothing is left behind."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn


def end_in_order(longest_s: int) -> None:
    """Leave all blocks at SIGTERM, and after so many seconds."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, _give_up)
    signal.alarm(longest_s)


def _give_up(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(f"ended by {signal.Signals(number).name}")
