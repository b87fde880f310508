"""The types of the objects that are served: every field, how it is written and how it merges.

It must never hold a field that Kubernetes' own types lack: what isn't here is unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# NAME[!][*]:TYPE  `!` is written even when empty, `*` tells an empty value from none.
# TYPE is a scalar, a struct, [TYPE] or {TYPE}; after a list, @KEY is the merge key of a strategic
# patch ("@" alone: a set) and #KEY,KEY those of server-side apply ("#" alone: a set).
_TEXT = """
ObjectMeta v1.ObjectMeta: name:string generateName:string namespace:string selfLink:string
  uid:string resourceVersion:string generation:int64 creationTimestamp:time
  deletionTimestamp*:time deletionGracePeriodSeconds*:int64 labels:{string} annotations:{string}
  ownerReferences:[OwnerReference]@uid#uid finalizers:[string]@# managedFields:[any]
OwnerReference v1.OwnerReference: apiVersion!:string kind!:string name!:string uid!:string
  controller*:bool blockOwnerDeletion*:bool
Condition v1.Condition: type!:string status!:string observedGeneration:int64
  lastTransitionTime!:time reason!:string message!:string
ObjectReference v1.ObjectReference: kind:string namespace:string name:string uid:string
  apiVersion:string resourceVersion:string fieldPath:string

Namespace v1.Namespace: metadata!:ObjectMeta spec!:NamespaceSpec status!:NamespaceStatus
NamespaceSpec v1.NamespaceSpec: finalizers:[string]
NamespaceStatus v1.NamespaceStatus: phase:string conditions:[NamespaceCondition]@type#type
NamespaceCondition v1.NamespaceCondition: type!:string status!:string lastTransitionTime:time
  reason:string message:string

Node v1.Node: metadata!:ObjectMeta spec!:NodeSpec status!:NodeStatus
NodeSpec v1.NodeSpec: podCIDR:string podCIDRs:[string]@# providerID:string unschedulable:bool
  taints:[any]
NodeStatus v1.NodeStatus: capacity:{string} allocatable:{string} conditions:[any]
  addresses:[NodeAddress] daemonEndpoints:any nodeInfo:any images:[any]
NodeAddress v1.NodeAddress: type!:string address!:string

ServiceCIDR v1.ServiceCIDR: metadata!:ObjectMeta spec!:ServiceCIDRSpec status!:ServiceCIDRStatus
ServiceCIDRSpec v1.ServiceCIDRSpec: cidrs:[string]
ServiceCIDRStatus v1.ServiceCIDRStatus: conditions:[Condition]@type#type

Service v1.Service: metadata!:ObjectMeta spec!:ServiceSpec status!:ServiceStatus
ServiceSpec v1.ServiceSpec: ports:[ServicePort]@port#port,protocol selector:{string}
  clusterIP:string clusterIPs:[string] type:string externalIPs:[string] sessionAffinity:string
  loadBalancerIP:string loadBalancerSourceRanges:[string] externalName:string
  externalTrafficPolicy:string healthCheckNodePort:int32 publishNotReadyAddresses:bool
  sessionAffinityConfig*:SessionAffinityConfig ipFamilies:[string] ipFamilyPolicy*:string
  allocateLoadBalancerNodePorts*:bool loadBalancerClass*:string internalTrafficPolicy*:string
  trafficDistribution*:string
ServicePort v1.ServicePort: name:string protocol:string appProtocol*:string port!:int32
  targetPort!:intOrString nodePort:int32
SessionAffinityConfig v1.SessionAffinityConfig: clientIP*:ClientIPConfig
ClientIPConfig v1.ClientIPConfig: timeoutSeconds*:int32
ServiceStatus v1.ServiceStatus: loadBalancer!:LoadBalancerStatus conditions:[Condition]@type#type
LoadBalancerStatus v1.LoadBalancerStatus: ingress:[LoadBalancerIngress]
LoadBalancerIngress v1.LoadBalancerIngress: ip:string hostname:string ipMode*:string
  ports:[PortStatus]
PortStatus v1.PortStatus: port!:int32 protocol!:string error*:string

Endpoints v1.Endpoints: metadata!:ObjectMeta subsets:[EndpointSubset]
EndpointSubset v1.EndpointSubset: addresses:[EndpointAddress] notReadyAddresses:[EndpointAddress]
  ports:[EndpointPort]
EndpointAddress v1.EndpointAddress: ip!:string hostname:string nodeName*:string
  targetRef*:ObjectReference
EndpointPort v1.EndpointPort: name:string port!:int32 protocol:string appProtocol*:string

EndpointSlice v1.EndpointSlice: metadata!:ObjectMeta addressType!:string endpoints!:[Endpoint]
  ports!:[SlicePort]
Endpoint v1.Endpoint: addresses!:[string] conditions!:EndpointConditions hostname*:string
  targetRef*:ObjectReference deprecatedTopology:{string} nodeName*:string zone*:string
  hints*:EndpointHints
EndpointConditions v1.EndpointConditions: ready*:bool serving*:bool terminating*:bool
EndpointHints v1.EndpointHints: forZones:[ForZone] forNodes:[ForNode]
ForZone v1.ForZone: name!:string
ForNode v1.ForNode: name!:string
SlicePort v1.EndpointPort: name*:string protocol*:string port*:int32 appProtocol*:string

Lease v1.Lease: metadata!:ObjectMeta spec!:LeaseSpec
LeaseSpec v1.LeaseSpec: holderIdentity*:string leaseDurationSeconds*:int32 acquireTime*:microTime
  renewTime*:microTime leaseTransitions*:int32 strategy*:string preferredHolder*:string

Event v1.Event: metadata!:ObjectMeta involvedObject!:ObjectReference reason:string message:string
  source!:EventSource firstTimestamp!:time lastTimestamp!:time count:int32 type:string
  eventTime!:microTime series*:EventSeries action:string related*:ObjectReference
  reportingComponent!:string reportingInstance!:string
EventSource v1.EventSource: component:string host:string
EventSeries v1.EventSeries: count:int32 lastObservedTime!:microTime
"""


@dataclass(frozen=True, slots=True)
class Type:
    """A scalar by its name, or a list or map `of` something, or a struct of `fields`."""

    name: str
    kind: str = "scalar"
    of: Type | None = None
    fields: dict[str, Field] = field(default_factory=dict)
    go_name: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a struct. The keys say by what the items of a list are told apart."""

    type: Type
    always: bool
    optional: bool
    merge_key: str | None
    apply_keys: tuple[str, ...] | None


_FIELD = re.compile(r"(\w+)(!?)(\*?):([\[{]?)(\w+)[\]}]?(?:@(\w*))?(?:#([\w,]*))?")


def _parse() -> dict[str, Type]:
    types: dict[str, Type] = {}
    heads = re.findall(r"^(\w+) v1\.(\w+): (.+(?:\n  .+)*)", _TEXT, re.MULTILINE)
    for name, go_name, _ in heads:
        types[name] = Type(name, "struct", fields={}, go_name=f"v1.{go_name}")
    for name, _, body in heads:
        fields = types[name].fields
        for found in _FIELD.finditer(body):
            key, always, optional, shape, of, merge, apply = found.groups()
            inner = types.get(of) or Type(of)
            kind = {"[": "list", "{": "map"}.get(shape)
            fields[key] = Field(
                Type(of, kind, inner) if kind else inner,
                always=bool(always),
                optional=bool(optional),
                merge_key=merge,
                apply_keys=None if apply is None else tuple(filter(None, apply.split(","))),
            )
    return types


TYPES = _parse()
