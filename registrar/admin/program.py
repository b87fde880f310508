"""What the ways in need to know of the running program."""

from __future__ import annotations

from typing import Protocol

from registrar.draining import DrainOrder, DrainOutcome
from registrar.model import ServiceKey
from registrar.resync import Order, Outcomes
from registrar.status import ServiceRows, ServiceStatus, SourceStatus, Status, Summary


class Program(Protocol):
    """The running program."""

    @property
    def is_ready(self) -> bool:
        """Whether what the cluster holds is known, so that decisions are made."""
        ...

    async def status(self) -> Status:
        """Return the state of everything, now."""
        ...

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics as `accept` asks for them, and their content type."""
        ...

    def summary(self) -> Summary:
        """Return the state of everything in short, now."""
        ...

    def rows(self) -> ServiceRows:
        """Return all Services in short, now."""
        ...

    def service(self, key: ServiceKey) -> ServiceStatus | None:
        """Return the state of one Service, now; None where it has no mapping."""
        ...

    def source(self, name: str) -> SourceStatus | None:
        """Return the state of one source, now; None where there is none that is asked."""
        ...

    async def resync(self, order: Order) -> Outcomes:
        """Carry out an order, here or where the leader is."""
        ...

    async def drain(self, order: DrainOrder) -> DrainOutcome:
        """Take backends out, or back in."""
        ...
