"""Endpoints and EndpointSlices: their defaults, and what the real API server refuses in them.

It must never repack or reorder what is sent: it is stored as it came.
"""

from __future__ import annotations

from collections.abc import Callable

from registrar.embedded.formats import (
    address,
    dns_label,
    dns_subdomain,
    endpoint_address,
    fqdn,
    label_key,
    label_value,
    parse_address,
    port_number,
)
from registrar.embedded.status import (
    Problem,
    duplicate,
    invalid,
    required,
    too_many,
    unsupported,
)
from registrar.embedded.values import (
    Object,
    as_int,
    as_text,
    objects_at,
    text_at,
    texts_at,
)

PROTOCOLS = ("SCTP", "TCP", "UDP")
ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
MOST_ENDPOINTS = 1000
MOST_ADDRESSES = 100
MOST_PORTS = 20_000
MOST_HINTS = 8


def default_endpoints(item: Object) -> None:
    """Fill in the protocol of ports."""
    for subset in objects_at(item, "subsets"):
        for port in objects_at(subset, "ports"):
            port.setdefault("protocol", "TCP")


def endpoints_problems(item: Object, before: Object | None) -> list[Problem]:
    """Return what is wrong with Endpoints."""
    if before is not None and item.get("subsets") == before.get("subsets"):
        return []
    found: list[Problem] = []
    for index, subset in enumerate(objects_at(item, "subsets")):
        path = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            found.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
        for key in ("addresses", "notReadyAddresses"):
            for number, entry in enumerate(objects_at(subset, key)):
                found += _address_problems(f"{path}.{key}[{number}]", entry)
        ports = objects_at(subset, "ports")
        for number, port in enumerate(ports):
            found += _port_problems(f"{path}.ports[{number}]", port, several=len(ports) > 1)
    return found


def _address_problems(path: str, entry: Object) -> list[Problem]:
    ip = text_at(entry, "ip")
    found = address(f"{path}.ip", ip)
    if hostname := text_at(entry, "hostname"):
        found += _each(f"{path}.hostname", hostname, dns_label)
    if (node := entry.get("nodeName")) is not None:
        found += _each(f"{path}.nodeName", as_text(node), dns_subdomain)
    return found + endpoint_address(f"{path}.ip", ip)


def _port_problems(path: str, port: Object, *, several: bool) -> list[Problem]:
    found: list[Problem] = []
    if name := text_at(port, "name"):
        found += _each(f"{path}.name", name, dns_label)
    elif several:
        found.append(required(f"{path}.name"))
    number = as_int(port.get("port"))
    found += [invalid(f"{path}.port", number, words) for words in port_number(number)]
    return found + protocol_problems(path, port)


def protocol_problems(path: str, port: Object) -> list[Problem]:
    """Return what is wrong with the protocols of a port."""
    found: list[Problem] = []
    protocol = text_at(port, "protocol")
    if protocol not in PROTOCOLS:
        found.append(unsupported(f"{path}.protocol", protocol, PROTOCOLS))
    if (application := port.get("appProtocol")) is not None:
        found += _each(f"{path}.appProtocol", as_text(application), label_key)
    return found


def default_slice(item: Object) -> None:
    """Fill in name and protocol of ports."""
    for port in objects_at(item, "ports"):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")
    for endpoint in objects_at(item, "endpoints"):
        endpoint.pop("deprecatedTopology", None)


def slice_problems(item: Object, before: Object | None) -> list[Problem]:
    """Return what is wrong with an EndpointSlice."""
    kind = text_at(item, "addressType")
    found = _slice_ports_problems(objects_at(item, "ports"))
    # The real API server checks these by other rules, whose results come last.
    last: list[Problem] = []
    if not kind:
        last.append(required("addressType"))
    elif before is not None and before.get("addressType") != kind:
        last.append(invalid("addressType", None, "field is immutable"))
    elif kind not in ADDRESS_TYPES:
        last.append(unsupported("addressType", kind, ADDRESS_TYPES))
    if before is None or item.get("endpoints") != before.get("endpoints"):
        endpoints = objects_at(item, "endpoints")
        if len(endpoints) > MOST_ENDPOINTS:
            return [*found, too_many("endpoints", len(endpoints), MOST_ENDPOINTS), *last]
        for index, endpoint in enumerate(endpoints):
            path = f"endpoints[{index}]"
            found += _endpoint_problems(path, endpoint, kind)
            last += _count_problems(f"{path}.addresses", texts_at(endpoint, "addresses"))
    return found + last


def _count_problems(path: str, addresses: list[str]) -> list[Problem]:
    if not addresses:
        return [required(path)]
    if len(addresses) > MOST_ADDRESSES:
        return [too_many(path, len(addresses), MOST_ADDRESSES)]
    return []


def _slice_ports_problems(ports: list[Object]) -> list[Problem]:
    if len(ports) > MOST_PORTS:
        return [too_many("ports", len(ports), MOST_PORTS)]
    found: list[Problem] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        path = f"ports[{index}]"
        name = text_at(port, "name")
        if name:
            found += _each(f"{path}.name", name, dns_label)
        if name in names:
            found.append(duplicate(f"{path}.name", name))
        names.add(name)
        found += protocol_problems(path, port)
    return found


def _endpoint_problems(path: str, endpoint: Object, kind: str) -> list[Problem]:
    found: list[Problem] = []
    for index, text in enumerate(texts_at(endpoint, "addresses")):
        found += _slice_address_problems(f"{path}.addresses", index, text, kind)
    if (node := endpoint.get("nodeName")) is not None:
        found += _each(f"{path}.nodeName", as_text(node), dns_subdomain)
    if (hostname := endpoint.get("hostname")) is not None:
        found += _each(f"{path}.hostname", as_text(hostname), dns_label)
    return found + _hint_problems(f"{path}.hints", endpoint)


def _slice_address_problems(path: str, index: int, text: str, kind: str) -> list[Problem]:
    place = f"{path}[{index}]"
    if kind == "FQDN":
        return fqdn(place, text)
    if kind not in ADDRESS_TYPES:
        return []
    if found := address(place, text, canonical=kind == "IPv6"):
        return found
    parsed = parse_address(text)
    if parsed is not None and f"IPv{parsed.version}" != kind:
        found.append(invalid(path, text, f"must be an {kind} address"))
    return found + endpoint_address(place, text)


def _hint_problems(path: str, endpoint: Object) -> list[Problem]:
    found: list[Problem] = []
    rules = {"forZones": label_value, "forNodes": dns_subdomain}
    for key, rule in rules.items():
        hints = objects_at(endpoint, "hints", key)
        if len(hints) > MOST_HINTS:
            return [*found, too_many(f"{path}.{key}", len(hints), MOST_HINTS)]
        seen: set[str] = set()
        for index, hint in enumerate(hints):
            name = text_at(hint, "name")
            if name in seen:
                found.append(duplicate(f"{path}.{key}[{index}].name", name))
            seen.add(name)
            found += _each(f"{path}.{key}[{index}].name", name, rule)
    return found


def _each(field: str, value: str, rule: Callable[[str], list[str]]) -> list[Problem]:
    return [invalid(field, value, words) for words in rule(value)]
