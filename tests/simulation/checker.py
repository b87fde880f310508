"""Holds every stored change, and every change of the world, to the five invariants.

It knows the truth and the API server's history, and must never share code with the decisions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from registrar.embedded.store import Change
from registrar.embedded.values import Object, as_object, at, metadata, text_at
from tests.simulation.cluster import (
    MANAGED_BY,
    MIRROR,
    PODS,
    addresses_of,
    is_ours,
    service_of,
    union,
)
from tests.simulation.truth import Reach, Truth, now

REGISTRAR = "registrar/"
KINDS = frozenset({"services", "endpoints", "endpointslices"})

SURE_S = 20.0
"""A backend that has served and been listed for so long must not be touched (invariant 2)."""

CALM_S = 5.0
"""After a hand has touched a Service's objects it takes so long until invariant 2 holds again."""

LATE_S = 1.0
"""What a former leader has written must be put right so soon (invariant 4)."""

NOTICED_S = 1.0
"""A Service's new selector, or a narrower `allow`, must be heeded so soon."""


@dataclass(frozen=True)
class Stale:
    """What a replica that no longer led has written, and when."""

    at: float
    name: str
    by: str
    content: Object


@dataclass
class ServiceSeen:
    """What the API server has stored for one Service, as far as the checker cares."""

    uid: str = ""
    has_selector: bool = False
    changed: float = 0.0
    touched: float = -math.inf
    slices: dict[str, Object] = field(default_factory=dict)
    endpoints: Object | None = None

    @property
    def published(self) -> dict[str, bool]:
        return union(self.slices.values())


