"""What a Service of the cluster means for the decisions; and the one that a mapping makes."""

from __future__ import annotations

from functools import lru_cache

from registrar.cluster.endpoints import INSTANCE, MANAGED_BY, MANAGER
from registrar.cluster.objects import ObjectMeta, Service, ServicePort, ServiceSpec
from registrar.model import NewService, ServiceKey, ServiceState
from registrar.model import ServicePort as ModelPort

_FAMILIES = {"IPv4": 4, "IPv6": 6}
_SAME_ZONE = frozenset({"PreferClose", "PreferSameZone"})
_TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"


def service_state(service: Service) -> ServiceState:
    """Return what the decisions need to know of a Service."""
    spec = service.spec
    mode = service.metadata.annotations.get(_TOPOLOGY_MODE, "")
    return ServiceState(
        uid=service.metadata.uid,
        ports=_ports(spec.ports),
        has_selector=bool(spec.selector),
        is_external_name=spec.type == "ExternalName",
        families=_families(spec.ip_families),
        is_headless=spec.cluster_ip == "None",
        publish_not_ready=spec.publish_not_ready_addresses,
        zone_affinity=spec.traffic_distribution in _SAME_ZONE or mode.lower() == "auto",
        local_traffic="Local" in {spec.internal_traffic_policy, spec.external_traffic_policy},
    )


@lru_cache(maxsize=128)
def _ports(ports: tuple[ServicePort, ...]) -> tuple[ModelPort, ...]:
    """Return what the decisions need to know of ports: the same for all Services with the same."""
    return tuple(
        ModelPort(
            port.name,
            port.protocol,
            port.target_port if isinstance(port.target_port, int) else None,
            port.app_protocol,
        )
        for port in ports
    )


@lru_cache(maxsize=16)
def _families(names: tuple[str, ...]) -> frozenset[int]:
    """Return the IP versions of families: the same for all Services that have the same."""
    return frozenset(_FAMILIES[name] for name in names if name in _FAMILIES)


def new_service(key: ServiceKey, instance: str, wanted: NewService) -> Service:
    """Return the Service that a mapping asks to be made where there is none."""
    return Service(
        api_version="v1",
        kind="Service",
        metadata=ObjectMeta(
            name=key.name,
            namespace=key.namespace,
            labels={MANAGED_BY: MANAGER},
            annotations={INSTANCE: instance},
        ),
        spec=ServiceSpec(
            cluster_ip="None" if wanted.headless else "",
            ports=tuple(
                ServicePort(
                    name=port.name,
                    protocol=port.protocol,
                    port=port.port,
                    target_port=port.target_port,
                    app_protocol=port.app_protocol,
                )
                for port in wanted.ports
            ),
        ),
    )
