"""What Consul's records of instances mean as backends.

A record that can't be read is dropped alone; one that is no list of records is not knowing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated, Literal, TypeAlias

import msgspec

from registrar.errors import MALFORMED, SourceError
from registrar.model import Address, Answer, Backend, Dropped, Verdict
from registrar.source import raw_records, shown

Treatment: TypeAlias = Literal["up", "down", "omit"]
"""What becomes of an instance whose checks warn, or fail: it counts as up or down, or as none."""

_Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
_Weight = Annotated[int, msgspec.Meta(ge=0, le=65_535)]

_MAINTENANCE = ("_node_maintenance", "_service_maintenance:")


class _Place(msgspec.Struct, rename="pascal"):
    address: str = ""
    port: _Port = 0


class _Weights(msgspec.Struct, rename="pascal"):
    passing: _Weight = 1
    warning: _Weight = 1


class _Node(msgspec.Struct, rename="pascal"):
    node: str = ""
    address: str = ""
    tagged_addresses: Mapping[str, str] | None = None
    meta: Mapping[str, str] | None = None


class _Service(msgspec.Struct, rename="pascal"):
    id: str = msgspec.field(name="ID", default="")
    address: str = ""
    port: _Port = 0
    socket_path: str = ""
    tagged_addresses: Mapping[str, _Place] | None = None
    weights: _Weights | None = None
    meta: Mapping[str, str] | None = None


class _Check(msgspec.Struct, rename="pascal"):
    status: str
    check_id: str = msgspec.field(name="CheckID", default="")


class _Instance(msgspec.Struct, rename="pascal"):
    node: _Node
    service: _Service
    checks: list[_Check] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """How a query wants the records to be read."""

    tagged_address: str | None
    warning: Treatment
    critical: Treatment
    zone_meta: str | None


class _Unusable(Exception):
    """Why an instance can't be a backend, in words."""


def read_instances(body: bytes, reading: Reading) -> Answer:
    """Return the answer that a list of instances is. Raise SourceError if it isn't one."""
    try:
        records = raw_records(body)
    except MALFORMED:
        raise SourceError("the answer is no list of instances; is this a Consul agent?") from None
    backends: list[Backend] = []
    dropped: list[Dropped] = []
    for number, record in enumerate(records):
        name = f"instance {number + 1}"
        try:
            instance = _DECODER.decode(record)
            name = shown(f"{instance.service.id} on {instance.node.node}")
            if (backend := _backend(instance, reading)) is not None:
                backends.append(backend)
        except MALFORMED as error:
            dropped.append(Dropped(name, f"{name} is malformed: {_why(error)}"))
        except _Unusable as error:
            dropped.append(Dropped(name, f"{name} {error}"))
    return Answer(_best(backends), tuple(dropped))


_DECODER = msgspec.json.Decoder(_Instance)


def _why(error: Exception) -> str:
    # What else is said of a record may quote what it holds.
    return str(error) if isinstance(error, msgspec.ValidationError) else "not JSON"


def _backend(instance: _Instance, reading: Reading) -> Backend | None:
    """Return the backend that an instance is, or None if the query wants to know nothing of it."""
    node, service = instance.node, instance.service
    status, draining = _status(instance.checks or ())
    treatment = {"warning": reading.warning, "critical": reading.critical}.get(status, status)
    if treatment == "omit":
        return None
    if service.socket_path and not service.port:
        raise _Unusable("listens on a unix socket, which no cluster can reach")
    address, port = _place(node, service, reading.tagged_address)
    weights = service.weights or _Weights()
    key = reading.zone_meta
    zone = key and ((service.meta or {}).get(key) or (node.meta or {}).get(key))
    return Backend(
        address,
        port or None,
        weights.warning if status == "warning" else weights.passing,
        zone or None,
        draining=draining,
        health=_VERDICTS.get(treatment, Verdict.UNKNOWN),
    )


_VERDICTS = {"passing": Verdict.UP, "up": Verdict.UP, "down": Verdict.DOWN}


def _status(checks: Iterable[_Check]) -> tuple[str, bool]:
    """Return the worst state of the checks, and whether the instance is in maintenance.

    Without a check it is passing, as Consul has it. Maintenance is a critical check of its own
    kind: it says what a person wants, not how the instance is.
    """
    states = {c.status for c in checks if not c.check_id.startswith(_MAINTENANCE)}
    draining = any(c.check_id.startswith(_MAINTENANCE) for c in checks)
    for state in ("critical", "warning"):
        if state in states:
            return state, draining
    return ("passing" if states <= {"passing"} else "unknown"), draining


def _place(node: _Node, service: _Service, tag: str | None) -> tuple[Address, int]:
    place = _Place(service.address or node.address, service.port)
    if tag is not None:
        tagged = (service.tagged_addresses or {}).get(tag)
        of_node = "" if service.address else (node.tagged_addresses or {}).get(tag, "")
        if tagged is not None:
            place = _Place(tagged.address, tagged.port or service.port)
        elif of_node:
            place = _Place(of_node, service.port)
        elif tag != "lan":  # which is where an instance is, if it doesn't say otherwise
            raise _Unusable(f"has no tagged address {tag!r}")
    try:
        return ip_address(place.address), place.port
    except ValueError:
        said = shown(place.address)
        raise _Unusable(f"has the address {said}, which is no IP address") from None


def _best(backends: Iterable[Backend]) -> tuple[Backend, ...]:
    """Return one backend of each place: the record of a node that died may be there still."""
    found: dict[tuple[Address, int | None], Backend] = {}
    for backend in backends:
        place = backend.address, backend.port
        if place not in found or _rank(backend) > _rank(found[place]):
            found[place] = backend
    return tuple(found.values())


def _rank(backend: Backend) -> tuple[int, bool]:
    return _ORDER.index(backend.health), not backend.draining


_ORDER = (Verdict.DOWN, Verdict.UNKNOWN, Verdict.UP)
