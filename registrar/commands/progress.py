"""Says on a terminal what a command waits for, once it has taken longer than a second."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import TypeVar

from rich.console import Console

SOON_S, LOOK_S = 1.0, 0.2

_T = TypeVar("_T")


async def with_progress(
    words: Callable[[], str], work: Coroutine[object, object, _T], screen: Console | None = None
) -> _T:
    """Do some work; meanwhile show on `screen`, standard error, what `words` say it waits for."""
    saying = asyncio.create_task(_say(words, screen or Console(stderr=True, markup=False)))
    try:
        return await work
    finally:
        saying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await saying


async def _say(words: Callable[[], str], screen: Console) -> None:
    if not screen.is_terminal:
        return
    await asyncio.sleep(SOON_S)
    with screen.status("") as status:
        while True:
            status.update(words())
            await asyncio.sleep(LOOK_S)
