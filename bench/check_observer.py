"""Notes when the checks of the engine really begin, as bench.checks would have it."""

from __future__ import annotations

import time
from array import array
from ipaddress import IPv4Address
from itertools import pairwise
from typing import Any

from registrar.model import CheckResult, HealthCheck
from registrar.probe.exchange import Exchange, Prober
from registrar.probe.probers import prober_of

FIRST_ADDRESS = "127.1.0.1"
FIRST = int(IPv4Address(FIRST_ADDRESS))
BIN_S = 0.1


class Observer:
    """Notes when checks begin, and when they were due."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._begun = array("d")
        self._late = array("d")
        self._dues: list[float] = []
        self._origin = time.monotonic()
        self.begin()

    def begin(self) -> None:
        """Observe from now on."""
        self._since = len(self._begun), len(self._late), len(self._dues)

    def prober(self, check: HealthCheck) -> Prober:
        """Return the prober of a check that notes each."""
        return _Observed(prober_of(check), self)

    def note(self, address: str, due: float) -> None:
        """Take note that a check begins; holes are late for nobody."""
        now = time.monotonic()
        self._begun.append(now)
        if address.startswith("127."):
            self._late.append(now - due)
        if address == FIRST_ADDRESS:
            self._dues.append(due)

    def late(self) -> list[float]:
        """Return by how much checks began too late, sorted."""
        return sorted(self._late[self._since[1] :])

    def gap(self) -> float:
        """Return the longest time without a beginning."""
        begun = self._begun[self._since[0] :]
        return max((b - a for a, b in pairwise(begun)), default=0.0)

    def slip(self) -> float:
        """Return by how much the cadence of a backend has slipped."""
        dues = self._dues[self._since[2] :]
        return dues[-1] - dues[0] - (len(dues) - 1) * self._interval if dues else 0.0

    def bins(self) -> list[int]:
        """Return how many began in each whole tenth of a second."""
        counts: list[int] = []
        for begun in self._begun:
            number = int((begun - self._origin) / BIN_S)
            counts += [0] * (number + 1 - len(counts))
            counts[number] += 1
        return counts[:-1]


class _Observed:
    def __init__(self, prober: Prober, observer: Observer) -> None:
        self.files = prober.files
        self.read = prober.read
        self._prober = prober
        self._observer = observer

    def begin(self, place: Any) -> Exchange | CheckResult:  # noqa: ANN401  and its due time
        self._observer.note(place.at[0], place.due)
        return self._prober.begin(place)
