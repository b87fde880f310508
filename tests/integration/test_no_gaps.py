"""No healthy backend is ever missing from the union of slices, whatever registrar is doing."""

from __future__ import annotations

from tests.integration.recorder import recording
from tests.integration.site import Site, place
from tests.lab import Node, wait_for

UNCHECKED = "{source: files, group: web}, health: {type: none}"
PATIENCE_S = 30.0


def configure(site: Site, publish: str, query: str = UNCHECKED) -> None:
    site.configure(f"- {{service: NS/web, from: {query}, publish: {publish}}}")


def many(count: int) -> list[str]:
    return [f"10.91.{n // 250}.{n % 250 + 1}:80" for n in range(count)]


def test_switches_of_the_form_leave_no_gap(site: Site) -> None:
    site.service("web")
    site.list_backends(web=[*many(90)])
    healthy = frozenset(many(90))
    with recording(site, "web") as recorded:
        for form in ("endpoints", "endpointslices", "both", "endpoints", "both"):
            configure(site, form)
            run = site.start()
            run.wait_for_line("running")
            site.wait_for_form("web", form)
            assert run.stop() == 0
    assert recorded.gaps(healthy) == []
    assert len(recorded.unions) >= 6


def test_growth_and_shrinking_leave_no_gap(site: Site) -> None:
    site.service("web")
    configure(site, "both")
    site.list_backends(web=many(90))
    with recording(site, "web") as recorded:
        site.start()
        for count in (90, 250, 91, 250, 90):
            site.list_backends(web=[*many(count)])
            site.wait_for_served("web", dict.fromkeys(many(count), True))
    assert recorded.gaps(frozenset(many(90))) == []


def test_a_restart_leaves_no_gap_and_writes_nothing(site: Site) -> None:
    backends = [site.backend(f"b{n}") for n in range(3)]
    healthy = frozenset(map(place, backends))
    site.service("web")
    configure(site, "both", "{source: files, group: web}")
    site.list_backends(web=[*backends])
    with recording(site, "web") as recorded:
        run = site.start()
        site.wait_for_endpoints("web", dict.fromkeys(healthy, True))
        before = len(site.writes())
        for _ in range(3):
            run.kill()
            run = site.start()
            run.wait_for_line("running")
        assert len(site.writes()) == before
        # It has looked at everything once it follows a change.
        site.list_backends(web=backends[:2])
        site.wait_for_endpoints("web", {place(b): True for b in backends[:2]})
    assert recorded.gaps(healthy - {place(backends[2])}) == []


def test_no_request_through_ipvs_fails_while_the_form_is_switched(site: Site, node: Node) -> None:
    backends = [site.backend(f"b{n}") for n in range(3)]
    places = dict.fromkeys(map(place, backends), True)
    site.service("web")
    address = site.cluster_ip("web")
    configure(site, "endpoints", "{source: files, group: web}")
    site.list_backends(web=[*backends])
    run = site.start()
    site.wait_for_endpoints("web", places)
    wait_for(lambda: len(node.ipvs().get((address, 6666), {})) == 3, PATIENCE_S, "real servers")
    url = f"http://{address}:6666/"
    wait_for(lambda: not node.get(url).error, PATIENCE_S, "an answer")
    with node.requesting(url) as requests:
        for form in ("endpointslices", "both", "endpoints"):
            run.stop()
            configure(site, form, "{source: files, group: web}")
            run = site.start()
            site.wait_for_form("web", form)
            # kube-proxy has dealt with all of it once it deals with a change that comes after.
            site.service(f"marker-{form}")
            wait_for_virtual_server(node, site.cluster_ip(f"marker-{form}"))
    codes = requests()
    assert len(codes) > 50
    assert set(codes) == {200}


def wait_for_virtual_server(node: Node, address: str) -> None:
    wait_for(lambda: (address, 6666) in node.ipvs(), PATIENCE_S, f"a virtual server {address}")
