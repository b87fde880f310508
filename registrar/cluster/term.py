"""A term: the time during which this replica, and no other, writes.

What is written bears the term's epoch, so that a write of a former leader is known for what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from msgspec.structs import replace

from registrar.cluster.known import number
from registrar.cluster.objects import Endpoints, EndpointSlice

EPOCH = "registrar.internal/epoch"
"""The annotation: how often the Lease had changed hands when its holder wrote this."""

WrittenT = TypeVar("WrittenT", Endpoints, EndpointSlice)


@dataclass(frozen=True, slots=True)
class Term:
    """One term of one leader; `epoch` is None where nobody is elected.

    `version` is the resourceVersion of the Lease as it was acquired: what has a greater one was
    stored after that. etcd counts all objects with one counter.
    """

    epoch: int | None = None
    version: int = 0

    def sign(self, item: WrittenT) -> WrittenT:
        """Return an object as it is written in this term."""
        if self.epoch is None:
            return item
        meta = item.metadata
        signed = {**meta.annotations, EPOCH: str(self.epoch)}
        return replace(item, metadata=replace(meta, annotations=signed))

    def is_strange(self, item: Endpoints | EndpointSlice) -> bool:
        """Whether an object of ours was written since the term began, and not in it.

        That is a former leader that was frozen, or a hand.
        """
        if self.epoch is None or number(item.metadata.resource_version) <= self.version:
            return False
        return item.metadata.annotations.get(EPOCH) != str(self.epoch)

    def is_earlier(self, item: Endpoints | EndpointSlice) -> bool:
        """Whether an object of ours is as a leader before this term has left it."""
        if self.epoch is None or number(item.metadata.resource_version) > self.version:
            return False
        return item.metadata.annotations.get(EPOCH) != str(self.epoch)


class Leadership(Protocol):
    """Says whether this replica leads."""

    @property
    def term(self) -> Term | None:
        """The term, None while this replica doesn't lead."""
        ...


class Alone:
    """There is one replica, which leads."""

    term = Term()
