"""One lab for all tests of a run; each test has a namespace and a user of the cluster to itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.site import Site
from tests.lab import Lab, Node


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab.up() as running:
        yield running


@pytest.fixture(scope="session")
def node(lab: Lab) -> Node:
    return lab.boot_node()


@pytest.fixture
def site(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    name = request.node.originalname.removeprefix("test_").replace("_", "-")
    with Site.on(lab, name[:40].rstrip("-"), tmp_path) as made:
        yield made
