"""What is so in the world, whoever knows of it: backends, who can be reached, what sources list.

It must never ask registrar anything. All that changes is noted with its time, for the trace.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

CONFIRM_S = 29.0
CONFIRM_ANSWERS = 3
"""A source that lacks most of what it listed is believed after as many answers, over so long."""


class Reach(enum.Enum):
    """What becomes of a connection to a backend."""

    SERVES = "serves"
    REFUSES = "refuses"
    RESETS = "resets"
    SILENT = "is silent"


@dataclass
class Backend:
    """A backend, since when its reach is what it is, and whether we alone can't reach it."""

    reach: Reach = Reach.SERVES
    since: float = 0.0
    is_cut_off: bool = False
    """The way from registrar is broken; everybody else reaches it."""


@dataclass
class PartTruth:
    """What one part of a query ought to say, and what it has said of late."""

    members: list[str]
    told_since: dict[str, float] = field(default_factory=dict)
    """Since when every answer lists a member: from the first such answer on."""
    lacked: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Members that the last answers left out: since when, and how many answers."""


@dataclass(frozen=True)
class ServiceTruth:
    """One mapped Service: which groups of which source it takes, and in which form."""

    name: str
    groups: tuple[tuple[str, str], ...]
    publish: str = "both"
    adopt: bool = False
    checked: bool = True


class Truth:
    """The world. `changed` is called after each change of it, with what happened in words.

    `clock` tells its time in seconds: the event loop's, if nothing else is given.
    """

    def __init__(
        self, changed: Callable[[str], None], clock: Callable[[], float] | None = None
    ) -> None:
        self._changed = changed
        self._now = clock or now
        self.backends: dict[str, Backend] = {}
        self.groups: dict[tuple[str, str], dict[str, PartTruth]] = {}
        self.services: dict[str, ServiceTruth] = {}
        self.unmapped: set[str] = set()
        """Services whose mapping was removed, and meant to be."""

    # --- what happens --------------------------------------------------------------------------

    def exists(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            self.backends.setdefault(address, Backend(since=self._now()))

    def becomes(self, address: str, reach: Reach) -> None:
        known = self.backends[address]
        if known.reach is not reach:
            known.reach, known.since = reach, self._now()
            self._changed(f"{address} {reach.value}")

    def cut_off(self, addresses: Iterable[str], *, off: bool) -> None:
        for address in addresses:
            self.backends[address].is_cut_off = off
        self._changed(f"registrar {'cannot' if off else 'can'} reach {', '.join(addresses)}")

    def lists(self, source: str, group: str, part: str, members: Iterable[str]) -> None:
        """Have a part's true members be these."""
        wanted = list(members)
        self.exists(wanted)
        parts = self.groups.setdefault((source, group), {})
        there = parts.setdefault(part, PartTruth([]))
        if there.members != wanted:
            there.members = wanted
            for address in set(there.lacked) - set(wanted):
                del there.lacked[address]
            self._changed(f"{source}/{group}/{part} is {', '.join(wanted) or 'empty'}")

    def changes(
        self, service: str, *, groups: tuple[tuple[str, str], ...] = (), publish: str = ""
    ) -> None:
        """Have the mapping of a Service say something else, once the file does."""
        known = self.services[service]
        self.services[service] = replace(
            known, groups=groups or known.groups, publish=publish or known.publish
        )
        self._changed(f"the mapping of {service} is {self.services[service]}")

    def unmaps(self, service: str) -> None:
        """Have a Service have no mapping any more, once the file says so."""
        del self.services[service]
        self.unmapped.add(service)
        self._changed(f"{service} is to be mapped no more")

    def answered(self, source: str, group: str, part: str, said: Iterable[str]) -> None:
        """Note what a part has answered, true or not."""
        there, told = self.groups[source, group][part], set(said)
        for address in told:
            there.told_since.setdefault(address, self._now())
            there.lacked.pop(address, None)
        for address in list(there.told_since):
            if address in told:
                continue
            since, times = there.lacked.get(address, (self._now(), 0))
            if address in there.members:
                there.lacked[address] = (since, times + 1)
            else:
                del there.told_since[address]

    # --- what is so ----------------------------------------------------------------------------

    def parts_of(self, service: str) -> list[PartTruth]:
        groups = self.services[service].groups
        return [part for group in groups for part in self.groups[group].values()]

    def listed(self, service: str) -> set[str]:
        return {address for part in self.parts_of(service) for address in part.members}

    def lacked(self, service: str) -> set[str]:
        """Return what is left out by every part that has it, in the last answer of each."""
        parts = self.parts_of(service)
        return {
            address
            for address in self.listed(service)
            if all(address in p.lacked for p in parts if address in p.members)
        }

    def serves_since(self, address: str) -> float | None:
        """Return since when a backend serves, None if it doesn't."""
        known = self.backends.get(address)
        return known.since if known is not None and known.reach is Reach.SERVES else None

    def told_since(self, service: str, address: str) -> float | None:
        """Return since when the answers list a member that may be counted on; None if none does.

        One that is left out counts on until that has been said for long enough to be believed.
        """
        times = []
        for part in self.parts_of(service):
            if address in part.members and address in part.told_since:
                since, answers = part.lacked.get(address, (self._now(), 0))
                if self._now() - since < CONFIRM_S or answers < CONFIRM_ANSWERS:
                    times.append(part.told_since[address])
        return min(times, default=None)


def now() -> float:
    """Return the world's time in seconds, 0 before it begins."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0
