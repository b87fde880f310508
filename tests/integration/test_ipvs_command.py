"""`registrar ipvs` on a real node: it says nothing of a table that is right, and names a drift."""

from __future__ import annotations

import json
import shlex
import sys

from tests.integration.site import Site
from tests.lab import Node, credentials, wait_for

WEB = "- {service: NS/web, from: {source: files, group: web}, health: {type: none}}"


def test_it_names_what_the_node_lacks_and_has_too_much(site: Site, node: Node) -> None:
    backend = "10.91.0.1"
    site.service("web", ports=[{"port": 80}])
    site.configure(WEB)
    site.list_backends(web=[f"{backend}:80", "10.91.0.2:80"])
    assert site.once().returncode == 0
    at = site.cluster_ip("web")
    wait_for(lambda: len(node.ipvs().get((at, 80), {})) == 2, 30, "both on the node")
    name = f"{site.namespace}/web"
    kubeconfig = site.lab.kubeconfig(credentials.PROXY)

    def ipvs(*arguments: str) -> tuple[int, str]:
        words = [sys.executable, "-m", "registrar", "ipvs", name, "--kubeconfig", str(kubeconfig)]
        command = shlex.join([*words, *arguments])
        done = node.run(f"HOME=/run {command} 2>/run/ipvs.log", 60)
        assert done.status in {0, 1}, node.run("cat /run/ipvs.log").output
        return done.status, done.output

    assert ipvs("--wait", "20s") == (0, "in place: 1 Service(s), 1 virtual server(s)\n")
    # One that drains is none of it.
    lines = (
        f"ipvsadm -d -t {at}:80 -r {backend}:80",
        f"ipvsadm -a -t {at}:80 -r 10.91.0.8:80 -m -w 0",
        f"ipvsadm -a -t {at}:80 -r 10.91.0.9:80 -m -w 7",
    )
    server = {"service": name, "server": f"{at}:80/TCP"}
    wanted = [
        {**server, "what": "missing", "backend": f"{backend}:80", "weight": None},
        {**server, "what": "extra", "backend": "10.91.0.9:80", "weight": 7},
    ]

    def drifted() -> bool:
        # kube-proxy puts it right twice a minute, maybe just before the look.
        node.run("; ".join(lines))
        status, output = ipvs("--wait", "1ms", "-o", "json")
        return (status, json.loads(output)) == (1, wanted)

    wait_for(drifted, 90, "a report of the drift")
