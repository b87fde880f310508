"""Orders of people and programs: carried out here while this replica leads, else where it is led.

What is passed on and back is packed, so that it fits into an annotation.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from typing import TypeVar

import msgspec

from registrar.admin.words import backend
from registrar.cluster.election import Election
from registrar.cluster.relay import Relay
from registrar.draining import Draining, DrainOrder, DrainOutcome, DrainState
from registrar.errors import MALFORMED, ClusterError
from registrar.model import ServiceKey
from registrar.resync import Order, Outcome, Outcomes, Resync, State

RESYNC, DRAIN = "resync", "drain"

MOST_PACKED = 200_000
"""All annotations of an object have 256 KiB together."""

MOST_BYTES = 32 * 1024 * 1024


_T = TypeVar("_T")


class _Told(msgspec.Struct, frozen=True, array_like=True):
    namespace: str
    name: str
    state: str
    detail: str


class _Drain(msgspec.Struct, frozen=True, array_like=True):
    """An order to drain, whose backends are words: addresses are no JSON."""

    by: str
    namespace: str
    name: str
    backends: tuple[str, ...]
    out: bool
    force: bool
    timeout: float


class Orders:
    """The ways of orders. Without `election` and `relay` this replica is alone."""

    def __init__(
        self,
        resync: Resync,
        draining: Draining,
        election: Election | None,
        relay: Relay | None,
    ) -> None:
        self._resync = resync
        self._draining = draining
        self._election = election
        self._relay = relay

    async def resync(self, order: Order) -> Outcomes:
        """Have everything looked at again; return what came of it for each Service."""
        if self._is_ours():
            return await self._resync.carry_out(order)
        passed_on = replace(order, by=self._by(order.by))
        try:
            return _outcomes(await self._passed_on(RESYNC, passed_on, order.timeout))
        except (ClusterError, ValueError) as error:
            return self._failed(order, str(error))

    async def drain(self, order: DrainOrder) -> DrainOutcome:
        """Have backends taken out, or back in; return what came of it."""
        if self._is_ours():
            return await self._draining.carry_out(order)
        key = order.service
        told = _Drain(
            self._by(order.by),
            key.namespace,
            key.name,
            tuple(map(str, order.backends)),
            order.out,
            order.force,
            order.timeout,
        )
        try:
            answer = await self._passed_on(DRAIN, told, order.timeout)
            return _decoded(answer, DrainOutcome)
        except (ClusterError, ValueError) as error:
            return DrainOutcome(DrainState.FAILED, str(error))

    def _is_ours(self) -> bool:
        election = self._election
        return election is None or election.term is not None or self._relay is None

    def _by(self, by: str) -> str:
        return f"{by}, passed on by {self._election.identity}" if self._election else by

    async def _passed_on(self, kind: str, order: object, patience: float) -> str:
        """Have the leader carry out an order; return its answer. Raise ClusterError without one."""
        assert self._relay is not None  # noqa: S101  nobody else's, else it would be ours
        assert self._election is not None  # noqa: S101  as above
        try:
            return await self._relay.ask(kind, _packed(order), patience)
        except TimeoutError:
            who = self._election.leader or "nobody"
            raise ClusterError(f"no answer within {patience:g} s; {who} leads") from None
        except ClusterError as error:
            raise ClusterError(f"it could not be passed on to the leader: {error}") from None

    async def handle(self, kind: str, body: str) -> str:
        """Carry out an order that another replica has passed on; return the answer."""
        try:
            if kind == DRAIN:
                return await self._drained(_decoded(body, _Drain))
            if kind == RESYNC:
                return await self._resynced(_decoded(body, Order))
        except ValueError:  # somebody has edited it
            pass
        return ""  # also to an order that only another version knows

    async def _resynced(self, order: Order) -> str:
        found = await self._resync.carry_out(order)
        told = [
            _Told(key.namespace, key.name, one.state.value, one.detail)
            for key, one in found.items()
        ]
        packed = _packed(told)
        if len(packed) > MOST_PACKED:
            packed = _packed([msgspec.structs.replace(one, detail="") for one in told])
        return packed

    async def _drained(self, told: _Drain) -> str:
        """Raise ValueError if it names something that is no backend."""
        backends = tuple(map(backend, told.backends))
        key = ServiceKey(told.namespace, told.name)
        order = DrainOrder(told.by, key, backends, told.out, told.force, told.timeout)
        return _packed(await self._draining.carry_out(order))

    def _failed(self, order: Order, detail: str) -> Outcomes:
        return dict.fromkeys(self._resync.named(order), Outcome(State.FAILED, detail))


def _outcomes(answer: str) -> Outcomes:
    """Return what an answer says. Raise ValueError if it can't be read."""
    told = _decoded(answer, list[_Told])
    return {
        ServiceKey(one.namespace, one.name): Outcome(State(one.state), one.detail) for one in told
    }


def _decoded(text: str, kind: type[_T]) -> _T:
    """Return what is packed. Raise ValueError if it can't be read."""
    try:
        return msgspec.json.decode(_unpacked(text), type=kind)
    except MALFORMED as error:
        raise ValueError(f"its answer can't be read ({error})") from None


def _packed(value: object) -> str:
    return base64.b64encode(zlib.compress(msgspec.json.encode(value))).decode()


def _unpacked(text: str) -> bytes:
    """Raise ValueError if it is not what `_packed` returns."""
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text, validate=True), MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"its answer can't be unpacked ({error})") from None
    return data
