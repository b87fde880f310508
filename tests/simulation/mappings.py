"""How large a world is, and the configuration that its Services are mapped by.

It must never say more than a person would write: nothing of what is true of the backends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from registrar.config import CANARY_CHECK, Config
from registrar.mappings import SourceConfig
from registrar.model import (
    ApiLimits,
    Confirm,
    HealthCheck,
    LeaderElection,
    NetworkRules,
    PortMapping,
    Preservation,
    Publish,
    QueryRef,
    ServiceKey,
    ServiceMapping,
    Target,
    TcpProbe,
)
from tests.simulation.cluster import INSTANCE, NAMESPACE
from tests.simulation.ends import PORT, Ends, SimulatedOptions, SimulatedQuery
from tests.simulation.truth import ServiceTruth

CANARY = "10.250.0.1"

FEW = ApiLimits(concurrency=4)
"""More looks at a time than there are Services, each of which costs time."""

CHECK = HealthCheck(TcpProbe(), interval=5.0, timeout=1.0, rise=2, fall=3)


@dataclass(frozen=True)
class Size:
    """How large a world is, and what its times are.

    Services take turns at the `sources`, each of whose answers comes in `parts`.
    """

    services: int = 1
    replicas: int = 1
    warm: bool = True
    backends: int = 2
    parts: int = 1
    sources: int = 1
    watched: bool = False
    publish: str = "both"
    adopt: bool = False
    check: HealthCheck | None = CHECK
    poll_s: float = 10.0
    max_backends: int = 5000
    window_s: float = 0.0
    """Over how long answers are joined."""
    canary: bool = False
    on_apscheduler: bool = False
    """Run polls on APScheduler, as in earnest; else on the event loop, which is far cheaper."""
    bound_s: float = 25.0
    """Invariant 5's bound: the longest backoff or poll, and the checks that follow."""


def config_of(
    services: Mapping[str, ServiceTruth],
    size: Size,
    ends: Ends,
    rules: NetworkRules,
    accept_removed: str | None,
) -> Config:
    canaries = (Target(ip_address(CANARY), PORT, CANARY_CHECK),) if size.canary else ()
    sources = sorted({source for one in services.values() for source, _ in one.groups})
    options = [
        SimulatedOptions.model_validate(
            {"name": name, "interval": f"{size.poll_s:g}s", "timeout": "5s"}
        )
        for name in sources
    ]
    return Config(
        Path(),
        INSTANCE,
        rules,
        tuple(SourceConfig(one.name, ends.plugin, one) for one in options),
        tuple(_mapping(one, size, ends.plugin.confirm) for one in services.values()),
        accept_removed=accept_removed,
        preservation=Preservation(canaries=canaries),
        api=FEW,
        election=LeaderElection(warm_standby=size.warm),
    )


def _mapping(service: ServiceTruth, size: Size, confirm: Confirm | None) -> ServiceMapping:
    queries = tuple(
        QueryRef(source, SimulatedQuery.model_validate({"group": group}))
        for source, group in service.groups
    )
    return ServiceMapping(
        ServiceKey(NAMESPACE, service.name),
        (PortMapping(None, queries, None, size.check, confirm),),
        Publish(service.publish),
        service.adopt,
        max_backends=size.max_backends,
    )
