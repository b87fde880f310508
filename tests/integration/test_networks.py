"""The cluster's own ranges on a real API server: never published, and withdrawn at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.site import ROLE, Site, place
from tests.lab import Lab, wait_for

WEB = "- {service: NS/web, from: {source: files, group: web}, health: {type: none}}"
RANGES = {"nodes", "servicecidrs"}


@pytest.fixture
def bare(lab: Lab, tmp_path: Path) -> Iterator[Site]:
    """A site whose user may not read what is the cluster's."""
    with Site.on(lab, "bare", tmp_path, roles=[ROLE]) as made:
        yield made


@pytest.fixture
def nodes(lab: Lab) -> Iterator[list[str]]:
    """The names of nodes that the test makes; they are gone after it."""
    names: list[str] = []
    yield names
    for name in names:
        lab.kubectl("delete", "node", name)


def add_node(lab: Lab, name: str, address: str, **spec: object) -> None:
    lab.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec})
    status = {"status": {"addresses": [{"type": "InternalIP", "address": address}]}}
    lab.kubectl("patch", "node", name, "--subresource=status", "--patch", json.dumps(status))


def test_what_is_the_clusters_own_is_left_out_alone(site: Site, nodes: list[str]) -> None:
    nodes.append("ranges-1")
    add_node(site.lab, "ranges-1", "10.90.0.3", podCIDR="10.244.9.0/24", podCIDRs=["10.244.9.0/24"])
    own = {
        "10.90.0.3": "10.90.0.3 is a node of this cluster (ranges-1)",
        "10.96.7.7": "10.96.7.7 lies in the Service range 10.96.0.0/16",
        "10.244.9.7": "10.244.9.7 lies in the pod range 10.244.9.0/24 of node ranges-1",
    }
    site.service("web")
    site.configure(WEB)
    site.list_backends(web=[*(f"{address}:80" for address in own), "10.90.0.200:80"])
    run = site.start()
    site.wait_for_endpoints("web", {"10.90.0.200:80": True})
    for address, reason in own.items():
        run.wait_for_line("backend-dropped", backend=address, reason=reason)


def test_the_api_servers_address_is_left_out(site: Site) -> None:
    # The lab's API server doesn't say where it is; others do, in a slice of this name.
    labels = {"kubernetes.io/service-name": "kubernetes"}
    meta = {"name": "kubernetes", "namespace": "default", "labels": labels}
    said = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.90.0.1"]}],
        "ports": [{"name": "https", "port": 6443}],
    }
    site.lab.apply(said)
    try:
        site.service("web")
        site.configure(WEB)
        site.list_backends(web=["10.90.0.1:6443", "10.90.0.200:80"])
        run = site.start()
        site.wait_for_endpoints("web", {"10.90.0.200:80": True})
        run.wait_for_line("backend-dropped", reason="10.90.0.1 is the API server's")
    finally:
        site.lab.kubectl("delete", "endpointslice", "kubernetes", "-n", "default")


def test_allow_that_names_exactly_that_range_publishes_it(site: Site) -> None:
    site.service("web")
    site.list_backends(web=["10.96.7.7:80"])
    site.configure(WEB, more="networks: {allow: [10.96.0.0/12]}\n")
    run = site.start()
    run.wait_for_line("backend-dropped", reason="10.96.7.7 lies in the Service range 10.96.0.0/16")
    run.stop()
    site.configure(WEB, more="networks: {allow: [10.96.0.0/16]}\n")
    site.start()
    site.wait_for_endpoints("web", {"10.96.7.7:80": True})


def test_a_new_node_has_its_address_withdrawn_at_once(site: Site, nodes: list[str]) -> None:
    first, second = site.backend("first"), site.backend("second")
    site.service("web")
    site.configure(WEB)
    site.list_backends(web=[first, second])
    run = site.start()
    site.wait_for_endpoints("web", {place(first): True, place(second): True})
    (site.folder / "backends.yaml").unlink()  # no source answers any more
    run.wait_for_line("source-unknown")
    nodes.append("ranges-2")
    add_node(site.lab, "ranges-2", first.address)
    site.wait_for_served("web", {place(second): True}, timeout=30)
    site.wait_for_endpoints("web", {place(second): True}, timeout=30)
    reason = f"{first.address} is a node of this cluster (ranges-2)"
    run.wait_for_line("backend-withdrawn", backend=f"{first.address} port 80", reason=reason)


def test_a_narrowed_allow_withdraws_after_a_restart(site: Site) -> None:
    site.service("web")
    site.list_backends(web=["10.90.0.200:80", "10.91.0.200:80"])
    site.configure(WEB)
    run = site.start()
    site.wait_for_endpoints("web", {"10.90.0.200:80": True, "10.91.0.200:80": True})
    run.stop()
    (site.folder / "backends.yaml").unlink()  # no source answers
    site.configure(WEB, more="networks: {allow: [10.90.0.0/16]}\n")
    run = site.start()
    site.wait_for_endpoints("web", {"10.90.0.200:80": True})
    run.wait_for_line("backend-withdrawn", reason="networks.allow doesn't cover it")


def test_without_rights_and_without_ranges_it_ends_with_2(bare: Site) -> None:
    bare.service("web")
    bare.configure(WEB)
    bare.list_backends(web=["10.90.0.200:80"])
    for command in ("run", "once", "plan"):
        done = bare.lab.run(bare.argv(command))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[-1] == (
            "registrar: the cluster's own ranges are not known, for this user may not list and "
            "watch nodes, servicecidrs, endpointslices of default/kubernetes; grant "
            "config/rbac/ranges, or list the node, pod and Service ranges as networks.cluster"
        )
        assert "Traceback" not in done.stderr
    assert bare.writes() == []


def test_ranges_that_are_given_are_used_and_nothing_is_read(bare: Site) -> None:
    bare.service("web")
    bare.configure(WEB, more="networks: {cluster: [10.96.0.0/16, 10.244.0.0/16]}\n")
    bare.list_backends(web=["10.244.9.7:80", "10.90.0.200:80"])
    run = bare.start()
    bare.wait_for_endpoints("web", {"10.90.0.200:80": True})
    reason = "10.244.9.7 lies in 10.244.0.0/16, which networks.cluster lists"
    run.wait_for_line("backend-dropped", backend="10.244.9.7", reason=reason)
    run.stop()
    wait_for(lambda: any(r.verb == "watch" for r in bare.lab.audit(bare.user)), 30, "the audit log")
    asked = bare.lab.audit(bare.user)
    assert not RANGES & {record.resource for record in asked}
    assert {record.namespace for record in asked} == {bare.namespace}
