"""Lets no write pass but the leader's: each is looked at right before it is sent.

It ends before the lease does, so that what a successor writes always comes later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

from registrar.cluster.transport import Reply, Request, Transport
from registrar.errors import ClusterUnreachable, NotLeading


class Tenure(Protocol):
    """Says for how long writes may go on."""

    def writes_until(self) -> float | None:
        """Return when a write that is sent now has to end, in the loop's time; None: send none."""
        ...


class Fence:
    """A Transport that sends writes only while the lease is ours."""

    def __init__(self, transport: Transport, tenure: Tenure) -> None:
        self._transport = transport
        self._tenure = tenure
        self.server = transport.server

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncGenerator[Reply]:
        """Send a request. Raise NotLeading instead if it is a write, and not ours to send."""
        if request.method == "GET":
            async with self._transport.send(request) as reply:
                yield reply
            return
        end = self._tenure.writes_until()
        if end is None:
            raise NotLeading("another replica leads")
        try:
            async with asyncio.timeout_at(end), self._transport.send(request) as reply:
                yield reply
        except TimeoutError:
            raise ClusterUnreachable(f"{self.server}: no answer before the lease ends") from None
