"""Backends taken out by hand, seen where it counts: in the objects, and in a node's IPVS table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration.replicas import election
from tests.integration.site import LEASE_ROLE, Run, Site, place
from tests.lab import Backend, Node, wait_for
from tests.lab.node import Place

WEB = "- {service: NS/web, from: {source: files, group: web}}"
QUICK = {"leaseDuration": "4s", "renewDeadline": "3s", "retryPeriod": "500ms"}


class Operated:
    """A site that is operated by hand: two replicas may run, each with a socket of its own."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.lab.grant(site.user, LEASE_ROLE, site.namespace)
        self.sockets = [site.folder / name for name in ("a.sock", "b.sock")]
        site.service("web", ports=[{"port": 80}])
        for socket in self.sockets:
            more = f"{election(site, **QUICK)}admin: {{socket: {socket}}}\n"
            site.configure(WEB, more=more).rename(self._file(socket))

    def start(self, socket: Path) -> Run:
        return self.site.start("--config", self._file(socket))

    def order(self, socket: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command, *rest = arguments
        words = [command, f"{self.site.namespace}/web", *rest, "--socket", str(socket)]
        return self.site.lab.run([sys.executable, "-m", "registrar", *words])

    def conditions(self) -> dict[str, tuple[bool, bool, bool]]:
        """Return what our slices say of each address: ready, serving, terminating."""
        return {
            one["addresses"][0]: tuple(
                one["conditions"][name] for name in ("ready", "serving", "terminating")
            )
            for found in self.site.own_slices("web")
            for one in found["endpoints"] or ()
        }

    @staticmethod
    def _file(socket: Path) -> Path:
        return socket.with_suffix(".yaml")


READY, DRAINING = (True, True, False), (False, True, True)


def weights(node: Node, at: Place) -> dict[str, int]:
    """Return the weight of each real server that is there."""
    return {address: weight for (address, _), weight in node.ipvs().get(at, {}).items()}


def test_a_drain_outlives_restart_and_takeover_and_nodes_send_nobody_there(
    site: Site, node: Node
) -> None:
    operated = Operated(site)
    one, two, three = (site.backend(f"b{n}") for n in range(3))
    site.list_backends(web=[one, two])
    first, second = operated.sockets
    run = operated.start(first)
    at = (site.cluster_ip("web"), 80)
    both = {one.address: 1, two.address: 1}
    wait_for(lambda: weights(node, at) == both, 30, "both on the node")

    done = operated.order(first, "drain", one.address)
    assert done.returncode == 0, done.stderr
    assert f"{one.address}:80" in done.stdout
    assert "draining" in done.stdout
    # It waited: it is so already.
    assert operated.conditions() == {one.address: DRAINING, two.address: READY}
    assert site.endpoints("web") == {place(one): False, place(two): True}
    wait_for(lambda: _gets_none(node, at, one), 30, "no new connections to it")
    bodies = {node.get(f"http://{at[0]}/").body for _ in range(6)}
    assert len(bodies) == 1

    assert run.stop() == 0
    run = operated.start(first)
    run.wait_for_line("leading")
    standby = operated.start(second)
    standby.wait_for_line("standing-by")
    site.list_backends(web=[one, two, three])
    everybody = {one.address: DRAINING, two.address: READY, three.address: READY}
    wait_for(lambda: operated.conditions() == everybody, 30, "the new one beside it")
    run.kill()
    standby.wait_for_line("leading")
    site.list_backends(web=[one, three])
    left = {one.address: DRAINING, three.address: READY}
    wait_for(lambda: operated.conditions() == left, 30, "what the new leader writes")

    refused = operated.order(second, "drain", three.address)
    assert refused.returncode == 1
    assert "the Service would have no ready backend left; --force" in refused.stderr
    done = operated.order(second, "undrain", one.address)
    assert done.returncode == 0, done.stderr
    assert operated.conditions() == {one.address: READY, three.address: READY}
    back = {one.address: 1, three.address: 1}
    wait_for(lambda: weights(node, at).items() >= back.items(), 30, "it is back on the node")
    # A real server that is gone may drain for a while longer.
    assert all(not weight for who, weight in weights(node, at).items() if who not in back)


def _gets_none(node: Node, at: Place, backend: Backend) -> bool:
    return weights(node, at).get(backend.address, 0) == 0
