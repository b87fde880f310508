"""Checks by UDP with the real engine, as a program, from the namespace where it is started."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from ipaddress import ip_address

from registrar.model import CheckResult, Expected, HealthCheck, Outcome, Target, UdpProbe
from tests.checking import check
from tests.lab.namespaces import Namespace


def results_of_udp(
    namespace: Namespace, port: int, send: bytes, expects: Sequence[bytes | None], timeout: float
) -> list[CheckResult]:
    """Return how checks of a port of the loopback address end that leave from a namespace."""
    given = [port, send.hex(), [None if one is None else one.hex() for one in expects], timeout]
    done = namespace.run([sys.executable, "-m", __name__, json.dumps(given)])
    assert done.returncode == 0, done.stderr
    return [CheckResult(Outcome(outcome), reason) for outcome, reason in json.loads(done.stdout)]


async def _main() -> None:
    port, send, expects, timeout = json.loads(sys.argv[1])
    probes = [
        UdpProbe(bytes.fromhex(send), None if one is None else Expected(bytes.fromhex(one)))
        for one in expects
    ]
    targets = [
        Target(ip_address("127.0.0.1"), port, HealthCheck(probe, timeout=timeout))
        for probe in probes
    ]
    results = await asyncio.gather(*map(check, targets))
    sys.stdout.write(json.dumps([[one.outcome.value, one.reason] for one in results]))


if __name__ == "__main__":
    asyncio.run(_main())
