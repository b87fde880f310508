"""Objects as tables, as `kubectl get` asks for them: the columns of the real API server.

It must never be read by anything but people; programs ask for objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from registrar.embedded.resources import Resource
from registrar.embedded.values import (
    Json,
    Object,
    as_int,
    at,
    json_of,
    objects_at,
    text_at,
    text_map,
    texts_at,
)

_NONE, _UNSET, _UNKNOWN = "<none>", "<unset>", "<unknown>"
Cells = Callable[[Object, datetime], list[Json]]


@dataclass(frozen=True)
class Columns:
    """The columns of a kind. Those with a star are shown by `-o wide` only."""

    names: str
    cells: Cells

    def definitions(self) -> list[Json]:
        """Return them as the API describes them."""
        return [_column(name) for name in self.names.split(", ")]


def _column(name: str) -> Object:
    plain = name.rstrip("*")
    return {
        "name": plain,
        "type": "string",
        "format": "name" if plain == "Name" else "",
        "description": f"{plain} of the object",
        "priority": int(plain != name),
    }


def table(
    resource: Resource,
    items: Sequence[tuple[Object, Json]],
    list_meta: Object,
    now: datetime,
) -> Object:
    """Return a Table; `items` are pairs of an object and what its row says of it."""
    columns = COLUMNS[resource.kind]
    rows: list[Json] = [
        json_of({"cells": columns.cells(item, now), "object": shown}) for item, shown in items
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_meta,
        "columnDefinitions": columns.definitions(),
        "rows": rows,
    }


def partial(item: Object) -> Object:
    """Return the part of an object that a row holds."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": item["metadata"],
    }


def duration(seconds: float) -> str:
    """Return a time in words that get coarser as it gets longer."""
    whole = int(seconds)
    _, unit, name, part, part_name = next(s for s in _STEPS if s[0] is None or whole < s[0])
    rest = whole % unit // part if part else 0
    return f"{whole // unit}{name}" + (f"{rest}{part_name}" if rest else "")


_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400
# Until when, counted in what, and with which smaller unit beside it.
_STEPS: tuple[tuple[int | None, int, str, int, str], ...] = (
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    (None, _YEAR, "y", 0, ""),
)


def _age(item: Object, now: datetime, *path: str) -> str:
    text = text_at(item, *(path or ("metadata", "creationTimestamp")))
    if not text:
        return _UNKNOWN
    return duration(max((now - datetime.fromisoformat(text)).total_seconds(), 0))


def _name(item: Object) -> str:
    return text_at(item, "metadata", "name")


def _joined(parts: list[str], most: int, nothing: str) -> str:
    more = f" + {len(parts) - most} more..." if len(parts) > most else ""
    return ",".join(parts[:most]) + more if parts else nothing


def _service(item: Object, now: datetime) -> list[Json]:
    kind = text_at(item, "spec", "type")
    ports = [
        f"{as_int(p.get('port'))}"
        + (f":{as_int(p['nodePort'])}" if p.get("nodePort") else "")
        + f"/{text_at(p, 'protocol')}"
        for p in objects_at(item, "spec", "ports")
    ]
    selector = ",".join(
        f"{k}={v}" for k, v in sorted(text_map(at(item, "spec", "selector")).items())
    )
    outside = ",".join(texts_at(item, "spec", "externalIPs")) or _NONE
    if kind == "ExternalName":
        outside = text_at(item, "spec", "externalName")
    elif kind == "LoadBalancer" and outside == _NONE:
        outside = "<pending>"
    address = text_at(item, "spec", "clusterIP") or _NONE
    row = [_name(item), kind, address, outside, ",".join(ports) or _NONE]
    return [*row, _age(item, now), selector or _NONE]


