"""What is written to a real API server, and how often."""

from __future__ import annotations

import json
import time

import pytest

from tests.integration.site import Site, place
from tests.lab import wait_for

WEB = "- {service: NS/web, from: {source: files, group: web}}"


def test_one_write_per_change_and_none_at_rest(site: Site) -> None:
    first, second = site.backend("first"), site.backend("second")
    both_up = {place(first): True, place(second): True}
    site.service("web")
    site.service("both")
    site.configure(
        """
        - {service: NS/web, from: {source: files, group: web}, publish: endpoints}
        - {service: NS/both, from: {source: files, group: web}}
        """
    )
    site.list_backends(web=[first])
    site.start()
    site.wait_for_endpoints("web", {place(first): True})
    site.list_backends(web=[first, second])
    site.wait_for_endpoints("web", both_up)
    second.kill()
    site.wait_for_endpoints("web", both_up | {place(second): False})
    second.start()
    site.wait_for_endpoints("web", both_up)
    site.list_backends(web=[first])
    site.wait_for_endpoints("web", {place(first): True})
    site.wait_for_endpoints("both", {place(first): True})

    since = time.monotonic()
    wait_for(lambda: len(site.writes()) > 15 or time.monotonic() > since + 60, 70, "a minute")
    written = [(record.resource, record.name, record.verb) for record in site.writes()]
    once_and_four_times = ["create", *["update"] * 4]
    (piece,) = site.own_slices("both")
    for resource, name in (
        ("endpoints", "web"),
        ("endpoints", "both"),
        ("endpointslices", piece["metadata"]["name"]),
    ):
        # What is yet to be made has no name in the audit log.
        verbs = [verb for *where, verb in written if where in ([resource, name], [resource, ""])]
        assert verbs == once_and_four_times, (resource, name, written)
    assert len(written) == 15
    assert {record.code for record in site.writes()} == {200, 201}


def test_a_second_pass_writes_nothing(site: Site) -> None:
    backend = site.backend("b")
    site.service("web")
    site.configure(WEB)
    site.list_backends(web=[backend])
    first = site.once("-o", "json")
    assert (first.returncode, first.stderr.count("warning")) == (0, 0), first.stderr
    assert site.endpoints("web") == {place(backend): True}
    second = site.once("-o", "json")
    assert second.returncode == 0
    row = {"service": f"{site.namespace}/web", "state": "in place", "ready": 1, "endpoints": 1}
    assert json.loads(first.stdout) == [{**row, "writes": 2, "holds": []}]
    assert json.loads(second.stdout) == [{**row, "writes": 0, "holds": []}]


@pytest.mark.parametrize("bad", ["127.0.0.1:80", "169.254.169.254:80", "::1", "224.0.0.1:80"])
def test_a_bad_address_costs_only_itself(site: Site, bad: str) -> None:
    backend = site.backend("b")
    site.service("web")
    site.configure(WEB)
    site.list_backends(web=[bad, backend, "10.90.0.300:80"])
    done = site.once()
    assert done.returncode == 0
    assert site.endpoints("web") == {place(backend): True}
    assert f'"backend": "{bad.removesuffix(":80")}"' in done.stderr
    assert "address is never published" in done.stderr
    assert "'10.90.0.300:80' is not an IP address" in done.stderr


def test_a_service_with_several_ports(site: Site) -> None:
    first, second = site.backend("first", 8080), site.backend("second", 9000)
    ports = [
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "admin", "port": 81, "targetPort": 81, "appProtocol": "kubernetes.io/h2c"},
    ]
    site.service("web", ports=ports)
    site.configure(
        """
        - service: NS/web
          ports:
            http: {from: {source: files, group: http}}
            admin: {from: {source: files, group: admin}, port: 9000}
        """
    )
    # The backend's own port comes first, then the mapping's, then the Service's targetPort.
    site.list_backends(http=[first.address], admin=[second.address, f"{first.address}:8080"])
    assert site.once().returncode == 0
    found = site.get("api/v1", "endpoints", "web")
    assert found is not None
    assert found["subsets"] == [
        {
            "addresses": [{"ip": first.address}],
            "ports": [
                {
                    "name": "admin",
                    "port": 8080,
                    "protocol": "TCP",
                    "appProtocol": "kubernetes.io/h2c",
                },
                {"name": "http", "port": 8080, "protocol": "TCP"},
            ],
        },
        {
            "addresses": [{"ip": second.address}],
            "ports": [
                {
                    "name": "admin",
                    "port": 9000,
                    "protocol": "TCP",
                    "appProtocol": "kubernetes.io/h2c",
                }
            ],
        },
    ]


