"""A registrar with one deliberate bug, which chaos must find: `python -m ... BUG run ...`.

It must never be used but by chaos, and never need anything of registrar to be there for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from unittest.mock import patch

from registrar.__main__ import main
from registrar.decide.guard import Removals


def guard() -> None:
    """Believe every answer at once, however much it takes away."""

    def believing(*_: object) -> Removals:
        return Removals(frozenset(), {})

    patch("registrar.decide.candidates.guard", believing).start()


BUGS: dict[str, Callable[[], None]] = {"guard": guard}

if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    main()
