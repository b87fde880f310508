"""Whether what is published for Services that no mapping names any more may be taken away."""

from __future__ import annotations

from collections.abc import Collection

MANY = 10
MOST_SHARE = 0.3


def too_many(orphans: Collection[object], mapped: Collection[object]) -> bool:
    """Whether so many go at once that it looks like a mistake: 30 % of ten or more."""
    total = len(orphans) + len(mapped)
    return total >= MANY and len(orphans) > MOST_SHARE * total
