"""The tutorial on a node with IPVS."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from tests.integration import tutorial
from tests.integration.site import Site
from tests.lab import Node, NodeResponse


@dataclass
class ByIpvs:
    """What IPVS makes of it."""

    node: Node

    def real_servers(self, site: Site, service: str) -> set[str]:
        """Those with a weight."""
        servers = self.node.ipvs().get((site.cluster_ip(service), 6666), {})
        return {f"{address}:{port}" for (address, port), weight in servers.items() if weight > 0}

    def get(self, url: str) -> NodeResponse:
        return self.node.get(url)

    def assert_answered_by(self, url: str, names: set[str]) -> None:
        """Each in its turn, for that is the schedule."""
        answers = [self.get(url) for _ in range(2 * len(names))]
        bodies = Counter(answer.body or answer.error for answer in answers)
        assert bodies == dict.fromkeys(names, 2)


@pytest.mark.parametrize("publish", ["endpoints", "both"])
def test_tutorial(site: Site, node: Node, publish: str) -> None:
    tutorial.follow(site, ByIpvs(node), publish)
    # What a person would look at says the same.
    shown = node.run("ipvsadm -Ln").output
    assert f"TCP  {site.cluster_ip('nginx')}:6666 rr" in shown
    for address in site.endpoints("nginx") or ():
        assert f"-> {address} " in shown
