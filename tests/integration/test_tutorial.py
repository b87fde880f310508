"""What a newcomer's tutorial does by hand, with registrar in place of the hand."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.integration.site import Site, place
from tests.lab import Backend, Node, NodeResponse, wait_for

HEALTH = "{type: tcp, interval: 1s, timeout: 500ms, rise: 2, fall: 2}"
PATIENCE_S = 30.0


@pytest.mark.parametrize("publish", ["endpoints", "both"])
def test_tutorial(site: Site, node: Node, publish: str) -> None:
    first, second, third = (site.backend(name) for name in ("first", "second", "third"))
    site.service("nginx")
    cluster_ip = site.lab.kubectl(
        "get", "service", "nginx", "-n", site.namespace, "-o", "jsonpath={.spec.clusterIP}"
    )
    site.configure(
        f"- {{service: NS/nginx, from: {{source: files, group: nginx}}, publish: {publish}}}",
        health=HEALTH,
    )
    # The port is the backends' own: the Service's 6666 is where the cluster listens.
    site.list_backends(nginx=[first, second])
    run = site.start()

    def real_servers() -> set[str]:
        served = node.ipvs().get((cluster_ip, 6666), {})
        return {f"{address}:{port}" for (address, port), weight in served.items() if weight > 0}

    def wait_for_real_servers(*wanted: Backend) -> None:
        places = set(map(place, wanted))
        wait_for(lambda: real_servers() == places, PATIENCE_S, f"real servers {places}")

    def ask(times: int) -> list[NodeResponse]:
        return [node.get(f"http://{cluster_ip}:6666/") for _ in range(times)]

    def assert_answered_in_turn_by(*wanted: Backend) -> None:
        bodies = Counter(response.body or response.error for response in ask(2 * len(wanted)))
        assert bodies == {backend.name: 2 for backend in wanted}

    # It publishes, and everybody who reads sees the same.
    site.wait_for_endpoints("nginx", {place(first): True, place(second): True})
    shown = site.lab.kubectl("get", "endpoints", "nginx", "-n", site.namespace)
    assert f"{place(first)},{place(second)}" in shown
    # By way of the mirroring controller, or by our own slices.
    site.wait_for_served("nginx", {place(first): True, place(second): True})
    wait_for_real_servers(first, second)
    shown = node.run("ipvsadm -Ln").output
    assert f"TCP  {cluster_ip}:6666 rr" in shown
    assert f"-> {place(first)} " in shown
    # kube-proxy fills the IPVS table before it makes the address reachable.
    wait_for(lambda: not ask(1)[0].error, PATIENCE_S, "an answer by way of the cluster address")
    assert_answered_in_turn_by(first, second)

    # A backend dies: not ready, out of the way, and nobody notices.
    second.kill()
    site.wait_for_endpoints("nginx", {place(first): True, place(second): False})
    wait_for_real_servers(first)
    assert [response.body for response in ask(6)] == [first.name] * 6

    # It returns.
    second.start()
    site.wait_for_endpoints("nginx", {place(first): True, place(second): True})
    wait_for_real_servers(first, second)
    assert_answered_in_turn_by(first, second)

    # The file gains a line, and loses one.
    site.list_backends(nginx=[first, second, third])
    site.wait_for_endpoints("nginx", {place(b): True for b in (first, second, third)})
    wait_for_real_servers(first, second, third)
    assert_answered_in_turn_by(first, second, third)
    site.list_backends(nginx=[second, third])
    site.wait_for_endpoints("nginx", {place(second): True, place(third): True})
    wait_for_real_servers(second, third)
    assert_answered_in_turn_by(second, third)

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
