from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console

from registrar.commands.progress import with_progress

pytestmark = pytest.mark.looptime


async def shown(seconds: float, *, terminal: bool) -> str:
    """Return what is seen of work that takes so long."""
    screen = Console(file=io.StringIO(), force_terminal=terminal, width=80)

    async def work() -> str:
        await asyncio.sleep(seconds)
        return "done"

    assert await with_progress(lambda: "waiting for the API server", work(), screen) == "done"
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


async def test_what_takes_longer_than_a_second_says_what_it_waits_for() -> None:
    assert "waiting for the API server" in await shown(5, terminal=True)


async def test_what_is_quick_or_read_by_a_program_says_nothing() -> None:
    assert await shown(0.5, terminal=True) == ""
    assert await shown(5, terminal=False) == ""
