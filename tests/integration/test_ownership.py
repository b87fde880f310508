"""What is ours and what is not, on a real API server with its controllers."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tests.integration.site import Site
from tests.lab import wait_for

WEB = "- {service: NS/web, from: {source: files, group: web}, health: {type: none}MORE}"
ONE, TWO = "10.90.0.7:80", "10.90.0.8:80"
HAND = [{"addresses": [{"ip": "10.90.0.9"}], "ports": [{"port": 80}]}]
FORMS = ("both", "endpoints", "endpointslices")
CONTROLLED = "endpointslice-controller.k8s.io"


def configure(site: Site, more: str = "", top: str = "") -> None:
    site.configure(WEB.replace("MORE", more), more=top)
    site.list_backends(web=[ONE, TWO])


def a_slice(site: Site, name: str, manager: str, **metadata: object) -> dict[str, object]:
    labels = {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": manager,
    }
    item = site.object("discovery.k8s.io/v1", "EndpointSlice", name, addressType="IPv4")
    item["metadata"] = {"name": name, "namespace": site.namespace, "labels": labels, **metadata}
    conditions = {"ready": True}
    item["endpoints"] = [{"addresses": ["10.90.0.9"], "conditions": conditions}]
    item["ports"] = [{"name": "", "port": 80, "protocol": "TCP"}]
    return item


def create(site: Site, item: dict[str, object]) -> dict[str, Any]:
    url = f"/apis/discovery.k8s.io/v1/namespaces/{site.namespace}/endpointslices"
    found: dict[str, Any] = site.lab.api.post(url, json=item).raise_for_status().json()
    return found


def patch_service(site: Site, patch: str) -> None:
    site.lab.kubectl("patch", "service", "web", "-n", site.namespace, "--type=merge", "-p", patch)


def a_pod(site: Site, name: str, address: str) -> None:
    """Make a pod of the label app=web that runs and is ready, with nobody to run it."""
    # The controllers leave out pods whose node they don't know.
    site.lab.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "nowhere"}})
    item = site.object(
        "v1",
        "Pod",
        name,
        spec={"containers": [{"name": "c", "image": "none"}], "nodeName": "nowhere"},
    )
    item["metadata"] = {"name": name, "namespace": site.namespace, "labels": {"app": "web"}}
    url = f"/api/v1/namespaces/{site.namespace}/pods"
    site.lab.api.post(url, json=item).raise_for_status()
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    site.lab.api.patch(
        f"{url}/{name}/status",
        json={"status": status},
        headers={"Content-Type": "application/merge-patch+json"},
    ).raise_for_status()


# --- what others have made -----------------------------------------------------------------------


@pytest.mark.parametrize("publish", FORMS)
def test_what_a_hand_has_written_is_untouched_and_reported(site: Site, publish: str) -> None:
    site.service("web")
    site.lab.apply(site.object("v1", "Endpoints", "web", subsets=HAND))
    before = site.get("api/v1", "endpoints", "web")
    configure(site, f", publish: {publish}")
    run = site.start()
    line = run.wait_for_line("hold", reason="not-ours")
    assert "give the mapping `adopt: true` to take them over, or delete them" in line["detail"]
    assert site.get("api/v1", "endpoints", "web") == before
    assert site.writes() == []
    site.lab.kubectl("delete", "endpoints", "web", "-n", site.namespace)
    site.wait_for_served("web", {ONE: True, TWO: True})


@pytest.mark.parametrize("publish", FORMS)
def test_on_request_what_a_hand_has_written_is_taken_over(site: Site, publish: str) -> None:
    site.service("web")
    site.lab.apply(site.object("v1", "Endpoints", "web", subsets=HAND))
    configure(site, f", publish: {publish}, adopt: true")
    site.start()
    wanted = {ONE: True, TWO: True}
    site.wait_for_served("web", wanted)
    if publish == "endpointslices":
        wait_for(lambda: site.endpoints("web") is None, 30, "the end of the Endpoints")
    else:
        site.wait_for_endpoints("web", wanted)


def test_slices_of_others_are_never_touched(site: Site) -> None:
    site.service("web")
    others = [
        a_slice(site, "by-hand", "somebody"),
        a_slice(site, "of-a-controller", CONTROLLED),
        # Labels and annotations are copied by the mirroring controller: they prove nothing.
        a_slice(
            site,
            "of-another-instance",
            "registrar.internal",
            annotations={"registrar.internal/instance": "elsewhere"},
        ),
        a_slice(
            site,
            "without-an-owner",
            "registrar.internal",
            annotations={"registrar.internal/instance": "elsewhere"},
        ),
    ]
    before = [create(site, other) for other in others]
    configure(site, top="instance: office\n")
    run = site.start()
    site.wait_for_endpoints("web", {ONE: True, TWO: True})
    line = run.wait_for_line("hold", reason="leftover-slices")
    assert "(of-a-controller)" in line["detail"]
    site.list_backends(web=[ONE])
    site.wait_for_endpoints("web", {ONE: True})
    now = {one["metadata"]["name"]: one["metadata"] for one in site.slices("web")}
    for other in before:
        assert now[other["metadata"]["name"]] == other["metadata"]


def test_two_registrars_do_not_touch_each_other(site: Site) -> None:
    site.service("web")
    configure(site, ", publish: endpointslices", top="instance: first\n")
    assert site.once().returncode == 0
    before = site.own_slices("web")
    configure(site, ", publish: endpointslices", top="instance: second\n")
    site.list_backends(web=[ONE])
    assert site.once().returncode == 0
    assert len(site.own_slices("web")) == 2
    assert [one for one in site.own_slices("web") if one in before] == before


# --- what others do to ours ----------------------------------------------------------------------


def test_a_hand_that_edits_or_deletes_our_objects_is_put_right(site: Site) -> None:
    site.service("web")
    configure(site)
    run = site.start()
    wanted = {ONE: True, TWO: True}
    site.wait_for_endpoints("web", wanted)
    (ours,) = site.own_slices("web")
    name = ours["metadata"]["name"]
    in_namespace = ("-n", site.namespace)
    for arguments in (
        ("delete", "endpointslice", name),
        ("patch", "endpointslice", name, "--type=merge", '-p={"endpoints": []}'),
        ("delete", "endpoints", "web"),
    ):
        site.lab.kubectl(*arguments, *in_namespace)
        wait_for(lambda: site.served("web") == wanted, 30, f"an end to {arguments}")
        site.wait_for_endpoints("web", wanted, 30)
    assert not [hold for hold in run.holds() if hold[0] == "contested"]


def test_one_who_does_not_stop_is_reported_and_put_right_ever_later(site: Site) -> None:
    site.service("web")
    configure(site, ", publish: endpoints")
    run = site.start()
    site.wait_for_endpoints("web", {ONE: True, TWO: True})
    url = f"/api/v1/namespaces/{site.namespace}/endpoints/web"
    merge = {"Content-Type": "application/merge-patch+json"}

    def fight() -> bool:
        site.lab.api.patch(url, json={"subsets": HAND}, headers=merge).raise_for_status()
        return bool([hold for hold in run.holds() if hold[0] == "contested"])

    wait_for(fight, 30, "the report")
    assert len(site.writes()) < 10
    # What really changes is written at once all the same.
    site.list_backends(web=[ONE])
    site.wait_for_endpoints("web", {ONE: True}, 30)


# --- the Service itself --------------------------------------------------------------------------


@pytest.mark.parametrize("publish", FORMS)
def test_a_service_that_is_made_again_is_published_again(site: Site, publish: str) -> None:
    site.service("web")
    configure(site, f", publish: {publish}")
    site.start()
    wanted = {ONE: True, TWO: True}
    wait_for(lambda: site.served("web") == wanted, 30, "the slices")
    old = {one["metadata"]["uid"] for one in site.own_slices("web")}
    site.lab.kubectl("delete", "service", "web", "-n", site.namespace)
    site.service("web")

    def is_published() -> bool:
        current = [one for one in site.own_slices("web") if one["metadata"]["uid"] not in old]
        is_ours = publish == "endpoints" or bool(current)
        return is_ours and site.served("web") == wanted

    wait_for(is_published, 30, lambda: f"slices of the new Service: {site.slices('web')}")
    if publish != "endpointslices":
        site.wait_for_endpoints("web", wanted, 30)
    wait_for(
        lambda: not {one["metadata"]["uid"] for one in site.own_slices("web")} & old, 30, "the end"
    )


def test_a_service_that_gains_a_selector_is_let_go_once_its_pods_serve(site: Site) -> None:
    site.service("web")
    configure(site)
    run = site.start()
    site.wait_for_endpoints("web", {ONE: True, TWO: True})
    patch_service(site, '{"spec": {"selector": {"app": "web"}}}')
    run.wait_for_line("hold", reason="service-has-selector")
    before = len(site.writes())
    site.list_backends(web=[ONE])  # nothing of this is written any more
    assert site.own_slices("web")
    a_pod(site, "web-1", "10.244.0.9")
    wait_for(lambda: not site.own_slices("web"), 30, "the end of our slices")
    assert {one.verb for one in site.writes()[before:]} == {"delete"}
    wait_for(lambda: site.endpoints("web") == {"10.244.0.9:6666": True}, 30, "pods in Endpoints")


def test_a_service_that_gains_a_selector_without_pods_is_let_go_after_half_a_minute(
    site: Site,
) -> None:
    site.service("web")
    configure(site, ", publish: endpointslices")
    run = site.start()
    wait_for(lambda: bool(site.own_slices("web")), 30, "our slices")
    patch_service(site, '{"spec": {"selector": {"app": "web"}}}')
    run.wait_for_line("hold", reason="service-has-selector")
    run.wait_for_line("let-go", timeout=40)
    held, gone = run.lines("hold")[-1], run.lines("let-go")[0]
    assert 29 < seconds_between(held, gone) < 35
    assert site.own_slices("web") == []


def test_a_service_that_loses_its_selector_is_reported_and_on_request_taken_over(
    site: Site,
) -> None:
    site.service("web", selector={"app": "web"})
    a_pod(site, "web-1", "10.244.0.9")
    wait_for(lambda: site.served("web") == {"10.244.0.9:6666": True}, 30, "the pod's slice")
    patch_service(site, '{"spec": {"selector": null}}')
    configure(site, ", publish: endpointslices")
    run = site.start()
    run.wait_for_line("hold", reason="not-ours")  # the Endpoints that the controller left
    site.lab.kubectl("delete", "endpoints", "web", "-n", site.namespace)
    line = run.wait_for_line("hold", reason="leftover-slices")
    assert "give the mapping `adopt: true` to have them deleted" in line["detail"]
    assert site.served("web").keys() == {ONE, TWO, "10.244.0.9:6666"}
    run.stop()
    configure(site, ", publish: endpointslices, adopt: true")
    site.start()
    wait_for(lambda: site.served("web") == {ONE: True, TWO: True}, 30, "ours alone")


def test_on_request_a_missing_service_is_made(site: Site) -> None:
    configure(site, ", create: {ports: {http: {port: 80, targetPort: 8080}}}")
    run = site.start()
    line = run.wait_for_line("hold", reason="forbidden")  # the shipped Role doesn't allow it
    assert "cannot create resource" in line["detail"]
    site.allow_to_create_services()
    wait_for(lambda: site.get("api/v1", "services", "web") is not None, 30, "the Service")
    service = site.get("api/v1", "services", "web")
    assert service is not None
    (port,) = service["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("http", 80, 8080)
    assert "selector" not in service["spec"]
    site.wait_for_endpoints("web", {ONE: True, TWO: True})


def test_a_namespace_that_ends_is_left_in_peace(site: Site) -> None:
    site.service("web")
    configure(site)
    run = site.start()
    site.wait_for_endpoints("web", {ONE: True, TWO: True})
    # What is deleted first is chance: the Service and our rights are to be there to the end.
    staying = (
        ("service", "web"),
        ("role", "registrar"),
        ("rolebinding", f"registrar-{site.user}"),
    )
    for kind, name in staying:
        set_finalizers(site, kind, name, "registrar.internal/test")
    site.lab.kubectl("delete", "namespace", site.namespace, "--wait=false")
    line = run.wait_for_line("hold", reason="namespace-terminating", timeout=30)
    assert line["level"] == "info"
    tried = len(site.writes())
    for kind, name in staying:
        set_finalizers(site, kind, name)
    wait_for(lambda: site.get("api/v1", "services", "web") is None, 30, "the end of the Service")
    assert run.is_running
    assert not [line for line in run.lines() if line["level"] == "error"]
    assert len(site.writes()) - tried < 10


def set_finalizers(site: Site, kind: str, name: str, *finalizers: str) -> None:
    patch = json.dumps({"metadata": {"finalizers": finalizers}})
    site.lab.kubectl("patch", kind, name, "-n", site.namespace, "--type=merge", "-p", patch)


# --- mappings that are removed -------------------------------------------------------------------


def two(site: Site, *names: str, top: str = "instance: office\n") -> None:
    lines = [WEB.replace("MORE", "").replace("/web", f"/{name}") for name in names]
    site.configure("\n".join(lines), more=top)
    site.list_backends(web=[ONE, TWO])


def test_what_a_removed_mapping_has_published_goes_after_half_a_minute(site: Site) -> None:
    site.service("web")
    site.service("old")
    two(site, "web", "old")
    assert site.once().returncode == 0
    two(site, "web")
    run = site.start()
    line = run.wait_for_line("orphan-removed", timeout=45)
    assert line["service"] == f"{site.namespace}/old"
    assert 29 < seconds_between(run.lines("running")[0], line) < 35
    assert site.endpoints("old") is None
    assert site.own_slices("old") == []
    assert site.get("api/v1", "services", "old") is not None
    assert site.endpoints("web") == {ONE: True, TWO: True}


def test_without_a_name_of_its_own_a_registrar_takes_nothing_away(site: Site) -> None:
    site.service("web")
    site.service("old")
    two(site, "web", "old", top="")
    assert site.once().returncode == 0
    two(site, "web", top="")
    run = site.start()
    line = run.wait_for_line("orphans-kept", timeout=45)
    assert line["services"] == [f"{site.namespace}/old"]
    assert "`instance`" in line["remedy"]
    assert site.endpoints("old") == {ONE: True, TWO: True}


def seconds_between(first: dict[str, Any], second: dict[str, Any]) -> float:
    begin, end = (datetime.fromisoformat(line["timestamp"]) for line in (first, second))
    return (end - begin).total_seconds()
