"""One lab for all tests of a run; each test has a namespace and a user of the cluster to itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

from tests.integration.site import Site
from tests.lab import Lab, Node

NODE = "node"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have what needs the node run first, and by one worker: a node can be booted once in a lab.

    xdist 3.8 loses the mark with pytest 9.2, so for now each worker may boot the node of its lab.
    """
    for item in items:
        if needs_node(item):
            item.add_marker(pytest.mark.xdist_group(NODE))
    items.sort(key=lambda item: not needs_node(item))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the node after the last test that needs it: it costs half a core while it runs."""
    if needs_node(item) and not (nextitem and needs_node(nextitem)):
        node = item.funcargs[NODE]
        assert isinstance(node, Node)
        node.power_off()


def needs_node(item: pytest.Item) -> TypeGuard[pytest.Function]:
    """Whether a test runs on the node of its lab."""
    return isinstance(item, pytest.Function) and NODE in item.fixturenames


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
