"""Keeps the rate of requests to the API server within what the configuration allows.

Watches are never kept waiting. Whatever else may not wait, such as the Lease, goes by a transport
that is not paced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from registrar.cluster.transport import Reply, Request, Transport
from registrar.model import ApiLimits


class Pace:
    """A rate that all who keep it share; it can be changed at any time.

    It is the generic cell rate algorithm: each request takes its share of time from an account that
    may be overdrawn by a burst. Who waits knows at once until when, so nothing has to be woken.
    """

    def __init__(self, limits: ApiLimits) -> None:
        self._limits = limits
        self._taken_until = float("-inf")

    def apply(self, limits: ApiLimits) -> None:
        """Go over to other limits. Who waits already waits by those of before."""
        if limits != self._limits:
            self._limits = limits
            self._taken_until = float("-inf")

    async def wait(self) -> None:
        """Wait until one more request is within the rate."""
        share = 1 / self._limits.requests_per_second
        now = asyncio.get_running_loop().time()
        begin = max(now, self._taken_until)
        self._taken_until = begin + share
        wait = begin - share * (self._limits.burst - 1) - now
        if wait > 0:
            try:
                await asyncio.sleep(wait)
            except asyncio.CancelledError:
                self._taken_until -= share
                raise


class Paced:
    """A Transport that keeps a pace."""

    def __init__(self, transport: Transport, pace: Pace) -> None:
        self._transport = transport
        self._pace = pace
        self.server = transport.server

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncGenerator[Reply]:
        """Send a request, once it is its turn."""
        if not request.stream:
            await self._pace.wait()
        async with self._transport.send(request) as reply:
            yield reply
