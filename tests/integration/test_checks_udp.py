"""Checks by UDP of a real DNS server, and of one that doesn't answer or is there no more."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import dns.message
import pytest

from registrar.model import CheckResult, Outcome
from tests.integration.checking import results_of_udp
from tests.lab import ownership, parts
from tests.lab.dns_servers import Knot
from tests.lab.namespaces import Namespace

PORT = 5300
QUERY = dns.message.make_query("web.test", "A", id=1).to_wire()
ADDRESS = b"\x0a\x5b\x00\x01"


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """Own the state of a lab that has a namespace and nothing else."""
    parts.require()
    with ownership.owned(secrets.token_hex(3)) as owned:
        Namespace(ownership.namespace_of(owned)).add()
        yield owned
        ownership.destroy(owned)


@pytest.fixture
def namespace(state: Path) -> Namespace:
    return Namespace(ownership.namespace_of(state))


@pytest.fixture
def knot(state: Path, namespace: Namespace) -> Iterator[Knot]:
    with_zone = Knot(state, namespace, PORT)
    with_zone.start("web 1 A 10.91.0.1")
    yield with_zone
    with_zone.stop()


def test_a_dns_server_by_udp(namespace: Namespace, knot: Knot) -> None:
    def results(timeout: float = 10.0) -> list[CheckResult]:
        """Return how it goes with an answer that is expected, with another one, and without."""
        return results_of_udp(namespace, PORT, QUERY, [ADDRESS, b"other", None], timeout)

    another = CheckResult(Outcome.FAILED, "another answer than expected")
    assert results() == [
        CheckResult(Outcome.PASSED, "answered as expected"),
        another,
        CheckResult(Outcome.PASSED, "answered"),
    ]
    knot.serve("web 1 A 10.91.0.2")
    assert results()[0] == another
    knot.process.freeze()
    silent = CheckResult(Outcome.SILENT, "no answer within 0.2 s")
    assert results(0.2) == [silent, silent, CheckResult(Outcome.PASSED, "no refusal within 0.2 s")]
    knot.stop()
    assert results() == [CheckResult(Outcome.FAILED, "connection refused")] * 3
