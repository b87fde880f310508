"""The tutorial on a node with nftables, where every node will be once kube-proxy drops IPVS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration import tutorial
from tests.integration.site import Site
from tests.lab import NodeResponse, wait_for
from tests.lab.pod_node import PodNode


@dataclass
class ByNftables:
    """What nftables makes of it."""

    node: PodNode

    def real_servers(self, site: Site, service: str) -> set[str]:
        """Those that connections are sent to."""
        return self.node.real_servers(service, site.namespace)

    def get(self, url: str) -> NodeResponse:
        return self.node.get(url)

    def assert_answered_by(self, url: str, names: set[str]) -> None:
        """By chance, so each comes in the end."""
        seen: set[str] = set()

        def all_have_answered() -> bool:
            answer = self.get(url)
            seen.add(answer.body or answer.error)
            return names <= seen

        wait_for(all_have_answered, tutorial.PATIENCE_S, f"answers by {names}")
        assert seen == names


@pytest.fixture
def site(pod_node: PodNode, tmp_path: Path) -> Iterator[Site]:
    with Site.on(pod_node.lab, "tutorial", tmp_path) as made:
        yield made


@pytest.mark.parametrize("publish", ["endpoints", "both"])
def test_tutorial(site: Site, pod_node: PodNode, publish: str) -> None:
    tutorial.follow(site, ByNftables(pod_node), publish)
