"""What is asked of a backend to learn whether it is healthy: a value for each protocol.

Secrets and certificates are named by their files, never held.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from registrar.model.networks import Address


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer must hold: these bytes, or what an expression in RE2's syntax matches."""

    data: bytes
    is_expression: bool = False


@dataclass(frozen=True, slots=True)
class ProbeTls:
    """Whom to trust, and who we are. Without `ca_file` it is the system's authorities.

    `server_name` is the name that the certificate must bear, and is sent as SNI; without it the
    certificate must bear the backend's address. `crl_file` has the lists of what was revoked.
    """

    ca_file: Path | None = None
    crl_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    verify: bool = True

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that it names."""
        named = (self.ca_file, self.crl_file, self.cert_file, self.key_file)
        return tuple(file for file in named if file is not None)


@dataclass(frozen=True, slots=True)
class Header:
    """A header of a request: its value, or the file that holds it."""

    name: str
    value: str = ""
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """A backend is up that accepts a TCP connection, and answers `send` as `expect` has it.

    Unless `completes`, the connection is reset before the backend's program learns of it.
    """

    send: bytes = b""
    expect: Expected | None = None
    completes: bool = False


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """A backend is up that answers one request with a status within `statuses`, ends included.

    `host` None stands for address and port. `body` is looked for in the body's beginning. With
    `tls` it is https.
    """

    path: str = "/"
    method: str = "GET"
    host: str | None = None
    headers: tuple[Header, ...] = ()
    statuses: tuple[tuple[int, int], ...] = ((200, 399),)
    body: Expected | None = None
    tls: ProbeTls | None = None


@dataclass(frozen=True, slots=True)
class GrpcProbe:
    """A backend is up whose health service (grpc.health.v1) says SERVING of a service.

    An empty `service` stands for the server as a whole.
    """

    service: str = ""
    tls: ProbeTls | None = None


@dataclass(frozen=True, slots=True)
class UdpProbe:
    """A backend is up that answers a datagram as `expect` has it.

    Without `expect` silence is no fault: only a refusal (ICMP port unreachable) is.
    """

    send: bytes
    expect: Expected | None = None


Probe: TypeAlias = TcpProbe | HttpProbe | GrpcProbe | UdpProbe


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a backend is judged. Times in seconds.

    `rise` successes in a row bring a backend up that was down, `fall` failures in a row take one
    down that was up; meanwhile it is checked every `fast_interval`. `port` is checked instead of
    the port that is served. Checks leave by `source_address` and `interface`, where given.
    """

    probe: Probe
    interval: float = 5.0
    timeout: float = 1.0
    rise: int = 2
    fall: int = 3
    fast_interval: float | None = None
    port: int | None = None
    source_address: Address | None = None
    interface: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What a health check is run against. Services that ask the same question share it."""

    address: Address
    port: int
    check: HealthCheck

    def __hash__(self) -> int:  # a whole check's is slow, and each outcome asks for many
        return hash((int(self.address), self.port))
