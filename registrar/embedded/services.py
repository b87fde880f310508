"""Services: defaults, cluster addresses, and what the real API server refuses in them.

It must never give an address twice, nor change one that was given.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator

from registrar.embedded.endpoints import protocol_problems
from registrar.embedded.formats import (
    address,
    dns_label,
    dns_subdomain,
    parse_address,
    port_name,
    port_number,
)
from registrar.embedded.objectmeta import label_problems
from registrar.embedded.status import (
    Problem,
    duplicate,
    forbidden_field,
    invalid,
    required,
    unsupported,
)
from registrar.embedded.values import (
    Object,
    as_int,
    as_object,
    as_text,
    objects_at,
    text_at,
    texts_at,
)

RANGES = {
    "IPv4": ipaddress.ip_network("10.96.0.0/16"),
    "IPv6": ipaddress.ip_network("fd00:10:96::/112"),
}
NODE_PORTS = range(30000, 32768)
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_EXTERNAL = {"NodePort", "LoadBalancer"}


def default_service(item: Object) -> None:
    """Fill in what is not said, as far as it needs no allocation."""
    spec = as_object(item["spec"])
    spec.setdefault("type", "ClusterIP")
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP" and not as_object(spec.get("sessionAffinityConfig")).get(
        "clientIP"
    ):
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    for port in objects_at(spec, "ports"):
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (0, "", None):
            port["targetPort"] = port.get("port")
    if spec["type"] in _EXTERNAL or (spec["type"] == "ClusterIP" and spec.get("externalIPs")):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if text_at(spec, "clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [text_at(spec, "clusterIP")]


def carry_over(item: Object, before: Object) -> None:
    """Keep what was allocated before, where an update doesn't speak of it."""
    item["status"] = before["status"]
    spec, old = as_object(item["spec"]), as_object(before["spec"])
    if spec["type"] == "ExternalName":
        if old["type"] != "ExternalName":
            for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if spec.get(key) == old.get(key):
                    spec.pop(key, None)
        return
    if not spec.get("clusterIP") and old.get("clusterIP"):
        for key in ("clusterIP", "clusterIPs"):
            spec[key] = old[key]
    for key in ("ipFamilies", "ipFamilyPolicy"):
        if key not in spec and key in old:
            spec[key] = old[key]
    nodes = {
        (text_at(p, "protocol"), as_int(p.get("port"))): p["nodePort"]
        for p in objects_at(old, "ports")
        if "nodePort" in p
    }
    for port in objects_at(spec, "ports"):
        key_of_port = (text_at(port, "protocol"), as_int(port.get("port")))
        if spec["type"] in _EXTERNAL and key_of_port in nodes:
            port.setdefault("nodePort", nodes[key_of_port])
        elif spec["type"] not in _EXTERNAL and port.get("nodePort") == nodes.get(key_of_port):
            port.pop("nodePort", None)
    if old["type"] in _EXTERNAL and spec["type"] not in _EXTERNAL and not spec.get("externalIPs"):
        spec.pop("externalTrafficPolicy", None)


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
        if spec["type"] in _EXTERNAL:
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


def service_problems(item: Object, before: Object | None) -> list[Problem]:
    """Return what is wrong with a Service."""
    return [*_changed_addresses(item, before), *_problems(item)]


