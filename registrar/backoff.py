"""How long to wait after failures in a row: doubling, capped, jittered, or as long as was asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

_MOST_DIGITS = 9


class Backoff:
    """Delays in seconds: the n-th lies between half and all of `first * 2**n`, capped at `most`."""

    def __init__(self, first: float, most: float, rng: Random) -> None:
        self._first = first
        self._most = most
        self._rng = rng
        self._failures = 0

    def next(self, at_least: float | None = None) -> float:
        """Return the delay after one more failure, `at_least` what the other side asked for."""
        full = min(self._most, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return max(full * self._rng.uniform(0.5, 1.0), at_least or 0.0)

    def reset(self) -> None:
        """Begin again, after a success."""
        self._failures = 0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for (RFC 9110, 10.2.3: a number, or a date)."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:_MOST_DIGITS])
    until = _date(text)
    if until is None:
        return None
    # The server's clock where it tells: ours may be wrong.
    now = _date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
