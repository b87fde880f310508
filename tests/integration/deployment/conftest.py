"""A cluster with a node that runs pods, and one with IPVS, for all tests of the deployment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.deployment.installation import Installation
from tests.integration.site import Site
from tests.lab import Lab, Node, image
from tests.lab.pod_node import PodNode


@pytest.fixture(scope="package")
def pod_node() -> Iterator[PodNode]:
    """A node with registrar's image on it, under the name that config/ has for it."""
    with Lab.up(pods=True) as lab, PodNode.on(lab) as node:
        node.load(image.built())
        node.tag(image.TAG, Installation(node).image())
        yield node


@pytest.fixture(scope="package")
def ipvs_node(pod_node: PodNode) -> Node:
    return pod_node.lab.boot_node()


@pytest.fixture
def installation(pod_node: PodNode) -> Installation:
    return Installation(pod_node)


@pytest.fixture
def shop(pod_node: PodNode, tmp_path: Path) -> Iterator[Site]:
    """A namespace with Services, in which nobody has any rights yet."""
    with Site.on(pod_node.lab, "shop", tmp_path, roles=()) as made:
        yield made
