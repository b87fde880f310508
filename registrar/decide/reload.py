"""Whether a change of the mappings may be applied, or takes away so much that a person has to say.

What a person accepts is one set of Services, by its digest: never "whatever goes next".
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256

from registrar.decide.orphans import too_many
from registrar.model import ServiceKey

DIGEST_LETTERS = 12


@dataclass(frozen=True, slots=True)
class Removal:
    """Services that go all at once, and of how many."""

    keys: frozenset[ServiceKey]
    of: int

    @property
    def digest(self) -> str:
        """What a person writes to accept just this."""
        return digest(self.keys)


def digest(keys: AbstractSet[ServiceKey]) -> str:
    """Return a short name of a set of Services: letters alone, which YAML takes for no number."""
    named = "\n".join(sorted(map(str, keys)))
    nibbles = sha256(named.encode()).hexdigest()[:DIGEST_LETTERS]
    return "".join(chr(ord("a") + int(nibble, 16)) for nibble in nibbles)


def to_accept(
    before: AbstractSet[ServiceKey], after: AbstractSet[ServiceKey], accepted: str | None
) -> Removal | None:
    """Return what a person has to accept first; None if the change may be applied.

    `accepted` is the digest that a person has written, if any.
    """
    removal = Removal(frozenset(before - after), len(before))
    if too_many(removal.keys, before & after) and removal.digest != accepted:
        return removal
    return None
