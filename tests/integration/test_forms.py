"""The three forms in which a Service is published, on a real API server with its controllers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.site import Site, in_slices, place
from tests.lab import Backend, Lab, wait_for

FORMS = ("both", "endpoints", "endpointslices")
ENDPOINTS_MARK = {"app.kubernetes.io/managed-by": "registrar"}


def mapping(publish: str, more: str = "") -> str:
    return (
        "- {service: NS/web, from: {source: files, group: web}, "
        f"health: {{type: none}}, publish: {publish}{more}}}"
    )


def serve(site: Site, *addresses: str, publish: str = "both", more: str = "") -> None:
    """Publish addresses for the Service web by one pass."""
    site.configure(mapping(publish, more))
    site.list_backends(web=list(addresses))
    done = site.once()
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture
def web(site: Site) -> Site:
    site.service("web", ports=[{"name": "http", "port": 80}])
    return site


def test_slices_are_written_as_the_api_reference_has_them(web: Site) -> None:
    backend = "{address: 10.90.0.7, port: 8080, zone: a}"
    web.configure(mapping("both"))
    web.write("backends.yaml", f"web: [{backend}]")
    assert web.once().returncode == 0
    service = web.get("api/v1", "services", "web")
    assert service is not None
    (found,) = web.slices("web")
    meta = found["metadata"]
    assert meta["labels"] == {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "registrar.internal",
    }
    assert meta["annotations"]["registrar.internal/instance"] == "default"
    assert "endpoints.kubernetes.io/last-change-trigger-time" in meta["annotations"]
    assert meta["ownerReferences"] == [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "name": "web",
            "uid": service["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]
    assert found["addressType"] == "IPv4"
    assert found["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]
    assert found["endpoints"] == [
        {
            "addresses": ["10.90.0.7"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "zone": "a",
        }
    ]
    endpoints = web.get("api/v1", "endpoints", "web")
    assert endpoints is not None
    assert endpoints["metadata"]["labels"] == {
        **ENDPOINTS_MARK,
        "endpointslice.kubernetes.io/skip-mirror": "true",
    }
    assert web.endpoints("web") == {"10.90.0.7:8080": True}


@pytest.mark.parametrize("publish", FORMS)
def test_a_second_pass_writes_nothing_in_any_form(web: Site, publish: str) -> None:
    serve(web, "10.90.0.7:80", "10.90.0.8:80", publish=publish)
    before = len(web.writes())
    serve(web, "10.90.0.7:80", "10.90.0.8:80", publish=publish)
    serve(web, publish=publish)
    emptied = len(web.writes())
    assert emptied - before == {"both": 2, "endpoints": 1, "endpointslices": 1}[publish]
    serve(web, publish=publish)
    assert len(web.writes()) == emptied
    assert web.served("web") == {}
    serve(web, "10.90.0.7:80", publish=publish)
    wait_for(lambda: web.served("web") == {"10.90.0.7:80": True}, 30, "the slices")


@pytest.mark.parametrize("before", FORMS)
@pytest.mark.parametrize("after", FORMS)
def test_a_switch_of_the_form_ends_where_a_fresh_start_would(
    web: Site, before: str, after: str
) -> None:
    wanted = {"10.90.0.7:80": True, "10.90.0.8:80": True}
    serve(web, *wanted, publish=before)
    wait_for(lambda: web.served("web") == wanted, 30, "the slices")
    web.configure(mapping(after))
    run = web.start()
    run.wait_for_line("running")

    wait_for(
        lambda: web.has_form("web", after) and web.served("web") == wanted,
        10,
        lambda: f"the form {after}: {web.slices('web')}",
    )
    assert web.endpoints("web") == (None if after == "endpointslices" else wanted)
    assert not [hold for hold in run.holds() if hold[0] != "waiting"]


@pytest.fixture
def unmirrored(lab: Lab) -> Iterator[None]:
    """Run the cluster without its mirroring controller."""
    lab.controller_manager.stop()
    try:
        yield
    finally:
        lab.controller_manager.start()


@pytest.mark.usefixtures("unmirrored")
def test_where_nothing_mirrors_the_slices_stay_and_the_reason_is_said(web: Site) -> None:
    serve(web, "10.90.0.7:80")
    web.configure(mapping("endpoints"))
    run = web.start()
    line = run.wait_for_line("hold", reason="mirroring-absent", timeout=30)
    assert line["detail"] == (
        "the cluster's mirroring controller makes no slices of the Endpoints, so ours stay; "
        "switch it on, or use another `publish`"
    )
    assert in_slices(web.own_slices("web")) == {"10.90.0.7:80": True}
    # Meanwhile changes go to both.
    web.list_backends(web=["10.90.0.7:80", "10.90.0.8:80"])
    both = {"10.90.0.7:80": True, "10.90.0.8:80": True}
    web.wait_for_endpoints("web", both)
    wait_for(lambda: in_slices(web.own_slices("web")) == both, 30, "our slices")


# --- size ----------------------------------------------------------------------------------------


def many(count: int, port: int | None = 80) -> list[str]:
    return [f"10.91.{n // 250}.{n % 250 + 1}:{port or 1000 + n}" for n in range(count)]


def test_2500_backends_are_slices_of_100_and_one_change_is_one_write_of_about_10_kb(
    web: Site,
) -> None:
    addresses = many(2500)
    serve(web, *addresses, publish="endpointslices")
    slices = web.own_slices("web")
    assert len(slices) == 25
    assert {len(one["endpoints"]) for one in slices} == {100}
    before = len(web.writes())
    serve(web, *addresses[:1234], *addresses[1235:], publish="endpointslices")
    (write,) = web.writes()[before:]
    assert (write.verb, write.resource) == ("update", "endpointslices")
    (changed,) = [one for one in web.own_slices("web") if len(one["endpoints"]) == 99]
    del changed["metadata"]["managedFields"]
    assert 5_000 < len(json.dumps(changed, separators=(",", ":"))) < 15_000


def test_more_than_1000_addresses_are_cut_in_endpoints_alone_and_that_is_said(web: Site) -> None:
    serve(web, *many(1200))
    endpoints = web.get("api/v1", "endpoints", "web")
    assert endpoints is not None
    annotations = endpoints["metadata"]["annotations"]
    assert annotations["endpoints.kubernetes.io/over-capacity"] == "truncated"
    assert len(web.endpoints("web") or {}) == 1000
    assert len(in_slices(web.own_slices("web"))) == 1200
    before = len(web.writes())
    serve(web, *many(1199))  # the last is beyond what Endpoints hold: one slice is written
    assert [write.resource for write in web.writes()[before:]] == ["endpointslices"]


def test_500_backends_on_500_ports(web: Site) -> None:
    addresses = many(500, port=None)
    serve(web, *addresses)
    assert in_slices(web.own_slices("web")) == dict.fromkeys(addresses, True)
    assert web.endpoints("web") == dict.fromkeys(addresses, True)


def test_tcp_and_udp_on_the_same_number_do_not_mix(site: Site) -> None:
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    site.service("web", ports=ports)
    site.configure(
        """
        - service: NS/web
          health: {type: none}
          ports:
            dns: {from: {source: files, group: udp}}
            dns-tcp: {from: {source: files, group: tcp}}
        """
    )
    site.list_backends(udp=["10.90.0.7:53", "10.90.0.8:53"], tcp=["10.90.0.7:53"])
    assert site.once().returncode == 0
    found = {one["ports"][0]["protocol"]: in_slices([one]) for one in site.own_slices("web")}
    assert found == {
        "UDP": {"10.90.0.7:53": True, "10.90.0.8:53": True},
        "TCP": {"10.90.0.7:53": True},
    }
    before = len(site.writes())
    assert site.once().returncode == 0
    assert len(site.writes()) == before


def test_ten_times_as_many_as_the_cap_are_held_whole(web: Site) -> None:
    serve(web, *many(3), more=", maxBackends: 10")
    web.list_backends(web=[*many(30)])
    done = web.once("-o", "json")
    assert done.returncode == 1
    (row,) = json.loads(done.stdout)
    assert row["holds"] == [
        {
            "reason": "too-many-backends",
            "detail": "30 backends, and `maxBackends` is 10; raise it if they are meant",
        }
    ]
    assert in_slices(web.own_slices("web")) == dict.fromkeys(many(3), True)


# --- what the Service is -------------------------------------------------------------------------


def test_both_families_each_in_slices_of_its_own(site: Site) -> None:
    site.service("web", ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="RequireDualStack")
    serve(site, "10.90.0.7:80", "[fd00:90::7]:80")
    found = {one["addressType"]: in_slices([one]) for one in site.own_slices("web")}
    assert found == {"IPv4": {"10.90.0.7:80": True}, "IPv6": {"fd00:90::7:80": True}}


def test_a_headless_service_is_served_and_its_slices_say_so(site: Site) -> None:
    site.service("web", clusterIP="None")
    serve(site, "10.90.0.7:80")
    (found,) = site.own_slices("web")
    assert found["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


def test_a_service_that_wants_every_address_gets_all_as_ready(site: Site) -> None:
    site.service("web", publishNotReadyAddresses=True)
    site.configure("- {service: NS/web, from: {source: files, group: web}}")
    site.list_backends(web=["10.90.0.99:80"])  # nobody is there
    assert site.once().returncode == 0
    assert in_slices(site.own_slices("web")) == {"10.90.0.99:80": True}


def test_a_service_that_keeps_traffic_on_its_node_is_warned_of(site: Site) -> None:
    site.service("web", internalTrafficPolicy="Local")
    site.configure(mapping("both"))
    site.list_backends(web=["10.90.0.7:80"])
    done = site.once()
    assert done.returncode == 0
    assert "the Service has traffic policy Local" in done.stderr


def test_hints_only_where_the_service_asks_and_every_ready_endpoint_has_a_zone(site: Site) -> None:
    site.service("web", trafficDistribution="PreferClose")
    site.configure(mapping("both"))
    zoned = "{address: 10.90.0.7, port: 80, zone: a}, {address: 10.90.0.8, port: 80, zone: b}"
    site.write("backends.yaml", f"web: [{zoned}]")
    assert site.once().returncode == 0
    (found,) = site.own_slices("web")
    hints = [one["hints"]["forZones"] for one in found["endpoints"]]
    assert hints == [[{"name": "a"}], [{"name": "b"}]]
    site.write("backends.yaml", f"web: [{zoned}, 10.90.0.9:80]")
    assert site.once().returncode == 0
    (found,) = site.own_slices("web")
    assert not any("hints" in one for one in found["endpoints"])


# --- restarts ------------------------------------------------------------------------------------


def test_killed_between_slices_and_endpoints_the_slices_are_the_truth(web: Site) -> None:
    serve(web, "10.90.0.7:80")
    old = web.get("api/v1", "endpoints", "web")
    assert old is not None
    serve(web, "10.90.0.7:80", "10.90.0.8:80")
    # As if the process had died before it wrote the Endpoints.
    new = web.get("api/v1", "endpoints", "web")
    assert new is not None
    url = f"/api/v1/namespaces/{web.namespace}/endpoints/web"
    version = new["metadata"]["resourceVersion"]
    old["metadata"]["resourceVersion"] = version
    web.lab.api.put(url, json=old).raise_for_status()
    (web.folder / "backends.yaml").unlink()  # and no source answers
    done = web.once()
    assert "source-unknown" in done.stdout
    assert web.endpoints("web") == {"10.90.0.7:80": True, "10.90.0.8:80": True}
    assert web.writes()[-1].resource == "endpoints"


def test_a_backend_that_dies_costs_one_write_of_each_object(web: Site) -> None:
    first, second = web.backend("first"), web.backend("second")
    web.configure("- {service: NS/web, from: {source: files, group: web}}")
    web.list_backends(web=[first, second])
    web.start()
    both = {place(first): True, place(second): True}
    web.wait_for_endpoints("web", both)

    def change(deed: object, backend: Backend, *, ready: bool) -> list[str]:
        before = len(web.writes())
        assert callable(deed)
        deed()
        wanted = both | {place(backend): ready}
        web.wait_for_endpoints("web", wanted)
        assert in_slices(web.own_slices("web")) == wanted
        return [write.resource for write in web.writes()[before:]]

    assert change(second.kill, second, ready=False) == ["endpointslices", "endpoints"]
    assert change(second.start, second, ready=True) == ["endpointslices", "endpoints"]
