"""Elects one of several replicas to write, by a Lease that it renews for as long as it lives.

Time is this replica's own monotonic clock: what others have written into the Lease tells only that
they live, never when. Whoever leads stops before the others may begin: `renew_deadline` counts from
when the last renewal was sent, the lease's duration from when it was seen.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from random import Random
from typing import TypeVar

import structlog

from registrar.cluster.client import LEASES, Client, Scope
from registrar.cluster.known import number
from registrar.cluster.lease import LeaseStore, LeaseTerms
from registrar.cluster.objects import Lease
from registrar.cluster.term import Term
from registrar.cluster.watched import Watched
from registrar.errors import (
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Forbidden,
    LeaseForbidden,
    NotFound,
)

RELEASE_S = 0.4
"""Giving the lease back may take so long."""

_T = TypeVar("_T")

log = structlog.get_logger()


class Election:
    """Stands for election until cancelled. `changed` is called when the lead is gained or lost."""

    def __init__(
        self,
        client: Client,
        terms: LeaseTerms,
        store: LeaseStore,
        changed: Callable[[], None],
        rng: Random,
    ) -> None:
        self._terms = terms
        self._store = store
        self._changed = changed
        self._listeners: list[Callable[[Lease | None], None]] = []
        self._rng = rng
        self._server = client.server
        scope = Scope(terms.namespace, terms.name)
        self._watched = Watched(client, LEASES, scope, _name, self._hear, rng)
        self._watched.want(frozenset({terms.name}))
        self._news = asyncio.Event()
        self._seen: Lease | None = None
        self._seen_at: float | None = None
        self._held: Lease | None = None
        self._term: Term | None = None
        self._renewed_at = 0.0
        self._said: tuple[str, str] = ("", "")

    # --- what others ask -------------------------------------------------------------------------

    @property
    def term(self) -> Term | None:
        """The term, None while this replica doesn't lead."""
        return self._term if self._time_left > 0 else None

    @property
    def identity(self) -> str:
        """What this replica goes by in the Lease."""
        return self._terms.identity

    @property
    def leader(self) -> str:
        """Who leads, as last heard; empty if nobody does."""
        return (self._seen and self._seen.spec.holder_identity) or ""

    def writes_until(self) -> float | None:
        """Return when a write that is sent now has to end, None if none may be sent."""
        return None if self.term is None else self._renewed_at + self._terms.duration

    def listen(self, listener: Callable[[Lease | None], None]) -> None:
        """Have every news of the Lease told."""
        self._listeners.append(listener)

    async def heard(self, patience: float) -> None:
        """Wait until the Lease has been read.

        Raise LeaseForbidden if it may not be, or the ClusterError that keeps it from being read
        after `patience` seconds.
        """
        try:
            async with asyncio.timeout(patience):
                await self._watched.tried.wait()
                is_listed = self._watched.synced.is_set()
                if isinstance(self._watched.error, Forbidden) and not is_listed:
                    raise LeaseForbidden(str(self._terms))
                await self._watched.synced.wait()
        except TimeoutError:
            raise self._watched.error or ClusterUnreachable(self._server) from None

    # --- the election ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Stand for election, and lead for as long as elected, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watched.run())
            await self._watched.synced.wait()
            while True:
                await self._vacancy()
                try:
                    await self._take()
                except Conflict:
                    continue  # somebody else was quicker, which the next look at it shows
                except ClusterError as error:
                    self._say("not-elected", error=str(error))
                    await asyncio.sleep(self._terms.retry_period * self._rng.uniform(0.5, 1.0))
                    continue
                if self.term is not None:
                    self._say("leading", epoch=self.term.epoch)
                    self._changed()
                    reason = await self._lead()
                    self._held = self._term = None
                    self._say("lead-lost", reason=reason)
                    self._changed()

    async def resign(self, patience: float = RELEASE_S) -> None:
        """Stop leading, and give the Lease back so that others need not wait. `run` has ended."""
        held, leads = self._held, self.term is not None
        self._held = self._term = None
        if held is None or not leads:
            return
        try:
            await self._within(patience, self._release(held))
        except ClusterError as error:
            self._say("lease-not-released", error=str(error))
        else:
            self._say("lease-released")

    # --- standing by -----------------------------------------------------------------------------

    def _hear(self, _name: str) -> None:
        found = self._watched.get(self._terms.name)
        self._see(found)
        self._news.set()
        for listener in self._listeners:
            listener(found)

    def _see(self, found: Lease | None) -> None:
        """Take note of the Lease, and of when it was first seen as it is."""
        if self._seen_at is not None and _version(found) == _version(self._seen):
            return
        if found is not None and _version(found) < _version(self._seen):
            return  # the watch is behind what was read
        self._seen, self._seen_at = found, _monotonic()

    async def _vacancy(self) -> None:
        while (wait := self._vacant_in()) > 0:
            self._say("standing-by", leader=self.leader)
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()

    def _vacant_in(self) -> float:
        """Return how long the Lease, as last seen, is somebody else's; 0 if it may be taken."""
        found = self._seen
        if found is None or self._seen_at is None or not found.spec.holder_identity:
            return 0.0
        if self._is_ours(found):
            return 0.0
        duration = max(self._terms.duration, float(found.spec.lease_duration_seconds or 0))
        return max(0.0, self._seen_at + duration - _monotonic())

    async def _take(self) -> None:
        """Take the Lease if it is vacant still."""
        found = await self._within(self._patience, self._store.read())
        self._see(found)
        if self._vacant_in() > 0:
            return
        sent = _monotonic()
        held = await self._within(self._patience, self._store.take(found))
        self._see(held)
        self._held, self._renewed_at = held, sent
        self._term = Term(held.spec.lease_transitions or 0, _version(held))

    # --- leading ---------------------------------------------------------------------------------

    async def _lead(self) -> str:
        """Renew the Lease for as long as it is ours; return why it no longer is."""
        reason = "it could not be renewed in time"
        while (left := self._time_left) > 0:
            await asyncio.sleep(min(self._terms.retry_period, left))
            if self._held is None or (left := self._time_left) <= 0:
                break
            sent = _monotonic()
            try:
                renewed = await self._within(min(self._patience, left), self._renewed(self._held))
            except ClusterError as error:
                reason = f"it could not be renewed in time: {error}"
                continue
            if renewed is None:
                return "another replica has taken it"
            self._see(renewed)
            self._held, self._renewed_at = renewed, sent
        return reason

    async def _renewed(self, held: Lease) -> Lease | None:
        """Renew the Lease, which somebody may have edited or deleted; None: it is not ours."""
        try:
            return await self._store.renew(held)
        except Conflict:
            found = await self._store.read()
        except NotFound:
            found = None
        if found is None:
            return await self._made_again(held)
        return await self._store.renew(found) if self._is_ours(found) else None

    async def _made_again(self, held: Lease) -> Lease | None:
        try:
            return await self._store.make_again(held)
        except Conflict:
            return None

    async def _release(self, held: Lease) -> None:
        try:
            await self._store.release(held)
        except Conflict:  # a renewal was under way when `run` ended
            found = await self._store.read()
            if found is not None and self._is_ours(found):
                await self._store.release(found)

    @property
    def _time_left(self) -> float:
        if self._term is None:
            return 0.0
        return max(0.0, self._renewed_at + self._terms.renew_deadline - _monotonic())

    @property
    def _patience(self) -> float:
        """How long to wait for one answer, so that a second request fits in the time."""
        return self._terms.renew_deadline / 2

    async def _within(self, seconds: float, work: Coroutine[object, object, _T]) -> _T:
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError:
            raise ClusterUnreachable(f"{self._server}: no answer in time") from None

    def _is_ours(self, found: Lease) -> bool:
        return found.spec.holder_identity == self._terms.identity

    def _say(self, event: str, **values: object) -> None:
        said = (event, str(values))
        if said != self._said:
            is_trouble = event in {"not-elected", "lead-lost", "lease-not-released"}
            tell = log.warning if is_trouble else log.info
            tell(event, lease=str(self._terms), **values)
        self._said = said


def _version(lease: Lease | None) -> int:
    return -1 if lease is None else number(lease.metadata.resource_version)


def _name(lease: Lease) -> str:
    return lease.metadata.name


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
