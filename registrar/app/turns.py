"""Lets the loop have its turn while much is read, so that no change waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")


async def in_turns(items: Iterable[T], at_once: int) -> AsyncIterator[T]:
    """Yield each; others have their turn after so many."""
    for count, item in enumerate(items, 1):
        yield item
        if count % at_once == 0:
            await asyncio.sleep(0)