def _endpoints(item: Object, now: datetime) -> list[Json]:
    places = []
    for subset in objects_at(item, "subsets"):
        addresses = [text_at(a, "ip") for a in objects_at(subset, "addresses")]
        ports = [as_int(p.get("port")) for p in objects_at(subset, "ports")]
        if not ports:
            places += addresses
        for port in ports:
            places += [f"[{a}]:{port}" if ":" in a else f"{a}:{port}" for a in addresses]
    nothing = "" if item.get("subsets") else _NONE
    return [_name(item), _joined(places, 3, nothing), _age(item, now)]


def _slice(item: Object, now: datetime) -> list[Json]:
    ports = [
        str(port["port"]) if port.get("port") is not None else text_at(port, "name") or "*"
        for port in objects_at(item, "ports")
    ]
    addresses = [a for e in objects_at(item, "endpoints") for a in texts_at(e, "addresses")]
    kind = text_at(item, "addressType")
    row = [_name(item), kind, _joined(ports, 3, _UNSET), _joined(addresses, 3, _UNSET)]
    return [*row, _age(item, now)]


def _event(item: Object, now: datetime) -> list[Json]:
    about = item["involvedObject"]
    where = text_at(about, "kind").lower()
    named = f"{where}/{text_at(about, 'name')}" if text_at(about, "name") else where
    first = _age(item, now, "firstTimestamp")
    if first == _UNKNOWN:
        first = _age(item, now, "eventTime")
    last = _age(item, now, "lastTimestamp")
    count = as_int(item.get("count"))
    if series := item.get("series"):
        last, count = _age(item, now, "series", "lastObservedTime"), as_int(at(series, "count"))
    elif last == _UNKNOWN:
        last = first
    source = text_at(item, "source", "component") or text_at(item, "reportingComponent")
    host = text_at(item, "source", "host") or text_at(item, "reportingInstance")
    row: list[Json] = [last, text_at(item, "type"), text_at(item, "reason"), named]
    row += [text_at(about, "fieldPath"), ", ".join(filter(None, (source, host)))]
    row += [text_at(item, "message").strip(), first, count or 1, _name(item)]
    return row


def _node(item: Object, now: datetime) -> list[Json]:
    addresses = objects_at(item, "status", "addresses")
    internal, external = (
        next((text_at(a, "address") for a in addresses if a.get("type") == kind), _NONE)
        for kind in ("InternalIP", "ExternalIP")
    )
    states = [
        "Ready" if one.get("status") == "True" else "NotReady"
        for one in objects_at(item, "status", "conditions")
        if one.get("type") == "Ready"
    ] or ["Unknown"]
    states += ["SchedulingDisabled"] if at(item, "spec", "unschedulable") else []
    version = text_at(item, "status", "nodeInfo", "kubeletVersion")
    row: list[Json] = [_name(item), ",".join(states), _NONE, _age(item, now), version]
    return [*row, internal, external]


COLUMNS = {
    "Node": Columns(
        "Name, Status, Roles, Age, Version, Internal-IP*, External-IP*",
        _node,
    ),
    "ServiceCIDR": Columns(
        "Name, CIDRs, Age",
        lambda item, now: [
            _name(item),
            ",".join(texts_at(item, "spec", "cidrs")),
            _age(item, now),
        ],
    ),
    "Namespace": Columns(
        "Name, Status, Age",
        lambda item, now: [_name(item), text_at(item, "status", "phase"), _age(item, now)],
    ),
    "Service": Columns("Name, Type, Cluster-IP, External-IP, Port(s), Age, Selector*", _service),
    "Endpoints": Columns("Name, Endpoints, Age", _endpoints),
    "EndpointSlice": Columns("Name, AddressType, Ports, Endpoints, Age", _slice),
    "Lease": Columns(
        "Name, Holder, Age",
        lambda item, now: [_name(item), text_at(item, "spec", "holderIdentity"), _age(item, now)],
    ),
    "Event": Columns(
        "Last Seen, Type, Reason, Object, Subobject*, Source*, Message, First Seen*, Count*, Name*",
        _event,
    ),
}
