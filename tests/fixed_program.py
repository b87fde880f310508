"""A program that knows what a test gives it, behind the real ways in.

It must never carry out an order: whoever only looks has nothing to order.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2s
from pathlib import Path

import httpx
import msgspec

from registrar.admin.server import serving
from registrar.app.summary import STATES, source_row
from registrar.draining import DrainOrder, DrainOutcome
from registrar.model import Admin, ServiceKey
from registrar.resync import Order, Outcomes
from registrar.status import (
    BackendStatus,
    HoldStatus,
    PartStatus,
    ServiceRow,
    ServiceRows,
    ServiceStatus,
    SourceStatus,
    Status,
    Summary,
    TurnStatus,
)
from tests.lab import wait_for

CLOCK = 1_000_000.0


@dataclass
class FixedProgram:
    """The running program, with `known` for all that it knows."""

    known: Status
    is_ready: bool = True

    async def status(self) -> Status:
        return self.known

    def summary(self) -> Summary:
        states = Counter(one.state for one in self.known.services)
        return Summary(
            version=self.known.version,
            instance=self.known.instance,
            taken_at=self.known.taken_at,
            leads=self.known.leads,
            leader=self.known.leader,
            self_preservation=self.known.self_preservation,
            states={state: states[state] for state in STATES},
            revision=self.rows().revision,
            sources=tuple(source_row(source) for source in self.known.sources),
        )

    def rows(self) -> ServiceRows:
        text = msgspec.json.encode([_row(one) for one in self.known.services])
        revision = blake2s(text, digest_size=8).hexdigest()
        return ServiceRows(revision=revision, clock=CLOCK, services=msgspec.Raw(text))

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        """Nobody asks for them."""
        raise AssertionError(accept)

    def service(self, key: ServiceKey) -> ServiceStatus | None:
        found = (
            s for s in self.known.services if (s.namespace, s.name) == (key.namespace, key.name)
        )
        return next(found, None)

    def source(self, name: str) -> SourceStatus | None:
        return next((source for source in self.known.sources if source.name == name), None)

    async def resync(self, order: Order) -> Outcomes:
        raise AssertionError(f"nobody was to order anything: {order}")

    async def drain(self, order: DrainOrder) -> DrainOutcome:
        raise AssertionError(f"nobody was to order anything: {order}")


def _row(service: ServiceStatus) -> ServiceRow:
    return ServiceRow(
        namespace=service.namespace,
        name=service.name,
        state=service.state,
        ready=service.ready,
        endpoints=service.endpoints,
        sources=service.sources,
        holds=tuple(hold.reason for hold in service.holds),
        changed_at=None if service.changed is None else CLOCK - service.changed,
    )


@contextlib.contextmanager
def served(program: FixedProgram, folder: Path) -> Iterator[str]:
    """Serve it within the block; give the address."""
    port = unused_port()
    admin = Admin(listen=("127.0.0.1", port), socket=folder / "registrar.sock")
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with serving(program, admin):
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for(lambda: answers(url), 30, f"an answer of {url}")
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def answers(url: str) -> bool:
    """Whether the page is served there."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def unused_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# --- short ways to write down what is known ------------------------------------------------------


def status(*services: ServiceStatus, sources: tuple[SourceStatus, ...] = ()) -> Status:
    return Status(
        version="0.1.0",
        instance="office",
        taken_at="2026-05-04T10:20:30.400+00:00",
        leads=True,
        leader="registrar-7c9f_0a1b2c3d",
        self_preservation=False,
        services=services,
        sources=sources,
    )


def service(
    name: str,
    *backends: BackendStatus,
    state: str = "in-place",
    sources: tuple[str, ...] = ("files",),
    holds: tuple[HoldStatus, ...] = (),
    changed: float | None = 300.0,
) -> ServiceStatus:
    namespace, _, name = name.partition("/")
    return ServiceStatus(
        namespace=namespace,
        name=name,
        state="held" if holds else state,
        ready=sum(one.published == "ready" for one in backends),
        endpoints=sum(one.published != "no" for one in backends),
        publish="both",
        sources=sources,
        holds=holds,
        notices=(),
        dropped=(),
        backends=backends,
        changed=changed,
        written=3,
    )


def backend(
    address: str,
    *turns: TurnStatus,
    published: str = "ready",
    reason: str = "connected",
    port_name: str = "http",
    drained: bool = False,
) -> BackendStatus:
    return BackendStatus(
        port_name=port_name,
        protocol="TCP",
        address=address,
        port=8080,
        published=published,
        verdict=turns[-1].verdict if turns else "unchecked",
        reason=reason,
        turns=turns,
        drained=drained,
    )


def turn(verdict: str, age: float, reason: str = "connected") -> TurnStatus:
    return TurnStatus(verdict=verdict, age=age, reason=reason)


def source(name: str, *parts: PartStatus, error: str | None = None) -> SourceStatus:
    return SourceStatus(name=name, parts=parts, error=error)


def part(
    name: str, answered: float | None = 2.0, backends: int = 3, error: str | None = None
) -> PartStatus:
    return PartStatus(name=name, answered=answered, backends=backends, error=error)
