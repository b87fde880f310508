"""Remembers on what the last look at a Service rested that has found everything in place.

A look that rests on the same comes to the same, and can be left out: most of what makes a Service
due (a check that confirms what is published, a cluster that is heard again) changes nothing of it.
"""

from __future__ import annotations

from typing import TypeAlias

from registrar.model import ServiceKey

Basis: TypeAlias = tuple[object, ...]
"""All that a look reads: the very objects, so that those that stay are equal at a glance."""


class Unchanged:
    """One Basis a Service. Whoever begins a look takes it: only a look's good end puts one back."""

    def __init__(self) -> None:
        self._bases: dict[ServiceKey, Basis] = {}

    def take(self, key: ServiceKey) -> Basis | None:
        """Return what the last look rested on, and forget it; None if something was left to do."""
        return self._bases.pop(key, None)

    def note(self, key: ServiceKey, basis: Basis) -> None:
        """Note what a look rested on that has found everything in place, whatever the time."""
        self._bases[key] = basis

    def clear(self) -> None:
        """Begin anew with all Services."""
        self._bases.clear()
