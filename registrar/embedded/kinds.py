"""What each kind adds to what all objects have in common: defaults and validation.

It must never hold what is the same for all kinds; that is objectmeta.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from registrar.embedded.endpoints import (
    default_endpoints,
    default_slice,
    endpoints_problems,
    slice_problems,
)
from registrar.embedded.formats import dns_label, dns_subdomain, label_key
from registrar.embedded.services import carry_over, default_service, service_problems
from registrar.embedded.status import Problem, forbidden_field, invalid, required, unsupported
from registrar.embedded.values import Object, as_int, as_list, as_object, text_at

NAME_LIMITS = {"reportingInstance": 128, "action": 128, "reason": 128, "message": 1024}


def _nothing(_item: Object) -> None: ...


def _keep_nothing(_item: Object, _before: Object) -> None: ...


def _no_problems(_item: Object, _before: Object | None) -> list[Problem]:
    return []


@dataclass(frozen=True)
class Kind:
    """The rules of one kind. `carry_over` keeps what an update may not change."""

    name_rule: Callable[[str], list[str]] = dns_subdomain
    default: Callable[[Object], None] = _nothing
    prepare_new: Callable[[Object], None] = _nothing
    carry_over: Callable[[Object, Object], None] = _keep_nothing
    problems: Callable[[Object, Object | None], list[Problem]] = _no_problems
    folder: str = ""
    """Where the real API server keeps it, which some messages tell."""


# --- namespaces ------------------------------------------------------------------------------


def _default_namespace(item: Object) -> None:
    meta = as_object(item["metadata"])
    labels = as_object(meta.setdefault("labels", {}))
    labels["kubernetes.io/metadata.name"] = meta.get("name") or ""


def _new_namespace(item: Object) -> None:
    spec = as_object(item["spec"])
    finalizers = as_list(spec.setdefault("finalizers", []))
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")
    item["status"] = {"phase": "Active"}


def _keep_namespace(item: Object, before: Object) -> None:
    item["spec"], item["status"] = before["spec"], before["status"]


# --- nodes and Service ranges ------------------------------------------------------------------


def _default_node(item: Object) -> None:
    spec = as_object(item["spec"])
    ranges = as_list(spec.get("podCIDRs"))
    if first := text_at(spec, "podCIDR") or (ranges[0] if ranges else ""):
        spec["podCIDR"] = first
        spec["podCIDRs"] = ranges if ranges and ranges[0] == first else [first]


def _keep_status(item: Object, before: Object) -> None:
    item["status"] = before["status"]


def _no_status(item: Object) -> None:
    item["status"] = {}


def _new_service(item: Object) -> None:
    item["status"] = {"loadBalancer": {}}


# --- leases ----------------------------------------------------------------------------------


def _lease_problems(item: Object, _before: Object | None) -> list[Problem]:
    return list(_lease(as_object(item["spec"])))


def _lease(spec: Object) -> Iterator[Problem]:
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and as_int(duration) <= 0:
        yield invalid("spec.leaseDurationSeconds", duration, "must be greater than 0")
    if transitions is not None and as_int(transitions) < 0:
        words = "must be greater than or equal to 0"
        yield invalid("spec.leaseTransitions", transitions, words)
    strategy = text_at(spec, "strategy")
    if strategy and "/" not in strategy and strategy != "OldestEmulationVersion":
        yield unsupported("spec.strategy.strategy", strategy, ("OldestEmulationVersion",))
    if spec.get("preferredHolder") and not strategy:
        words = "may only be specified if `strategy` is defined"
        yield forbidden_field("spec.preferredHolder", words)


# --- events ----------------------------------------------------------------------------------


def _event_problems(item: Object, _before: Object | None) -> list[Problem]:
    return list(_event(item))


def _event(item: Object) -> Iterator[Problem]:
    namespace = text_at(item, "metadata", "namespace")
    about = text_at(item, "involvedObject", "namespace")
    words = "does not match event.namespace"
    if not item.get("eventTime"):
        if namespace != (about or "default"):
            yield invalid("involvedObject.namespace", about, words)
        return
    if not about and namespace not in {"default", "kube-system"}:
        yield invalid("involvedObject.namespace", about, words)
    controller = text_at(item, "reportingComponent")
    if not controller:
        yield required("reportingComponent")
    for wrong in label_key(controller):
        yield invalid("reportingComponent", controller, wrong)
    for key, limit in NAME_LIMITS.items():
        value = text_at(item, key)
        if not value and key != "message":
            yield required(key)
        if len(value) > limit:
            yield invalid(key, "", f"can have at most {limit} characters")


KINDS = {
    "Namespace": Kind(
        name_rule=dns_label,
        default=_default_namespace,
        prepare_new=_new_namespace,
        carry_over=_keep_namespace,
        folder="namespaces",
    ),
    "Node": Kind(default=_default_node, carry_over=_keep_status, folder="minions"),
    "ServiceCIDR": Kind(prepare_new=_no_status, carry_over=_keep_status, folder="servicecidrs"),
    "Service": Kind(
        name_rule=dns_label,
        default=default_service,
        prepare_new=_new_service,
        carry_over=carry_over,
        problems=service_problems,
        folder="services/specs",
    ),
    "Endpoints": Kind(
        default=default_endpoints, problems=endpoints_problems, folder="services/endpoints"
    ),
    "EndpointSlice": Kind(default=default_slice, problems=slice_problems, folder="endpointslices"),
    "Lease": Kind(problems=_lease_problems, folder="leases"),
    "Event": Kind(problems=_event_problems, folder="events"),
}
