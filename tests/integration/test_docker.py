"""Docker hosts for real: dockerd is stopped, frozen, cut off, and what is published stays."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.integration.recorder import recording
from tests.integration.site import Run, Site
from tests.lab import Node, wait_for
from tests.lab.docker_host import DockerHost

SYNC_S = 8.0
"""What kube-proxy's sync may take in the node's user-mode kernel."""
PATIENCE_S = 30.0
NONE = "{type: none}"
TCP = "{type: tcp, interval: 500ms, timeout: 400ms, rise: 2, fall: 2}"
FROM = "from: {source: hosts, labels: {app: web}}"

Hosts = Callable[..., DockerHost]


@pytest.fixture
def hosts(site: Site) -> Iterator[Hosts]:
    """Make hosts; the arguments are settings of their daemons."""
    with contextlib.ExitStack() as stack:
        yield lambda **config: stack.enter_context(DockerHost.on(site.lab, **config))


def configure(site: Site, *hosts: DockerHost, health: str = NONE, query: str = FROM) -> None:
    urls = ", ".join(host.url for host in hosts)
    site.service("web")
    site.configure(
        f"- {{service: NS/web, {query}}}",
        sources=f"hosts: {{type: docker, hosts: [{urls}], timeout: 2s}}",
        health=health,
    )


def serve(host: DockerHost, name: str, port: int, *options: str) -> str:
    """Run a labelled web server; return the place where it is reached."""
    host.serve(name, "--label", "app=web", "--publish", f"{port}:80", *options)
    return f"{host.address}:{port}"


def start(site: Site, *places: str) -> Run:
    """Start registrar, and wait until all these are published as ready."""
    run = site.start()
    site.wait_for_endpoints("web", dict.fromkeys(places, True))
    site.wait_for_served("web", dict.fromkeys(places, True))
    run.wait_for_line("running")
    return run


# --- what it is for ------------------------------------------------------------------------------


def test_a_container_becomes_a_real_server(site: Site, node: Node, hosts: Hosts) -> None:
    host = hosts()
    first, second = serve(host, "first", 8081), serve(host, "second", 8082)
    configure(site, host, health=TCP)
    cluster_ip = site.cluster_ip("web")
    start(site, first, second)

    def wait_for_real_servers(*wanted: str, timeout: float = PATIENCE_S) -> None:
        def look() -> bool:
            served = node.ipvs().get((cluster_ip, 6666), {})
            alive = {f"{address}:{port}" for (address, port), weight in served.items() if weight}
            return alive == set(wanted)

        wait_for(look, timeout, f"real servers {wanted}")

    def answers(times: int) -> Counter[str]:
        found = [node.get(f"http://{cluster_ip}:6666/") for _ in range(times)]
        return Counter(one.body or one.error for one in found)

    wait_for_real_servers(first, second)
    wait_for(lambda: "first" in answers(2), PATIENCE_S, "an answer by the cluster's address")
    assert answers(4) == {"first": 2, "second": 2}

    third = serve(host, "third", 8083)
    wait_for_real_servers(first, second, third)
    assert answers(6) == {"first": 2, "second": 2, "third": 2}

    host.docker("stop", "second")
    wait_for_real_servers(first, third, timeout=SYNC_S)
    assert answers(4) == {"first": 2, "third": 2}

    host.docker("start", "second")
    wait_for_real_servers(first, second, third)


def test_what_docker_says_of_health(site: Site, hosts: Hosts) -> None:
    host = hosts()
    check = ("--health-cmd", "test ! -e /sick", "--health-interval", "1s", "--health-retries", "1")
    first, second = serve(host, "first", 8081, *check), serve(host, "second", 8082, *check)
    configure(site, host, health="{type: source}")
    start(site, first, second)
    host.docker("exec", "second", "touch", "/sick")
    site.wait_for_endpoints("web", {first: True, second: False})
    host.docker("exec", "second", "rm", "/sick")
    site.wait_for_endpoints("web", {first: True, second: True})
    host.docker("pause", "second")
    site.wait_for_endpoints("web", {first: True, second: False})
    host.docker("unpause", "second")
    site.wait_for_endpoints("web", {first: True, second: True})


def test_containers_by_name_by_their_own_address_and_on_the_host(site: Site, hosts: Hosts) -> None:
    host = hosts()
    own = host.routed.replace("0/24", "7")
    host.docker("network", "create", "--subnet", host.routed, "routed")
    host.serve("inside", "--network", "routed", "--ip", own)
    host.serve("outside", "--network", "host", "--env", "PORT=8090", "--label", "app=web")
    serve(host, "another", 8081, "--label", "com.docker.compose.project=shop")
    for query, places in (
        ("{source: hosts, network: routed, containerPort: 80}", [f"{own}:80"]),
        ("{source: hosts, name: outside, containerPort: 8090}", [f"{host.address}:8090"]),
        ("{source: hosts, project: shop}", [f"{host.address}:8081"]),
    ):
        configure(site, host, health=TCP, query=f"from: {query}, publish: endpoints")
        run = site.start()
        site.wait_for_endpoints("web", dict.fromkeys(places, True))
        assert run.stop() == 0
        site.lab.kubectl("delete", "service", "web", "-n", site.namespace)


# --- row 20 --------------------------------------------------------------------------------------


def test_a_restart_under_which_containers_live_on_takes_nothing_out(
    site: Site, hosts: Hosts
) -> None:
    host = hosts(live_restore=True)
    places = [serve(host, f"web{n}", 8081 + n) for n in range(3)]
    configure(site, host, health=TCP)
    run = start(site, *places)
    before = len(site.writes())
    with recording(site, "web") as recorded:
        for restarts in (1, 2):
            host.stop()
            host.start()
            wait_for(partial(_has_recovered, run, restarts), PATIENCE_S, "events heard again")
        # It goes on to see what changes.
        later = serve(host, "later", 8090)
        site.wait_for_endpoints("web", dict.fromkeys([*places, later], True))
    assert recorded.gaps(frozenset(places)) == []
    assert run.lines("watch-lost")
    objects = 2
    wait_for(lambda: len(site.writes()) >= before + objects, PATIENCE_S, "the audit log")
    assert len(site.writes()) == before + objects, "it wrote while nothing had changed"


def _has_recovered(run: Run, times: int) -> bool:
    return len(run.lines("watch-recovered")) >= times


def test_a_restart_that_ends_the_containers_erases_nothing(site: Site, hosts: Hosts) -> None:
    host = hosts()
    returns = serve(host, "returns", 8081, "--restart", "always")
    stays = serve(host, "stays", 8082)
    # Deaf to SIGTERM, so the daemon takes long to go, and tells of each death meanwhile.
    deaf = serve(host, "deaf", 8083, "--env", "DEAF=1", "--stop-timeout", "6")
    places = [returns, stays, deaf]
    configure(site, host, health=TCP)
    run = site.start()
    site.wait_for_endpoints("web", dict.fromkeys(places, True))
    with recording(site, "web") as recorded:
        host.stop()
        site.wait_for_endpoints("web", dict.fromkeys(places, False))
        host.start()
        # The daemon lists but the one; the others are gone from it for as long as nobody starts
        # them. It has answered well before the guard would believe that they are gone.
        site.wait_for_endpoints("web", {returns: True, stays: False, deaf: False})
        run.wait_for_line("source-recovered")
        for name in ("stays", "deaf"):
            host.docker("start", name)
        site.wait_for_endpoints("web", dict.fromkeys(places, True))
    assert recorded.erased(frozenset(places)) == []


def test_events_that_break_off(site: Site, hosts: Hosts) -> None:
    host = hosts()
    first, second = serve(host, "first", 8081), serve(host, "second", 8082)
    configure(site, host)
    run = start(site, first, second)
    before = len(site.writes())
    with host.api_refused():
        # Nobody is told of it, but by a stream that breaks.
        third = serve(host, "third", 8083)
        run.wait_for_line("watch-lost")
        run.wait_for_line("hold", reason="source-unknown")
        assert len(site.writes()) == before
    site.wait_for_endpoints("web", dict.fromkeys([first, second, third], True))
    run.wait_for_line("hold-ended")


# --- rows 1, 2 and 7 -----------------------------------------------------------------------------


def test_a_daemon_that_is_away_takes_nothing_with_it(site: Site, hosts: Hosts) -> None:
    host, other = hosts(live_restore=True), hosts()
    places = [serve(host, "first", 8081), serve(other, "other", 8081)]
    configure(site, host, other)
    run = start(site, *places)
    before = len(site.writes())
    host.stop()
    error = f"{host.url}: can't be reached"
    line = run.wait_for_line("hold", reason="source-unknown")
    assert error in line["detail"]
    # It holds only its own: the other host's changes are seen.
    places.append(serve(other, "another", 8082))
    site.wait_for_endpoints("web", dict.fromkeys(places, True))
    host.start()
    run.wait_for_line("hold-ended")
    wait_for(lambda: len(site.writes()) >= before + 2, PATIENCE_S, "the audit log")
    assert len(site.writes()) == before + 2


def test_a_daemon_that_is_away_when_registrar_starts(site: Site, hosts: Hosts) -> None:
    host = hosts(live_restore=True)
    places = [serve(host, "first", 8081), serve(host, "second", 8082)]
    configure(site, host)
    start(site, *places).kill()
    before = len(site.writes())
    host.stop()
    run = site.start()
    run.wait_for_line("hold", reason="source-unknown")
    assert site.endpoints("web") == dict.fromkeys(places, True)
    host.start()
    run.wait_for_line("hold-ended")
    assert site.endpoints("web") == dict.fromkeys(places, True)
    assert len(site.writes()) == before


def test_a_daemon_that_hangs_holds_up_no_other(site: Site, hosts: Hosts) -> None:
    host, other = hosts(), hosts()
    places = [serve(host, "first", 8081), serve(other, "other", 8081)]
    configure(site, host, other)
    run = start(site, *places)
    host.daemon.freeze()
    try:
        for number in range(2, 5):
            places.append(serve(other, f"other{number}", 8080 + number))
            site.wait_for_endpoints("web", dict.fromkeys(places, True))
        # Silence is not news: only who asks finds out.
        run.wait_for_line("source-unknown", part=host.url, timeout=60)
        assert site.endpoints("web") == dict.fromkeys(places, True)
    finally:
        host.daemon.thaw()
    run.wait_for_line("source-recovered", part=host.url)
    places.append(serve(host, "again", 8090))
    site.wait_for_endpoints("web", dict.fromkeys(places, True))