class Checker:
    """Looks at every step; `violated` is called with the first breach, and with nothing after it.

    `leader` is the replica that may write, by its user agent; None where nobody asks, empty while
    there is none. `clock` tells when that happened which it is shown: the event loop's time, if
    nothing else is given.
    """

    def __init__(
        self,
        truth: Truth,
        violated: Callable[[str], None],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.truth = truth
        self.allowed = [ip_network("10.0.0.0/8")]
        self.denied: list[IPv4Network | IPv6Network] = []
        self.leader: str | None = None
        self.sure_s = SURE_S
        self.calm_s = CALM_S
        self.heard_since = -math.inf
        """Since when the leader reaches the API server: before, it can put nothing right."""
        self.is_blind = False
        """Whether a fault keeps registrar from seeing what becomes of Services."""
        self.services: dict[str, ServiceSeen] = {}
        self.written = 0
        self._now = clock or now
        self._violated = violated
        self._narrowed = 0.0
        self._writers: dict[tuple[str, str], str] = {}
        self._stale: dict[tuple[str, str], Stale] = {}

    def narrow(self, *networks: str) -> None:
        """From now on only these networks may be published."""
        self.allowed = [ip_network(one) for one in networks]
        self._narrowed = self._now()

    def deny(self, *networks: str) -> None:
        """From now on none of these networks may be published: they are the cluster's own."""
        self.denied += [ip_network(one) for one in networks]
        self._narrowed = self._now()

    def may_publish(self, address: str) -> bool:
        """Say whether an address lies where something may be published."""
        parsed = ip_address(address)
        is_denied = any(parsed in network for network in self.denied)
        return not is_denied and any(parsed in network for network in self.allowed)

    def ought(self, name: str) -> dict[str, bool]:
        """Return each address that ought to be published for a Service, and whether as ready."""
        truth = self.truth
        checked = truth.services[name].checked
        return {
            address: not checked or truth.backends[address].reach is Reach.SERVES
            for address in truth.listed(name)
            if self.may_publish(address)
        }

    # --- every step ----------------------------------------------------------------------------

    def stored(self, change: Change) -> None:
        """Look at a change that the API server has stored."""
        if change.resource not in KINDS:
            return
        name = service_of(change.resource, change.object)
        seen = self.services.setdefault(name, ServiceSeen())
        by_registrar = change.by.startswith(REGISTRAR)
        before = seen.published
        was_stable = bool(seen.uid) and not seen.has_selector
        self._take(seen, change)
        if by_registrar:
            self.written += 1
            self._check_addresses(change)
            self._check_owner(change, seen, name)
            self._check_leader(change, name)
            if was_stable:
                self._check_kept(name, seen, before, change)
        elif change.by == MIRROR:
            # It only repeats what registrar has written, who answers for it.
            if was_stable:
                self._check_kept(name, seen, before, change)
        elif change.by:
            # A hand has changed what registrar publishes, and nobody but it answers for that.
            seen.touched = self._now()
        self.looked()

    def looked(self) -> None:
        """Look at what is so now, after a change of the world or some time."""
        for where, stale in list(self._stale.items()):
            if self._now() - max(stale.at, self.heard_since) <= LATE_S:
                continue
            del self._stale[where]
            if not self._is_right(stale.name):
                words = f"{stale.by} no longer led, and what it wrote of {where} stays"
                self._breach(4, words, stale.content)
        if self._narrowed and self._now() - self._narrowed > NOTICED_S:
            for name, seen in self.services.items():
                for address in seen.published:
                    if not self.may_publish(address):
                        self._breach(1, f"{name} still publishes {address}", {})

    # --- the invariants ------------------------------------------------------------------------

    def _check_addresses(self, change: Change) -> None:
        if change.type == "DELETED":
            return
        for address in addresses_of(change.object):
            if not self.may_publish(address):
                self._breach(1, f"{address} is published, which no network allows", change.object)

    def _check_kept(
        self, name: str, seen: ServiceSeen, before: dict[str, bool], change: Change
    ) -> None:
        if name not in self.truth.services or not seen.uid:
            return
        after = seen.published
        calm = min(self._now() - seen.touched, self._now() - seen.changed)
        if calm <= self.calm_s:
            return
        lacked = self.truth.lacked(name)
        is_doubtful = _is_doubtful(len(lacked & before.keys()), len(before))
        for address, ready in before.items():
            if not ready or after.get(address) or not self.may_publish(address):
                continue
            if address in lacked and not is_doubtful:
                continue
            serves = self.truth.serves_since(address)
            told = self.truth.told_since(name, address)
            if serves is None or told is None or self._now() - max(serves, told) < self.sure_s:
                continue
            what = "made not ready" if address in after else "removed"
            self._breach(
                2,
                f"{address} of {name} was {what}, which has served since {serves:.1f} s "
                f"and been listed since {told:.1f} s",
                change.object,
            )

    def _check_owner(self, change: Change, seen: ServiceSeen, name: str) -> None:
        truth = self.truth.services.get(name)
        adopts = truth is not None and truth.adopt
        item = change.before if change.before is not None else change.object
        ours = change.resource != "services" and is_ours(change.resource, item)
        if change.resource == "services" and change.type == "ADDED":
            return
        leftover = text_at(item, "metadata", "labels", MANAGED_BY) == PODS
        adopted = adopts and change.resource != "services"
        adopted = adopted and (change.resource == "endpoints" or leftover)
        if not ours and not adopted:
            self._breach(3, f"{change.resource} {change.name} is not ours", item)
        is_late = self._now() - seen.changed > NOTICED_S and not self.is_blind
        if not seen.uid and change.type == "ADDED" and is_late:
            self._breach(3, f"it was made for {name}, a Service that is gone", item)
        if seen.has_selector and change.type != "DELETED" and is_late:
            self._breach(3, f"{name} has a selector, so its endpoints are not ours", item)

    def _check_leader(self, change: Change, name: str) -> None:
        where = (change.resource, change.name)
        if self.leader is None or change.by == self.leader:
            self._writers[where] = change.by
            self._stale.pop(where, None)
            return
        before = {} if change.before is None else addresses_of(change.before)
        after = {} if change.type == "DELETED" else addresses_of(change.object)
        if self.leader and self._writers.get(where) == self.leader:
            self._breach(4, f"{change.by} replaced what {self.leader} wrote", change.object)
        elif change.before is None or change.type == "DELETED" or before != after:
            self._stale[where] = Stale(self._now(), name, change.by, change.object)

    def _is_right(self, name: str) -> bool:
        """Say whether what is published of a Service is what ought to be: nobody need touch it."""
        seen, mapped = self.services[name], self.truth.services.get(name)
        if mapped is None:
            return False
        said = None if seen.endpoints is None else addresses_of(seen.endpoints)
        wanted = self.ought(name)
        needed = None if mapped.publish == "endpointslices" else wanted
        return seen.published == wanted and said == needed

    # --- bookkeeping ---------------------------------------------------------------------------

    def _take(self, seen: ServiceSeen, change: Change) -> None:
        gone = change.type == "DELETED"
        if change.resource == "services":
            uid = "" if gone else text_at(change.object, "metadata", "uid")
            selector = bool(as_object(at(change.object, "spec", "selector"))) and not gone
            if (uid, selector) != (seen.uid, seen.has_selector):
                seen.uid, seen.has_selector, seen.changed = uid, selector, self._now()
        elif change.resource == "endpoints":
            seen.endpoints = None if gone else change.object
        elif gone:
            seen.slices.pop(change.name, None)
        else:
            seen.slices[change.name] = change.object

    def _breach(self, invariant: int, words: str, item: Object) -> None:
        which = f" ({metadata(item).get('name')})" if item else ""
        self._violated(f"invariant {invariant}: {words}{which}")


def _is_doubtful(gone: int, total: int) -> bool:
    """Say whether so much is missing from an answer that it has to be confirmed."""
    if gone == 0:
        return False
    half, third = total >= 3 and gone > total / 2, total >= 10 and gone > 0.3 * total
    return gone == total or half or third
