"""Checks of a real gRPC server's health service, in plaintext and over TLS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from registrar.model import CheckResult, GrpcProbe, HealthCheck, Outcome, ProbeTls, Target
from tests.certificates import Authority
from tests.checking import check
from tests.lab.parts import install

ADDRESS = "127.0.0.1"
SERVING = CheckResult(Outcome.PASSED, "serving")


@contextmanager
def serving(
    service: health_pb2_grpc.HealthServicer | None, tls: grpc.ServerCredentials | None = None
) -> Iterator[int]:
    """Run a server with a health service, or without any; yield its port."""
    server = grpc.server(ThreadPoolExecutor(1))
    if service is not None:
        health_pb2_grpc.add_HealthServicer_to_server(service, server)
    at = f"{ADDRESS}:0"
    port = server.add_insecure_port(at) if tls is None else server.add_secure_port(at, tls)
    server.start()
    try:
        yield int(port)
    finally:
        server.stop(None).wait()


async def result(
    port: int, service: str = "", tls: ProbeTls | None = None, within: float = 10.0
) -> CheckResult:
    asked = HealthCheck(GrpcProbe(service, tls), timeout=within)
    return await check(Target(ip_address(ADDRESS), port, asked))


async def test_what_the_health_service_says() -> None:
    service = health.HealthServicer()
    with serving(service) as port:
        assert await result(port) == SERVING
        assert await result(port, "shop.Cart") == CheckResult(
            Outcome.FAILED, "does not know service shop.Cart"
        )
        said = health_pb2.HealthCheckResponse
        for status, expected in (
            (said.SERVING, SERVING),
            (said.NOT_SERVING, CheckResult(Outcome.FAILED, "says NOT_SERVING")),
            (said.UNKNOWN, CheckResult(Outcome.FAILED, "says UNKNOWN")),
        ):
            service.set("shop.Cart", status)
            assert await result(port, "shop.Cart") == expected
        service.enter_graceful_shutdown()
        assert await result(port) == CheckResult(Outcome.FAILED, "says NOT_SERVING")


async def test_a_server_without_a_health_service() -> None:
    with serving(None) as port:
        assert await result(port) == CheckResult(Outcome.FAILED, "has no health service")
    assert await result(port) == CheckResult(Outcome.FAILED, "connection refused")


class Slow(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # it carries no types
    """Says nothing until the test is over."""

    def __init__(self) -> None:
        self.is_over = threading.Event()

    def Check(self, _request: object, _context: object) -> object:  # noqa: N802  as gRPC has it
        self.is_over.wait()
        return health_pb2.HealthCheckResponse()


async def test_a_health_service_that_does_not_answer() -> None:
    slow = Slow()
    with serving(slow) as port:
        assert await result(port, within=0.3) == CheckResult(
            Outcome.SILENT, "no answer of the health service within 0.3 s"
        )
        slow.is_over.set()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    install({"openssl": "openssl"})
    return Authority(tmp_path_factory.mktemp("authority"))


async def test_over_tls_on_both_sides(authority: Authority) -> None:
    cert, key = authority.issue("server", f"IP:{ADDRESS}")
    ours, our_key = authority.issue("client")
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), cert.read_bytes())],
        authority.file.read_bytes(),
        require_client_auth=True,
    )
    tls = ProbeTls(ca_file=authority.file, cert_file=ours, key_file=our_key)
    nobody = ProbeTls(ca_file=authority.file)
    with serving(health.HealthServicer(), credentials) as port:
        assert await result(port, tls=tls) == SERVING
        for other in (nobody, None):  # it hangs up, by a reset if it has read less than was sent
            assert (await result(port, tls=other)).outcome is Outcome.FAILED
    with serving(health.HealthServicer()) as port:
        assert await result(port, tls=tls) == CheckResult(Outcome.FAILED, "answered without TLS")