def _problems(item: Object) -> Iterator[Problem]:
    spec = as_object(item["spec"])
    kind, ports = text_at(spec, "type"), objects_at(spec, "ports")
    headless = text_at(spec, "clusterIP") == "None"
    if not ports and not headless and kind != "ExternalName":
        yield required("spec.ports")
    if headless and kind in _EXTERNAL:
        words = f"may not be set to 'None' for {kind} services"
        yield invalid("spec.clusterIPs[0]", "None", words)
    if kind == "ExternalName":
        yield from _external_name(spec)
    names: set[str] = set()
    for index, port in enumerate(ports):
        yield from _port(f"spec.ports[{index}]", port, names, several=len(ports) > 1)
    yield from label_problems("spec.selector", spec.get("selector"))
    if spec["sessionAffinity"] not in {"None", "ClientIP"}:
        yield unsupported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    if kind != "ExternalName":
        yield from _addresses(spec)
    if kind not in TYPES:
        yield unsupported("spec.type", kind, TYPES)
    if kind == "ClusterIP":
        for index, port in enumerate(ports):
            if port.get("nodePort"):
                words = "may not be used when `type` is 'ClusterIP'"
                yield forbidden_field(f"spec.ports[{index}].nodePort", words)
    yield from _doubled(ports)
    policy = spec.get("internalTrafficPolicy")
    if policy is not None and policy not in {"Cluster", "Local"}:
        yield unsupported("spec.internalTrafficPolicy", policy, ("Cluster", "Local"))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in DISTRIBUTIONS:
        yield unsupported("spec.trafficDistribution", distribution, DISTRIBUTIONS)


def _external_name(spec: Object) -> Iterator[Problem]:
    for key in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(key):
            yield forbidden_field(f"spec.{key}", "may not be set for ExternalName services")
    if name := text_at(spec, "externalName").removesuffix("."):
        for words in dns_subdomain(name):
            yield invalid("spec.externalName", name, words)
    else:
        yield required("spec.externalName")


def _port(path: str, port: Object, names: set[str], *, several: bool) -> Iterator[Problem]:
    if name := text_at(port, "name"):
        for words in dns_label(name):
            yield invalid(f"{path}.name", name, words)
        if name in names:
            yield duplicate(f"{path}.name", name)
        names.add(name)
    elif several:
        yield required(f"{path}.name")
    number = as_int(port.get("port"))
    for words in port_number(number):
        yield invalid(f"{path}.port", number, words)
    target = port.get("targetPort")
    wrong = port_name(target) if isinstance(target, str) else port_number(as_int(target))
    protocols = protocol_problems(path, port)
    yield from (p for p in protocols if p.field.endswith(".protocol"))
    for words in wrong:
        yield invalid(f"{path}.targetPort", target, words)
    yield from (p for p in protocols if not p.field.endswith(".protocol"))


def _addresses(spec: Object) -> Iterator[Problem]:
    asked = texts_at(spec, "clusterIPs")
    if text_at(spec, "clusterIP") != (asked[0] if asked else ""):
        words = "first value must match `clusterIP`"
        if not text_at(spec, "clusterIP"):
            words = "must be empty when `clusterIP` is not specified"
        yield invalid("spec.clusterIPs", list(asked), words)
    seen: set[str] = set()
    for index, family in enumerate(texts_at(spec, "ipFamilies")):
        if family not in RANGES:
            yield unsupported(f"spec.ipFamilies[{index}]", family, tuple(RANGES))
        if family in seen:
            yield duplicate(f"spec.ipFamilies[{index}]", family)
        seen.add(family)
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in POLICIES:
        yield unsupported("spec.ipFamilyPolicy", policy, POLICIES)
    for index, text in enumerate(asked):
        if not (text == "None" and index == 0):
            yield from address(f"spec.clusterIPs[{index}]", text)


def _doubled(ports: list[Object]) -> Iterator[Problem]:
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        number, protocol = as_int(port.get("port")), text_at(port, "protocol")
        if (protocol, number) in seen:
            shown: Object = {
                "Name": "",
                "Protocol": protocol,
                "AppProtocol": None,
                "Port": number,
                "TargetPort": 0,
                "NodePort": 0,
            }
            yield duplicate(f"spec.ports[{index}]", shown)
        seen.add((protocol, number))


def _changed_addresses(item: Object, before: Object | None) -> Iterator[Problem]:
    new, old = texts_at(item, "spec", "clusterIPs"), texts_at(before, "spec", "clusterIPs")
    kinds = {text_at(item, "spec", "type"), text_at(before, "spec", "type")}
    if "ExternalName" in kinds or not old:
        return
    for index, (was, now) in enumerate(zip(old, new, strict=False)):
        if was != now:
            yield invalid(f"spec.clusterIPs[{index}]", list(new), "may not change once set")
