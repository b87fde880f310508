"""Tells the time that is measured by."""

from __future__ import annotations

import asyncio


def loop_time() -> float:
    """Return monotonic time in seconds: the event loop's, which tests may have run ahead."""
    return asyncio.get_running_loop().time()
