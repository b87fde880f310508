"""What an operator does with an installed registrar: install, map, resync, upgrade, drain."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.integration.deployment.installation import NAMESPACE, PATIENCE_S, Installation
from tests.integration.recorder import recording
from tests.integration.site import Site, place
from tests.lab import Backend, Node, image, wait_for

FETCH = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode())"


def test_it_comes_up_by_one_command(installation: Installation) -> None:
    comes_up(installation, "single", 1)


def test_the_main_job(installation: Installation, shop: Site) -> None:
    first, second = shop.backend("first"), shop.backend("second")
    shop.service("web")
    installation.apply("single")
    (pod,) = installation.pods()
    installation.serve(shop, web=[place(first)])
    # The ConfigMap has changed: nobody restarts anything.
    shop.wait_for_endpoints("web", {place(first): True}, PATIENCE_S)
    installation.serve(shop, web=[place(first), place(second)])
    shop.wait_for_endpoints("web", {place(first): True, place(second): True}, PATIENCE_S)
    assert [one["metadata"]["uid"] for one in installation.pods()] == [pod["metadata"]["uid"]]

    # A pod reaches what is outside of the cluster, by the Service's address.
    node, url = installation.node, f"http://{shop.cluster_ip('web')}:6666/"
    wanted = {place(first), place(second)}
    wait_for(lambda: node.real_servers("web", shop.namespace) == wanted, PATIENCE_S, "nftables")
    fetch = ("exec", "deploy/registrar", "-n", NAMESPACE, "--", "python3", "-c", FETCH, url)
    assert installation.kubectl(*fetch).strip() in {first.name, second.name}

    # A backend dies; a hand has been at it; somebody tells registrar to look again.
    second.kill()
    shop.wait_for_endpoints("web", {place(first): True, place(second): False}, PATIENCE_S)
    assert installation.kubectl(*fetch).strip() == first.name
    said = installation.registrar("resync", f"{shop.namespace}/web")
    assert re.search(rf"{shop.namespace}/web +unchanged", said), said
    (known,) = json.loads(installation.registrar("status", "-o", "json"))["services"]
    assert (known["namespace"], known["name"]) == (shop.namespace, "web")


def test_it_is_small_at_rest(installation: Installation, shop: Site) -> None:
    backend = shop.backend("one")
    names = [f"s{number}" for number in range(100)]
    for name in names:
        shop.service(name)
    installation.apply("single")
    installation.serve(shop, **{name: [place(backend)] for name in names})
    for name in names:
        shop.wait_for_endpoints(name, {place(backend): True}, PATIENCE_S)
    # At rest: the connections by which it wrote all that have closed.
    wait_for(lambda: installation.resident() < 80e6, PATIENCE_S, "less than 80 MB")
    # Another configuration would take away so many mappings that it had to be accepted by hand.
    installation.remove()


def test_a_drain_loses_nothing(installation: Installation, shop: Site, ipvs_node: Node) -> None:
    backends = published(installation, shop, "single")
    healthy = frozenset(map(place, backends))
    url = reachable(ipvs_node, shop, len(backends))
    before = len(installation.writes())
    (old,) = installation.pods()
    with recording(shop, "web") as recorded, ipvs_node.requesting(url) as answers:
        only = "--pod-selector=app.kubernetes.io/name=registrar"
        gone = ("--delete-emptydir-data", "--timeout=60s")
        installation.kubectl("drain", "node2", only, *gone)
        # There is no other node: for now nobody looks after it.
        assert old["metadata"]["uid"] not in {p["metadata"]["uid"] for p in installation.pods()}
        installation.kubectl("uncordon", "node2")
        installation.wait_for_rollout()
    assert set(answers()) == {200}
    assert recorded.gaps(healthy) == []
    assert len(installation.writes()) == before
    loses(shop, backends)


def test_three_replicas_come_up_by_one_command(installation: Installation) -> None:
    comes_up(installation, "replicas", 3)


def test_a_rolling_update_loses_nothing(
    installation: Installation, shop: Site, ipvs_node: Node
) -> None:
    backends = published(installation, shop, "replicas")
    healthy = frozenset(map(place, backends))
    url = reachable(ipvs_node, shop, len(backends))
    before, old = len(installation.writes()), {p["metadata"]["uid"] for p in installation.pods()}
    led = installation.leader()
    with recording(shop, "web") as recorded, ipvs_node.requesting(url) as answers:
        installation.node.tag(image.TAG, "registrar:next")
        what = ("image", "deployment/registrar", "registrar=registrar:next", "-n", NAMESPACE)
        installation.kubectl("set", *what)
        installation.wait_for_rollout()
    pods = installation.pods()
    assert not old & {pod["metadata"]["uid"] for pod in pods}
    assert installation.leader() != led
    assert set(answers()) == {200}
    assert recorded.gaps(healthy) == []
    assert len(installation.writes()) == before  # nothing differs
    loses(shop, backends)


def test_an_evicted_leader_hands_over(
    installation: Installation, shop: Site, tmp_path: Path
) -> None:
    backends = published(installation, shop, "replicas")
    before, led = len(installation.writes()), installation.leader()
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": led, "namespace": NAMESPACE},
    }
    file = tmp_path / "eviction.json"
    file.write_text(json.dumps(eviction))
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{led}/eviction"
    installation.kubectl("create", "--raw", path, "-f", str(file))
    wait_for(lambda: installation.leader() not in {"", led}, PATIENCE_S, "another leader")
    installation.wait_for_rollout()
    assert len(installation.writes()) == before
    loses(shop, backends)


def comes_up(installation: Installation, overlay: str, replicas: int) -> None:
    installation.remove()
    installation.apply(overlay)
    pods = installation.pods()
    assert len(pods) == replicas
    assert all(pod["status"]["containerStatuses"][0]["restartCount"] == 0 for pod in pods)
    assert installation.leader() in {pod["metadata"]["name"] for pod in pods}


def published(installation: Installation, shop: Site, overlay: str) -> list[Backend]:
    """Install an overlay, and have it publish three backends, which are returned."""
    backends = [shop.backend(f"b{n}") for n in range(3)]
    places = [place(backend) for backend in backends]
    shop.service("web")
    installation.apply(overlay)
    installation.serve(shop, web=places)
    shop.wait_for_endpoints("web", dict.fromkeys(places, True), PATIENCE_S)
    return backends


def loses(shop: Site, backends: list[Backend]) -> None:
    """Kill the first backend: whoever looks after the Service now takes it out."""
    backends[0].kill()
    left = {place(backend): backend is not backends[0] for backend in backends}
    shop.wait_for_endpoints("web", left, PATIENCE_S)


def reachable(node: Node, shop: Site, servers: int) -> str:
    """Return the URL of the Service once the IPVS node answers there, by way of all backends."""
    address = shop.cluster_ip("web")
    wait_for(
        lambda: len(node.ipvs().get((address, 6666), {})) == servers, PATIENCE_S, "real servers"
    )
    url = f"http://{address}:6666/"
    wait_for(lambda: not node.get(url).error, PATIENCE_S, "an answer")
    return url
