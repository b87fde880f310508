"""Each right of config/rbac taken away in turn: which message tells the operator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.deployment.wanting import Right, documented, given, shipped, site
from tests.integration.site import Run, Site
from tests.lab import Lab, wait_for

PLACES = [f"10.90.0.{number}:80" for number in (200, 201)]
RANGES = "networks: {cluster: [10.96.0.0/16]}\n"
NO_CHECK = "{type: none}"


@pytest.fixture
def runs() -> Iterator[list[Run]]:
    made: list[Run] = []
    yield made
    for run in made:
        run.kill()


def spaces(*names: str) -> list[dict[str, object]]:
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one}} for one in names]


def service(namespace: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"ports": [{"port": 80}]},
    }


def wait_until_told(run: Run, right: Right) -> None:
    """Wait for the event of the page, in the words of the page."""

    def is_told() -> bool:
        lines = run.lines(right.told_by)
        return any(right.is_in(str(line.get("detail") or line.get("error"))) for line in lines)

    wait_for(is_told, 40, lambda: f"{right}, in {run.log.read_text()}")


def test_the_page_has_every_right_and_no_other() -> None:
    folders = ("namespace", "create", "lease", "ranges")
    given_away = sorted(
        (folder, verb, resource)
        for folder in folders
        for role in shipped(folder)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )
    rows = [(one.folder, one.verb, one.resource) for one in documented(*folders)]
    assert sorted(rows) == given_away


def test_a_right_that_is_missing_in_a_namespace_holds_its_services(
    lab: Lab, tmp_path: Path, runs: list[Run]
) -> None:
    rights = [one for one in documented("namespace", "create") if one.resource != "events"]
    here = site(lab, tmp_path / "site", "default")
    objects = spaces(*(right.namespace for right in rights))
    for right in rights:
        there = Site(lab, right.namespace, here.user, here.folder)
        wanting = [(right.verb, right.resource)]
        if wanting == [("get", "endpointslices")]:
            wanting.append(("watch", "endpointslices"))  # so that what it knows is out of date
        objects += given(there, "namespace", *wanting)
        if right.folder != "create":
            objects.append(service(right.namespace))
    lab.apply(*objects)

    def configure(publish: dict[str, str]) -> None:
        lines = []
        for right in rights:
            key = f"{right.verb} {right.resource}"
            more = f", publish: {publish[key]}" if key in publish else ""
            more += ", create: {port: 80}" if right.folder == "create" else ""
            mapping = f"{right.namespace}/web, from: {{source: files, group: web}}{more}"
            lines.append(f"- {{service: {mapping}}}")
        here.configure("\n".join(lines), health=NO_CHECK, more=RANGES)

    configure({})
    here.list_backends(web=PLACES[:1])
    run = here.start()
    runs.append(run)
    later = {("get", "endpointslices")}
    later |= {(v, r) for v in ("update", "delete") for r in ("endpoints", "endpointslices")}
    at_once = [one for one in rights if (one.verb, one.resource) not in later]
    for right in at_once:
        wait_until_told(run, right)
    for right in rights:
        if right not in at_once:
            there = Site(lab, right.namespace, here.user, here.folder)
            there.wait_for_endpoints("web", dict.fromkeys(PLACES[:1], True))
    mark = ("annotate", "endpointslices", "-l", "kubernetes.io/service-name=web", "by=hand")
    lab.kubectl("-n", "no-get-endpointslices-namespace", *mark)
    here.list_backends(web=PLACES)
    configure({"delete endpoints": "endpointslices", "delete endpointslices": "endpoints"})
    for right in rights:
        wait_until_told(run, right)
    assert run.is_running


def test_events_that_may_not_be_written_are_told(lab: Lab, tmp_path: Path, runs: list[Run]) -> None:
    rights = [one for one in documented("namespace") if one.resource == "events"]
    sites = {one: site(lab, tmp_path / one.verb, one.namespace) for one in rights}
    objects = spaces(*(one.namespace for one in rights))
    for right, here in sites.items():
        wanting = (right.verb, right.resource)
        objects += [*given(here, "namespace", wanting), service(here.namespace)]
        here.configure(
            "- {service: NS/web, from: {source: files, group: web}}", health=NO_CHECK, more=RANGES
        )
        here.list_backends(web=PLACES)
    lab.apply(*objects)
    started = {right: here.start() for right, here in sites.items()}
    runs += started.values()
    for right, run in started.items():
        here = sites[right]
        here.wait_for_endpoints("web", dict.fromkeys(PLACES, True))
        if right.verb == "patch":
            ask_for_a_resync(here, "first")
            wait_for(lambda here=here: is_resynced(here), 30, "the Event")  # type: ignore[misc]
            ask_for_a_resync(here, "second")  # of which the same is to be said
        wait_until_told(run, right)


def ask_for_a_resync(here: Site, value: str) -> None:
    wish = f"registrar.internal/resync={value}"
    here.lab.kubectl("-n", here.namespace, "annotate", "--overwrite", "service/web", wish)


def is_resynced(here: Site) -> bool:
    found = here.lab.api.get(f"/api/v1/namespaces/{here.namespace}/events").raise_for_status()
    return any(event["reason"] == "Resynced" for event in found.json()["items"])


def test_a_right_to_the_lease_that_is_missing_is_told(
    lab: Lab, tmp_path: Path, runs: list[Run]
) -> None:
    rights = documented("lease")
    sites = {one: site(lab, tmp_path / one.verb, one.namespace) for one in rights}
    objects = spaces(*(one.namespace for one in rights))
    for right, here in sites.items():
        objects += given(here, "lease", (right.verb, right.resource))
        if right.verb == "update":
            objects.append(here.object("coordination.k8s.io/v1", "Lease", "registrar-default"))
        election = f"leaderElection: {{namespace: {here.namespace}}}\n"
        here.write("registrar.yaml", f"services: []\n{RANGES}{election}")
    lab.apply(*objects)
    started = {right: here.start() for right, here in sites.items()}
    runs += started.values()
    for right, run in started.items():
        if right.told_by == "it ends with status 2":
            assert run.process.wait(40) == 2
            said = run.log.read_text().splitlines()[-1]
            assert f"may not list and watch the Lease {right.namespace}/registrar-default" in said
            assert "; grant config/rbac/lease in its namespace" in said
        else:
            wait_until_told(run, right)


def test_a_right_to_the_ranges_that_is_missing_is_told(
    lab: Lab, tmp_path: Path, runs: list[Run]
) -> None:
    rights = documented("ranges")
    listed = [one for one in rights if one.verb == "list"]
    watched = [one for one in rights if one.verb == "watch"]
    objects = []
    started = []
    for wanting in (*([one] for one in listed), watched):
        here = site(lab, tmp_path / wanting[0].namespace, "default")
        objects += given(here, "ranges", *((one.verb, one.resource) for one in wanting))
        here.write("registrar.yaml", "services: []\n")
        started.append((here, wanting))
    lab.apply(*objects)
    runs += [here.start() for here, _ in started]
    for run, right in zip(runs, listed, strict=False):
        assert run.process.wait(40) == 2
        said = run.log.read_text().splitlines()[-1]
        assert f"may not list and watch {right.resource}" in said
        assert "; grant config/rbac/ranges, or list the node, pod and Service ranges" in said
    for right in watched:
        wait_until_told(runs[-1], right)
    assert runs[-1].is_running
