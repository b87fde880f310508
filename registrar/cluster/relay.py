"""Passes orders from a replica that doesn't lead to the one that does, by annotations of the Lease.

Both see the Lease anyway: no port has to be open between them, and no secret shared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from random import Random
from typing import Annotated, TypeVar

import msgspec
import structlog

from registrar.cluster.election import Election
from registrar.cluster.lease import LeaseStore
from registrar.cluster.objects import Lease
from registrar.errors import MALFORMED, ClusterError, Conflict

ORDER = "registrar.internal/order"
ANSWER = "registrar.internal/answer"
TRIES = 10
PAUSE_S = 0.1

Handle = Callable[[str, str], Awaitable[str]]
"""Carries out an order, of a kind and with a body; returns the answer's."""

log = structlog.get_logger()


_T = TypeVar("_T")


class _Order(msgspec.Struct, frozen=True):
    id: str
    kind: str
    body: str
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    """Who asks waits no longer: it is not to be carried out later."""


class _Answer(msgspec.Struct, frozen=True):
    id: str
    body: str


class Relay:
    """One replica's end of it."""

    def __init__(
        self, store: LeaseStore, election: Election, now: Callable[[], datetime], rng: Random
    ) -> None:
        self._store = store
        self._election = election
        self._now = now
        self._rng = rng
        self._lease: Lease | None = None
        self._handled = ""
        self._news = asyncio.Event()
        self._answers: dict[str, asyncio.Future[str]] = {}
        election.listen(self._hear)

    def _hear(self, lease: Lease | None) -> None:
        self._lease = lease
        self._news.set()
        answer = _read(lease, ANSWER, _Answer)
        future = self._answers.get(answer.id) if answer is not None else None
        if answer is not None and future is not None and not future.done():
            future.set_result(answer.body)

    async def ask(self, kind: str, body: str, patience: float) -> str:
        """Have the leader carry out an order; return its answer.

        Raise TimeoutError if none comes within `patience` seconds, ClusterError if the order can't
        be passed on.
        """
        number = f"{self._rng.getrandbits(64):016x}"
        until = self._now() + timedelta(seconds=patience)
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers[number] = answered
        try:
            async with asyncio.timeout(patience):
                while not await self._has_placed(_Order(number, kind, body, until)):  # noqa: ASYNC110  what it waits for is elsewhere
                    await asyncio.sleep(PAUSE_S * self._rng.uniform(0.5, 1.0))
                return await answered
        finally:
            del self._answers[number]

    async def run(self, handle: Handle) -> None:
        """Have `handle` carry out what is passed on while this replica leads, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            order = _read(self._lease, ORDER, _Order)
            if order is None or not self._is_ours_to_do(order):
                continue
            self._handled = order.id
            body = await handle(order.kind, order.body)
            try:
                await self._answer(_Answer(order.id, body))
            except ClusterError as error:
                log.warning("order-not-answered", kind=order.kind, error=str(error))

    def _is_ours_to_do(self, order: _Order) -> bool:
        if self._election.term is None or order.id == self._handled:
            return False
        return self._is_waited_for(self._lease)

    def _is_waited_for(self, lease: Lease | None) -> bool:
        """Whether the order that stands in the Lease has no answer yet, and is of use still."""
        order, answer = _read(lease, ORDER, _Order), _read(lease, ANSWER, _Answer)
        if order is None or self._now() > order.until:
            return False
        return answer is None or answer.id != order.id

    async def _has_placed(self, order: _Order) -> bool:
        found = await self._store.read()
        # One order at a time: another that is waited for must not be lost.
        return not self._is_waited_for(found) and await self._has_put(ORDER, order, found)

    async def _answer(self, answer: _Answer) -> None:
        for _ in range(TRIES):
            if await self._has_put(ANSWER, answer, await self._store.read()):
                return
            await asyncio.sleep(PAUSE_S * self._rng.uniform(0.5, 1.0))
        raise ClusterError("the Lease changes too often to be written")

    async def _has_put(self, name: str, value: msgspec.Struct, lease: Lease | None) -> bool:
        if lease is None:
            raise ClusterError("there is no Lease, for nobody has led yet")
        text = msgspec.json.encode(value).decode()
        try:
            await self._store.annotate(lease, {**lease.metadata.annotations, name: text})
        except Conflict:  # a renewal came between
            return False
        return True


def _read(lease: Lease | None, name: str, kind: type[_T]) -> _T | None:
    text = lease.metadata.annotations.get(name) if lease is not None else None
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except MALFORMED:  # somebody has edited it
        return None
