"""What the ways in need to know of the running program."""

from __future__ import annotations

from typing import Protocol

from registrar.draining import DrainOrder, DrainOutcome
from registrar.resync import Order, Outcomes
from registrar.status import Status


class Program(Protocol):
    """The running program."""

    @property
    def is_ready(self) -> bool:
        """Whether what the cluster holds is known, so that decisions are made."""
        ...

    def status(self) -> Status:
        """Return the state of everything, now."""
        ...

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics as `accept` asks for them, and their content type."""
        ...

    async def resync(self, order: Order) -> Outcomes:
        """Carry out an order, here or where the leader is."""
        ...

    async def drain(self, order: DrainOrder) -> DrainOutcome:
        """Take backends out, or back in."""
        ...
