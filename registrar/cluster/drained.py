"""The annotation that remembers which of the published backends a person has taken out.

It stands on each object that publishes them, so it outlives processes, leaders and forms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from registrar.cluster.objects import ObjectMeta
from registrar.model import BackendId

DRAINED = "registrar.internal/drained"
"""Backends as ADDRESS:PORT, separated by commas."""

MOST_PORT = 65_535


def with_drained(annotations: Mapping[str, str], backends: Iterable[BackendId]) -> dict[str, str]:
    """Return annotations that say that these backends are drained, and no others."""
    others = {name: value for name, value in annotations.items() if name != DRAINED}
    told = sorted(set(backends), key=lambda one: (one.address.version, int(one.address), one.port))
    return {**others, DRAINED: ",".join(map(str, told))} if told else others


def drained_by(meta: ObjectMeta) -> frozenset[BackendId]:
    """Return the backends that an object says are drained. What can't be read is left out."""
    told = meta.annotations.get(DRAINED, "").split(",")
    return frozenset(one for text in told if (one := _backend(text.strip())) is not None)


def _backend(text: str) -> BackendId | None:
    address, _, port = text.rpartition(":")
    try:
        number = int(port) if port.isascii() and port.isdigit() else 0
        host = ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return BackendId(host, number) if 0 < number <= MOST_PORT else None
