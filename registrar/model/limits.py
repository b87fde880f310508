"""How much is asked of the API server at most."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """The rate of requests, how many may come at once after a rest, and how many looks at Services.

    Each look asks for one thing at a time.
    """

    requests_per_second: int = 500
    burst: int = 1000
    concurrency: int = 16
