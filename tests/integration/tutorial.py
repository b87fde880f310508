"""What a newcomer's tutorial does by hand, with registrar in place of the hand."""

from __future__ import annotations

from typing import Protocol

from tests.integration.site import Site, place
from tests.lab import Backend, NodeResponse, wait_for

HEALTH = "{type: tcp, interval: 1s, timeout: 500ms, rise: 2, fall: 2}"
PATIENCE_S = 30.0


class Proxied(Protocol):
    """A node, by what its kube-proxy has made of a Service."""

    def real_servers(self, site: Site, service: str) -> set[str]:
        """Return where connections to the Service go, as `address:port`."""

    def get(self, url: str) -> NodeResponse:
        """Request a URL from the node."""

    def assert_answered_by(self, url: str, names: set[str]) -> None:
        """Assert that all of these answer there, and nobody else."""


def follow(site: Site, node: Proxied, publish: str) -> None:
    """Do all of it, on a node."""
    first, second, third = (site.backend(name) for name in ("first", "second", "third"))
    site.service("nginx")
    url = f"http://{site.cluster_ip('nginx')}:6666/"
    site.configure(
        f"- {{service: NS/nginx, from: {{source: files, group: nginx}}, publish: {publish}}}",
        health=HEALTH,
    )
    # The port is the backends' own: the Service's 6666 is where the cluster listens.
    site.list_backends(nginx=[first, second])
    run = site.start()

    def wait_for_real_servers(*wanted: Backend) -> None:
        places = set(map(place, wanted))
        wait_for(
            lambda: node.real_servers(site, "nginx") == places, PATIENCE_S, f"servers {places}"
        )

    # It publishes, and everybody who reads sees the same.
    site.wait_for_endpoints("nginx", {place(first): True, place(second): True})
    shown = site.lab.kubectl("get", "endpoints", "nginx", "-n", site.namespace)
    assert f"{place(first)},{place(second)}" in shown
    # By way of the mirroring controller, or by our own slices.
    site.wait_for_served("nginx", {place(first): True, place(second): True})
    wait_for_real_servers(first, second)
    # kube-proxy may fill its tables before it makes the address reachable.
    wait_for(lambda: not node.get(url).error, PATIENCE_S, "an answer by way of the cluster address")
    node.assert_answered_by(url, {first.name, second.name})

    # A backend dies: not ready, out of the way, and nobody notices.
    second.kill()
    site.wait_for_endpoints("nginx", {place(first): True, place(second): False})
    wait_for_real_servers(first)
    node.assert_answered_by(url, {first.name})

    # It returns.
    second.start()
    site.wait_for_endpoints("nginx", {place(first): True, place(second): True})
    wait_for_real_servers(first, second)
    node.assert_answered_by(url, {first.name, second.name})

    # The file gains a line, and loses one.
    site.list_backends(nginx=[first, second, third])
    site.wait_for_endpoints("nginx", {place(b): True for b in (first, second, third)})
    wait_for_real_servers(first, second, third)
    node.assert_answered_by(url, {first.name, second.name, third.name})
    site.list_backends(nginx=[second, third])
    site.wait_for_endpoints("nginx", {place(second): True, place(third): True})
    wait_for_real_servers(second, third)
    node.assert_answered_by(url, {second.name, third.name})

    # registrar is killed and started again: nothing was missing, so it writes nothing, until
    # there is something to write.
    run.kill()
    before = len(site.writes())
    again = site.start()
    again.wait_for_line("running")
    site.list_backends(nginx=[first, second, third])
    site.wait_for_endpoints("nginx", {place(b): True for b in (first, second, third)})
    objects = {"endpoints": 1, "both": 2}[publish]
    wait_for(lambda: len(site.writes()) >= before + objects, 30, "the audit log")
    assert len(site.writes()) == before + objects
