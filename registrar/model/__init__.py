"""The vocabulary: the frozen values that every stage shares.

No I/O, no clock, no settings library: whatever is here can be compared, hashed and printed.
"""

from registrar.model.decided import Desired, Hold, HoldReason, Plan, Withdrawn
from registrar.model.election import LeaderElection
from registrar.model.found import Answer, Backend, DropCause, Dropped, Observation, PartState
from registrar.model.held import (
    BackendId,
    Endpoint,
    EndpointId,
    Published,
    ServicePort,
    ServiceState,
)
from registrar.model.judged import CheckResult, Outcome, Preservation, Verdict
from registrar.model.limits import ApiLimits
from registrar.model.mapped import (
    Confirm,
    NewPort,
    NewService,
    PortMapping,
    Publish,
    QueryRef,
    ServiceKey,
    ServiceMapping,
)
from registrar.model.networks import (
    Address,
    ClusterRange,
    ClusterRanges,
    Network,
    NetworkRules,
    RangeKind,
)
from registrar.model.operation import Admin, Periodic
from registrar.model.probed import (
    Expected,
    GrpcProbe,
    Header,
    HealthCheck,
    HttpProbe,
    Probe,
    ProbeTls,
    Target,
    TcpProbe,
    UdpProbe,
)

__all__ = [
    "Address",
    "Admin",
    "Answer",
    "ApiLimits",
    "Backend",
    "BackendId",
    "CheckResult",
    "ClusterRange",
    "ClusterRanges",
    "Confirm",
    "Desired",
    "DropCause",
    "Dropped",
    "Endpoint",
    "EndpointId",
    "Expected",
    "GrpcProbe",
    "Header",
    "HealthCheck",
    "Hold",
    "HoldReason",
    "HttpProbe",
    "LeaderElection",
    "Network",
    "NetworkRules",
    "NewPort",
    "NewService",
    "Observation",
    "Outcome",
    "PartState",
    "Periodic",
    "Plan",
    "PortMapping",
    "Preservation",
    "Probe",
    "ProbeTls",
    "Publish",
    "Published",
    "QueryRef",
    "RangeKind",
    "ServiceKey",
    "ServiceMapping",
    "ServicePort",
    "ServiceState",
    "Target",
    "TcpProbe",
    "UdpProbe",
    "Verdict",
    "Withdrawn",
]
