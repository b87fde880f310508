"""The prober of each protocol."""

from __future__ import annotations

from registrar.model import GrpcProbe, HealthCheck, HttpProbe, Probe, TcpProbe, UdpProbe
from registrar.probe.exchange import Prober
from registrar.probe.http import HttpProber
from registrar.probe.tcp import TcpProber
from registrar.probe.udp import UdpProber


def kind_of(probe: Probe) -> str:
    """Return the type of a probe, as the configuration has it."""
    if isinstance(probe, HttpProbe):
        return "http" if probe.tls is None else "https"
    if isinstance(probe, GrpcProbe):
        return "grpc"
    return "udp" if isinstance(probe, UdpProbe) else "tcp"


def prober_of(check: HealthCheck) -> Prober:
    """Return what begins the checks of a HealthCheck."""
    probe = check.probe
    if isinstance(probe, TcpProbe):
        return TcpProber(check, probe)
    if isinstance(probe, HttpProbe):
        return HttpProber(check, probe)
    if isinstance(probe, GrpcProbe):
        from registrar.probe.grpc import GrpcProber  # noqa: PLC0415  few need it; it costs memory

        return GrpcProber(check, probe)
    return UdpProber(check, probe)
