"""A registrar with one deliberate bug, which chaos must find: `python -m ... BUG run ...`.

It must never be used but by chaos, and never need anything of registrar to be there for it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from unittest.mock import patch

from registrar.__main__ import main
from registrar.cluster.election import Election
from registrar.cluster.publisher import ClusterPublisher
from registrar.cluster.term import Term
from registrar.decide.guard import Removals


def guard() -> None:
    """Believe every answer at once, however much it takes away."""

    def believing(*_: object) -> Removals:
        return Removals(frozenset(), {})

    patch("registrar.decide.candidates.guard", believing).start()


def lease() -> None:
    """Write on for ever, once one has led: the lease is not looked at before a write."""
    last: list[Term] = []
    found: property = vars(Election)["term"]

    def ever(election: Election) -> Term | None:
        if (term := found.__get__(election)) is not None:
            last[:] = [term]
        return last[0] if last else None

    def always(election: Election) -> float | None:
        return asyncio.get_running_loop().time() + 10.0 if ever(election) else None

    patch.object(Election, "term", property(ever)).start()
    patch.object(Election, "writes_until", always).start()


def cache() -> None:
    """Create and delete by what is known, without reading whether it is still so."""

    async def trusting(*_: object) -> None:
        pass

    patch.object(ClusterPublisher, "_confirm", trusting).start()


BUGS: dict[str, Callable[[], None]] = {"guard": guard, "lease": lease, "cache": cache}

if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    main()
