"""Services: their defaults, what an update keeps, and what the real API server refuses in them.

It must never give out addresses: that is addresses.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from registrar.embedded.endpoints import protocol_problems
from registrar.embedded.formats import (
    address,
    dns_label,
    dns_subdomain,
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
    objects_at,
    text_at,
    texts_at,
)

FAMILIES = ("IPv4", "IPv6")
TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_WORDS = {
    "internalTrafficPolicy": ("Cluster", "Local"),
    "trafficDistribution": ("PreferClose", "PreferSameZone", "PreferSameNode"),
}
EXTERNAL = frozenset({"NodePort", "LoadBalancer"})


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
    if spec["type"] in EXTERNAL or (spec["type"] == "ClusterIP" and spec.get("externalIPs")):
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
        _drop(spec, old, "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
        return
    if not spec.get("clusterIP") and old.get("clusterIP"):
        spec |= {key: old[key] for key in ("clusterIP", "clusterIPs")}
    for key in ("ipFamilies", "ipFamilyPolicy"):
        if key in old:
            spec.setdefault(key, old[key])
    _carry_node_ports(spec, old)
    if old["type"] in EXTERNAL and spec["type"] not in EXTERNAL and not spec.get("externalIPs"):
        _drop(spec, old, "externalTrafficPolicy")


def _drop(spec: Object, old: Object, *keys: str) -> None:
    # What the client has changed himself stays, to be refused.
    for key in keys:
        if spec.get(key) == old.get(key):
            spec.pop(key, None)


def _carry_node_ports(spec: Object, old: Object) -> None:
    def place(port: Object) -> tuple[str, int]:
        return text_at(port, "protocol"), as_int(port.get("port"))

    nodes = {place(p): p["nodePort"] for p in objects_at(old, "ports") if "nodePort" in p}
    for port in objects_at(spec, "ports"):
        known = nodes.get(place(port))
        if known is None:
            continue
        if spec["type"] in EXTERNAL:
            port.setdefault("nodePort", known)
        elif port.get("nodePort") == known:
            del port["nodePort"]


def service_problems(item: Object, before: Object | None) -> list[Problem]:
    """Return what is wrong with a Service."""
    return [*_changed_addresses(item, before), *_problems(item)]


def _problems(item: Object) -> Iterator[Problem]:
    spec = as_object(item["spec"])
    kind, ports = text_at(spec, "type"), objects_at(spec, "ports")
    yield from _type(spec, kind, ports)
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
    for key, supported in _WORDS.items():
        if spec.get(key) not in {None, *supported}:
            yield unsupported(f"spec.{key}", spec[key], supported)


def _type(spec: Object, kind: str, ports: list[Object]) -> Iterator[Problem]:
    headless = text_at(spec, "clusterIP") == "None"
    if not ports and not headless and kind != "ExternalName":
        yield required("spec.ports")
    if headless and kind in EXTERNAL:
        words = f"may not be set to 'None' for {kind} services"
        yield invalid("spec.clusterIPs[0]", "None", words)
    if kind == "ExternalName":
        yield from _external_name(spec)


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
        if family not in FAMILIES:
            yield unsupported(f"spec.ipFamilies[{index}]", family, FAMILIES)
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
