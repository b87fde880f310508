"""Events, as `kubectl describe service` shows them to whoever looks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from tests.integration.site import ROLE, Site, place
from tests.lab import AuditRecord, Lab, wait_for

WEB = "- {service: NS/web, from: {source: files, group: web}, health: {type: none}}"
MANY = 200


def described(site: Site, name: str = "web") -> str:
    return site.lab.kubectl("describe", "service", name, "-n", site.namespace)


def wait_for_event(site: Site, kind: str, reason: str, message: str) -> None:
    """Wait until `kubectl describe` shows an Event of ours."""
    pattern = rf"{kind}\s+{reason}\s+.*\s+registrar\s+{re.escape(message)}"
    wait_for(lambda: re.search(pattern, described(site)), 30, lambda: pattern + described(site))


def test_describe_shows_what_happened_to_a_service(site: Site) -> None:
    first, second = site.backend("first"), site.backend("second")
    site.service("web")
    site.configure(WEB)
    site.list_backends(web=[first, second])
    site.start()
    wait_for_event(site, "Normal", "Published", "2 of 2 ready; 2 added, 0 removed, 0 changed")
    file = site.folder / "backends.yaml"
    file.unlink()
    lost = f"source files: {file}: there is no such file"
    wait_for_event(site, "Warning", "SourceUnknown", lost)
    node = f"events-{site.namespace}"
    site.lab.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    try:
        status = {"status": {"addresses": [{"type": "InternalIP", "address": first.address}]}}
        patch = ("--subresource=status", "--patch", json.dumps(status))
        site.lab.kubectl("patch", "node", node, *patch)
        why = f"{first.address} port 80: {first.address} is a node of this cluster ({node})"
        message = f"no longer published, for it must not be: {why}"
        wait_for_event(site, "Warning", "BackendWithdrawn", message)
        site.wait_for_served("web", {place(second): True})
        site.list_backends(web=[second])
        wait_for_event(site, "Normal", "HoldEnded", "no longer source-unknown (source files)")
    finally:
        site.lab.kubectl("delete", "node", node)
    assert {record.code for record in events_written(site)} <= {200, 201}


def test_an_outage_that_many_services_see_is_few_events(site: Site) -> None:
    names = [f"web-{number}" for number in range(MANY)]
    spec = {"ports": [{"port": 80}], "clusterIP": "None"}
    site.lab.apply(*(site.object("v1", "Service", name, spec=spec) for name in names))
    mapped = "- {{service: NS/{}, from: {{source: files, group: web}}, health: {{type: none}}}}"
    site.configure("\n".join(mapped.format(name) for name in names))
    site.list_backends(web=["10.90.0.200:80"])
    run = site.start()
    published = {"10.90.0.200:80": True}
    wait_for(lambda: len(run.lines("published")) >= MANY, 60, "all to be published")
    site.wait_for_endpoints(names[-1], published, timeout=60)
    file = site.folder / "backends.yaml"
    file.unlink()

    def outages() -> list[str]:
        return [e["message"] for e in events(site) if e["reason"] == "SourceUnknown"]

    wait_for(outages, 30, lambda: str(events(site)))
    wait_for(lambda: len(run.lines("hold")) >= MANY, 60, "all to be held")
    # How many it concerns is said of those that a busy machine looked at within a second.
    (message,) = outages()
    said = f"source files: {re.escape(str(file))}: there is no such file"
    assert re.fullmatch(rf"{said}; \d+ Services are concerned", message)
    assert len(events(site)) < 30


def test_without_the_right_to_write_events_it_says_so_once(lab: Lab, tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all(ROLE.read_text()))
    for document in documents:
        document["rules"] = [r for r in document.get("rules", ()) if r["resources"] != ["events"]]
        document["metadata"]["name"] = "without-events"
    role = tmp_path / "role.yaml"
    role.write_text(yaml.safe_dump_all(documents))
    with Site.on(lab, "no-events", tmp_path, roles=[role]) as site:
        site.service("web")
        site.configure(WEB, more="networks: {cluster: [10.96.0.0/16]}\n")
        for round_ in range(3):
            spec: dict[str, object] = {"selector": {"app": "web"}} if round_ % 2 else {}
            site.service("web", **spec)
            site.list_backends(web=[f"10.90.0.20{round_}:80"])
            if round_ == 0:
                run = site.start()
                site.wait_for_endpoints("web", {"10.90.0.200:80": True})
                run.wait_for_line("events-not-written")
            elif round_ == 1:
                run.wait_for_line("hold", reason="service-has-selector")
                wait_for(lambda: len(events_written(site)) > 1, 30, "another try")
        site.wait_for_served("web", {"10.90.0.202:80": True})
        assert len(run.lines("events-not-written")) == 1
        assert events(site) == []


def events(site: Site) -> list[dict[str, str]]:
    answer = site.lab.api.get(f"/api/v1/namespaces/{site.namespace}/events").raise_for_status()
    found: list[dict[str, str]] = answer.json()["items"]
    return found


def events_written(site: Site) -> list[AuditRecord]:
    return [one for one in site.lab.writes(site.user) if one.resource == "events"]
