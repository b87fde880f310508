"""What is sent to /drain and /undrain, and what they answer."""

from __future__ import annotations

import msgspec

from registrar.admin.words import backend, check_timeout, service_key
from registrar.draining import DrainOrder, DrainOutcome
from registrar.errors import MALFORMED


class DrainBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which backends to take out, or back in; `timeout` is in seconds."""

    service: str
    backends: tuple[str, ...]
    force: bool = False
    timeout: float = 60.0


class DrainedBackend(msgspec.Struct, frozen=True):
    """A backend, and as what it is published: ready, not-ready, draining or no."""

    backend: str
    published: str


class DrainedBody(msgspec.Struct, frozen=True):
    """What came of it: `outcome` is done, refused or failed, and `detail` says why not."""

    service: str
    outcome: str
    detail: str
    backends: tuple[DrainedBackend, ...]


def drain_order(body: bytes, by: str, *, out: bool) -> DrainOrder:
    """Return the order that a body stands for. Raise ValueError if it can't be read."""
    try:
        asked = msgspec.json.decode(body, type=DrainBody)
    except MALFORMED as error:
        raise ValueError(f"the body can't be read: {error}") from None
    check_timeout(asked.timeout)
    if not asked.backends:
        raise ValueError("name at least one backend")
    backends = tuple(map(backend, asked.backends))
    return DrainOrder(by, service_key(asked.service), backends, out, asked.force, asked.timeout)


def drained_body(order: DrainOrder, outcome: DrainOutcome) -> DrainedBody:
    """Return the answer to an order."""
    return DrainedBody(
        str(order.service),
        outcome.state.value,
        outcome.detail,
        tuple(DrainedBackend(one, state) for one, state in outcome.published),
    )
