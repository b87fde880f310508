"""What an installation costs: until a pod is Ready, at rest with 100 Services, and as an image.

Everything is real: a kubelet, the image that the tests run, the overlay `single` as it is shipped.
"""

from __future__ import annotations

import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.report import facts, last_line
from tests.integration.deployment.installation import PATIENCE_S, Installation
from tests.integration.site import Site, place
from tests.lab import Lab, image
from tests.lab.pod_node import PodNode

SERVICES = 100
TRIES = 2
REST_S = 60
"""Until the connections by which it wrote all that have closed."""
MEGA = 1e6


def ready_s(pod: dict[str, Any]) -> float:
    """Return how long a pod took from its container's start to Ready, by the cluster's clock.

    That clock has whole seconds, so it may be a second less or more.
    """
    status = pod["status"]
    (ready,) = (one for one in status["conditions"] if one["type"] == "Ready")
    began = status["containerStatuses"][0]["state"]["running"]["startedAt"]
    ended = ready["lastTransitionTime"]
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def main() -> None:
    """Print the figures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Lab.up(pods=True) as lab,
        PodNode.on(lab) as node,
        Site.on(lab, "shop", Path(folder), roles=()) as shop,
    ):
        node.load(image.built())
        installation = Installation(node)
        node.tag(image.TAG, installation.image())
        ready, applied = [], []
        for _ in range(TRIES):
            installation.remove()
            began = time.perf_counter()
            installation.apply("single")
            applied.append(time.perf_counter() - began)
            ready.append(ready_s(installation.pods()[0]))
        backend = shop.backend("one")
        names = [f"s{number}" for number in range(SERVICES)]
        for name in names:
            shop.service(name)
        installation.serve(shop, **{name: [place(backend)] for name in names})
        for name in names:
            shop.wait_for_endpoints(name, {place(backend): True}, PATIENCE_S)
        time.sleep(REST_S)
        memory = installation.resident() / MEGA
    print(
        f"pod's start to Ready      {median(ready):6.1f} s  (most {max(ready):.1f}, {TRIES} times)"
    )
    print(f"apply to rolled out       {median(applied):6.1f} s  (most {max(applied):.1f})")
    print(f"resident, {SERVICES} Services   {memory:6.1f} MB")
    figures = {"ready_s": median(ready), "ready_max_s": max(ready), "resident_mb": memory}
    print(facts())
    print(last_line(figures))


if __name__ == "__main__":
    main()
