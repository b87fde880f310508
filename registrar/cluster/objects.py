"""The Kubernetes objects that registrar reads and writes: just the fields in use, typed.

Field names and meanings are those of the Kubernetes API reference, v1.
"""

from __future__ import annotations

import msgspec


class ApiStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The base: camelCase, frozen, defaults left out, as the API server stores objects."""


class OwnerReference(ApiStruct, frozen=True):
    """metav1.OwnerReference."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(ApiStruct, frozen=True):
    """metav1.ObjectMeta."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    deletion_timestamp: str | None = None


class ApiObject(ApiStruct, frozen=True):
    """What every object has."""

    metadata: ObjectMeta = ObjectMeta()


class ServicePort(ApiStruct, frozen=True):
    """corev1.ServicePort. `targetPort` is a number or the name of a container's port."""

    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    port: int = 0
    target_port: int | str | None = None


class ServiceSpec(ApiStruct, frozen=True):
    """corev1.ServiceSpec."""

    type: str = "ClusterIP"
    selector: dict[str, str] | None = None
    ports: tuple[ServicePort, ...] = ()
    ip_families: tuple[str, ...] = ()
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    publish_not_ready_addresses: bool = False
    traffic_distribution: str | None = None
    internal_traffic_policy: str | None = None
    external_traffic_policy: str | None = None


class Service(ApiObject, frozen=True):
    """corev1.Service."""

    api_version: str = ""
    kind: str = ""
    spec: ServiceSpec = ServiceSpec()


class EndpointAddress(ApiStruct, frozen=True):
    """corev1.EndpointAddress. registrar never writes the last two."""

    ip: str = ""
    hostname: str | None = None
    node_name: str | None = None
    target_ref: dict[str, object] | None = None


class EndpointPort(ApiStruct, frozen=True):
    """corev1.EndpointPort."""

    name: str = ""
    port: int = 0
    protocol: str = ""
    app_protocol: str | None = None


class EndpointSubset(ApiStruct, frozen=True):
    """corev1.EndpointSubset: every address serves every port of the subset."""

    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(ApiObject, frozen=True):
    """corev1.Endpoints."""

    api_version: str = ""
    kind: str = ""
    subsets: tuple[EndpointSubset, ...] = ()


class SlicePort(ApiStruct, frozen=True):
    """discoveryv1.EndpointPort. Without a number it stands for all ports."""

    name: str = ""
    port: int | None = None
    protocol: str = ""
    app_protocol: str | None = None


class SliceConditions(ApiStruct, frozen=True):
    """discoveryv1.EndpointConditions. What isn't said counts as ready, serving, not terminating."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ForZone(ApiStruct, frozen=True):
    """discoveryv1.ForZone."""

    name: str = ""


class SliceHints(ApiStruct, frozen=True):
    """discoveryv1.EndpointHints."""

    for_zones: tuple[ForZone, ...] = ()


class SliceEndpoint(ApiStruct, frozen=True):
    """discoveryv1.Endpoint. registrar never writes the last two."""

    addresses: tuple[str, ...] = ()
    conditions: SliceConditions = SliceConditions()
    hostname: str | None = None
    zone: str | None = None
    hints: SliceHints | None = None
    node_name: str | None = None
    target_ref: dict[str, object] | None = None


class EndpointSlice(ApiObject, frozen=True):
    """discoveryv1.EndpointSlice: every endpoint serves every port of the slice."""

    api_version: str = ""
    kind: str = ""
    address_type: str = ""
    endpoints: tuple[SliceEndpoint, ...] | None = ()
    ports: tuple[SlicePort, ...] | None = ()


class NodeSpec(ApiStruct, frozen=True):
    """corev1.NodeSpec."""

    pod_cidr: str = msgspec.field(default="", name="podCIDR")
    pod_cidrs: tuple[str, ...] = msgspec.field(default=(), name="podCIDRs")


class NodeAddress(ApiStruct, frozen=True):
    """corev1.NodeAddress. Of the types InternalIP and ExternalIP it is an address, else a name."""

    type: str = ""
    address: str = ""


class NodeStatus(ApiStruct, frozen=True):
    """corev1.NodeStatus."""

    addresses: tuple[NodeAddress, ...] = ()


class Node(ApiObject, frozen=True):
    """corev1.Node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class ServiceCIDRSpec(ApiStruct, frozen=True):
    """networkingv1.ServiceCIDRSpec."""

    cidrs: tuple[str, ...] = ()


class ServiceCIDR(ApiObject, frozen=True):
    """networkingv1.ServiceCIDR."""

    spec: ServiceCIDRSpec = ServiceCIDRSpec()


class ObjectReference(ApiStruct, frozen=True):
    """corev1.ObjectReference."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class EventSource(ApiStruct, frozen=True):
    """corev1.EventSource."""

    component: str = ""


class Event(ApiObject, frozen=True):
    """corev1.Event."""

    api_version: str = ""
    kind: str = ""
    involved_object: ObjectReference = ObjectReference()
    type: str = ""
    reason: str = ""
    message: str = ""
    source: EventSource = EventSource()
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    count: int = 0


class EventCount(ApiStruct, frozen=True):
    """What changes of an Event that is seen again."""

    last_timestamp: str | None = None
    count: int = 0


class LeaseSpec(ApiStruct, frozen=True):
    """coordinationv1.LeaseSpec. Times are RFC 3339 with microseconds."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(ApiObject, frozen=True):
    """coordinationv1.Lease."""

    api_version: str = ""
    kind: str = ""
    spec: LeaseSpec = LeaseSpec()


class ListMeta(ApiStruct, frozen=True):
    """metav1.ListMeta."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class StatusCause(ApiStruct, frozen=True):
    """metav1.StatusCause."""

    reason: str = ""


class StatusDetails(ApiStruct, frozen=True):
    """metav1.StatusDetails."""

    causes: tuple[StatusCause, ...] = ()


class Status(ApiStruct, frozen=True):
    """metav1.Status: how the API server says that, and why, it did not do something."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: StatusDetails | None = None


class Preconditions(ApiStruct, frozen=True):
    """metav1.Preconditions."""

    uid: str = ""
    resource_version: str = ""


class DeleteOptions(ApiStruct, frozen=True):
    """metav1.DeleteOptions."""

    api_version: str = "v1"
    kind: str = "DeleteOptions"
    preconditions: Preconditions = Preconditions()
