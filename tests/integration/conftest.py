"""One lab for all tests of a run; each test has a namespace and a user of the cluster to itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.integration.site import Site
from tests.lab import Lab, Node

NODE, POD_NODE = "node", "pod_node"
TOGETHER = {
    "test_chaos.py": POD_NODE,  # not beside a node that starts pods, which takes both cores
    "test_deployment.py": POD_NODE,
    "test_deployment_image.py": "image",
    "test_deployment_nftables.py": POD_NODE,
    "test_docker.py": NODE,
    "test_draining.py": NODE,
    "test_ipvs_command.py": NODE,
    "test_lab.py": NODE,
    "test_no_gaps.py": NODE,
    "test_page.py": "page",
    "test_outsider.py": "outsider",
    "test_own_faults.py": "own faults",
    "test_tutorial.py": NODE,
}
"""Files whose tests one worker runs: a node or an environment that they share is made once."""


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # it carries no types
    """Hand out tests one by one, but those of TOGETHER as one piece."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0].rpartition("/")[2]
        return TOGETHER.get(file, nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduler:
    return Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have what takes longest run first: what needs a node, then chaos."""
    for item in items:
        for node in (NODE, POD_NODE):
            if needs(node, item) and TOGETHER.get(item.path.name) != node:
                raise pytest.UsageError(f"{item.nodeid} needs {node}: name its file in TOGETHER")
    items.sort(
        key=lambda item: (
            not needs(NODE, item),
            not needs(POD_NODE, item),
            "chaos" not in item.path.parts,
        )
    )


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the node after the last test that needs it: it costs half a core while it runs."""
    if needs(NODE, item) and not (nextitem and needs(NODE, nextitem)):
        assert isinstance(item, pytest.Function)
        node = item.funcargs[NODE]
        assert isinstance(node, Node)
        node.power_off()


def needs(node: str, item: pytest.Item) -> bool:
    """Whether a test runs on a node."""
    return isinstance(item, pytest.Function) and node in item.fixturenames


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
