"""Orders of people and programs: carried out here while this replica leads, else where it is led.

What is passed on and back is packed, so that it fits into an annotation.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace

import msgspec

from registrar.cluster.election import Election
from registrar.cluster.relay import Relay
from registrar.errors import ClusterError
from registrar.model import ServiceKey
from registrar.resync import Order, Outcome, Outcomes, Resync, State

RESYNC = "resync"

MOST_PACKED = 200_000
"""All annotations of an object have 256 KiB together."""

MOST_BYTES = 32 * 1024 * 1024


class _Told(msgspec.Struct, frozen=True, array_like=True):
    namespace: str
    name: str
    state: str
    detail: str


class Orders:
    """The ways of orders. Without `election` and `relay` this replica is alone."""

    def __init__(self, resync: Resync, election: Election | None, relay: Relay | None) -> None:
        self._resync = resync
        self._election = election
        self._relay = relay

    async def resync(self, order: Order) -> Outcomes:
        """Have everything looked at again; return what came of it for each Service."""
        election = self._election
        if election is None or election.term is not None or self._relay is None:
            return await self._resync.carry_out(order)
        passed_on = replace(order, by=f"{order.by}, passed on by {election.identity}")
        try:
            answer = await self._relay.ask(RESYNC, _packed(passed_on), order.timeout)
            return _outcomes(answer)
        except TimeoutError:
            who = election.leader or "nobody"
            return self._failed(order, f"no answer within {order.timeout:g} s; {who} leads")
        except (ClusterError, ValueError) as error:
            return self._failed(order, f"it could not be passed on to the leader: {error}")

    async def handle(self, kind: str, body: str) -> str:
        """Carry out an order that another replica has passed on; return the answer."""
        if kind != RESYNC:
            return ""  # of another version
        found = await self._resync.carry_out(msgspec.json.decode(_unpacked(body), type=Order))
        told = [
            _Told(key.namespace, key.name, one.state.value, one.detail)
            for key, one in found.items()
        ]
        packed = _packed(told)
        if len(packed) > MOST_PACKED:
            packed = _packed([msgspec.structs.replace(one, detail="") for one in told])
        return packed

    def _failed(self, order: Order, detail: str) -> Outcomes:
        return dict.fromkeys(self._resync.named(order), Outcome(State.FAILED, detail))


def _outcomes(answer: str) -> Outcomes:
    """Return what an answer says. Raise ValueError if it can't be read."""
    try:
        told = msgspec.json.decode(_unpacked(answer), type=list[_Told])
    except msgspec.MsgspecError as error:
        raise ValueError(f"its answer can't be read ({error})") from None
    return {
        ServiceKey(one.namespace, one.name): Outcome(State(one.state), one.detail) for one in told
    }


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
