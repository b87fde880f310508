"""The cluster addresses and node ports of Services: asked for, or the next that is free.

It must never give an address twice, nor change one that was given.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

from registrar.embedded.formats import parse_address
from registrar.embedded.services import EXTERNAL
from registrar.embedded.status import Problem, invalid
from registrar.embedded.values import Object, as_object, objects_at, texts_at

RANGES = {
    "IPv4": ipaddress.ip_network("10.96.0.0/16"),
    "IPv6": ipaddress.ip_network("fd00:10:96::/112"),
}
NODE_PORTS = range(30000, 32768)


class ClusterAddresses:
    """Which cluster addresses and node ports are taken; gives the next free one."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._free = {family: network.hosts() for family, network in RANGES.items()}
        for family in RANGES:
            next(self._free[family])  # the API server's own Service has the first
        self._ports = iter(NODE_PORTS)

    def note(self, before: Object | None, after: Object | None) -> None:
        """Note that a Service changed from something to something."""
        for item, count in ((before, -1), (after, 1)):
            for text in texts_at(item, "spec", "clusterIPs"):
                self._taken[text] += count

    def allocate(self, item: Object, before: Object | None) -> list[Problem]:
        """Set families and addresses. Return what stands against those that are asked for."""
        spec = as_object(item["spec"])
        if spec["type"] == "ExternalName":
            return []
        headless = spec.get("clusterIP") == "None"
        if problems := self._families(spec, headless=headless):
            return problems
        if spec["type"] in EXTERNAL:
            for port in objects_at(spec, "ports"):
                port.setdefault("nodePort", next(self._ports))
        if headless:
            return []
        old = set(texts_at(before, "spec", "clusterIPs"))
        asked = texts_at(spec, "clusterIPs")
        for text in asked:
            if text not in old and (problem := self._refusal(text, asked)):
                return [problem]
        families = texts_at(spec, "ipFamilies")
        given = asked[: len(families)]
        given += [self._next(family) for family in families[len(given) :]]
        spec["clusterIPs"] = list(given)
        spec["clusterIP"] = given[0]
        return []

    def _families(self, spec: Object, *, headless: bool) -> list[Problem]:
        families = texts_at(spec, "ipFamilies")
        for found in map(parse_address, texts_at(spec, "clusterIPs")[len(families) :]):
            if found is not None:
                families.append(f"IPv{found.version}")
        # Without a selector nobody knows the endpoints' families: it may have both.
        free = headless and not spec.get("selector") and not families
        policy = spec.setdefault("ipFamilyPolicy", "RequireDualStack" if free else "SingleStack")
        if policy == "SingleStack" and len(families) > 1:
            words = (
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are"
                " specified"
            )
            return [invalid("spec.ipFamilyPolicy", policy, words)]
        families = families or ["IPv4"]
        if policy != "SingleStack" and len(families) == 1:
            families.append("IPv6" if families[0] == "IPv4" else "IPv4")
        spec["ipFamilies"] = list(families)
        return []

    def _refusal(self, text: str, asked: list[str]) -> Problem | None:
        found = parse_address(text)
        if found is None:
            return None
        network = RANGES[f"IPv{found.version}"]
        why = ""
        if found not in network:
            why = "the provided network does not match the current range"
        elif self._taken[text] > 0:
            why = "provided IP is already allocated"
        if not why:
            return None
        return invalid("spec.clusterIPs", list(asked), f"failed to allocate IP {text}: {why}")

    def _next(self, family: str) -> str:
        for found in self._free[family]:
            if self._taken[str(found)] == 0:
                return str(found)
        raise RuntimeError(f"no {family} cluster address is left")