def test_ipv6(site: Site) -> None:
    backend = site.backend("b")
    site.service("six", ipFamilies=["IPv6"], ipFamilyPolicy="SingleStack")
    site.service("both", ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="RequireDualStack")
    site.configure(
        """
        - {service: NS/six, from: {source: files, group: web}}
        - {service: NS/both, from: {source: files, group: web}}
        """
    )
    site.list_backends(web=[f"[{backend.address6}]:80", f"{backend.address}:80"])
    assert site.once().returncode == 0
    six = f"{backend.address6}:80"
    assert site.endpoints("six") == {six: True}
    assert site.endpoints("both") == {place(backend): True, six: True}
    wait_for(lambda: site.served("both") == {place(backend): True, six: True}, 30, "the slices")


def test_health_by_http(site: Site) -> None:
    sick, well = site.backend("sick"), site.backend("well")
    sick.set_healthy(False)
    site.service("web")
    site.configure(
        WEB, health="{type: http, path: /healthz, interval: 500ms, timeout: 400ms, fall: 2}"
    )
    site.list_backends(web=[sick, well])
    run = site.start()
    site.wait_for_endpoints("web", {place(sick): False, place(well): True})
    verdict = run.wait_for_line("verdict", backend=f"{sick.address} port 80")
    assert (verdict["verdict"], verdict["reason"]) == ("down", "HTTP status 503")
    sick.set_healthy(True)
    site.wait_for_endpoints("web", {place(sick): True, place(well): True})


def test_a_frozen_and_a_cut_off_backend_go_down(site: Site) -> None:
    frozen, cut, well = (site.backend(name) for name in ("frozen", "cut", "well"))
    site.service("web")
    site.configure(WEB, health="{type: http, interval: 500ms, timeout: 400ms, fall: 2}")
    site.list_backends(web=[frozen, cut, well])
    site.start()
    site.wait_for_endpoints("web", {place(b): True for b in (frozen, cut, well)})
    frozen.freeze()
    cut.cut()
    site.wait_for_endpoints("web", {place(frozen): False, place(cut): False, place(well): True})
    frozen.thaw()
    cut.heal()
    site.wait_for_endpoints("web", {place(b): True for b in (frozen, cut, well)})


def test_a_hand_that_edits_is_put_right(site: Site) -> None:
    backend = site.backend("b")
    site.service("web")
    site.configure(WEB)
    site.list_backends(web=[backend])
    site.start()
    site.wait_for_endpoints("web", {place(backend): True})
    for command in (
        ("patch", "endpoints", "web", "--type=json", '-p=[{"op": "remove", "path": "/subsets"}]'),
        ("delete", "endpoints", "web"),
    ):
        site.lab.kubectl(*command, "-n", site.namespace)
        site.wait_for_endpoints("web", {place(backend): True})


def test_sigterm_ends_it_and_takes_nothing_away(site: Site) -> None:
    backend = site.backend("b")
    site.service("web")
    site.configure(WEB)
    site.list_backends(web=[backend])
    run = site.start()
    site.wait_for_endpoints("web", {place(backend): True})
    before = site.get("api/v1", "endpoints", "web")
    assert run.stop() == 0
    assert [line["event"] for line in run.lines()][-1] == "stopping"
    assert site.get("api/v1", "endpoints", "web") == before
