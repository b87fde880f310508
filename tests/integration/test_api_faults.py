"""What the API server refuses, and answers that never come: it is asked again, nothing is lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.integration.site import CLUSTER_ROLE, ROLE, Site
from tests.lab import Lab
from tests.lab.fault_proxy import FaultProxy, Kind

WEB = "- {service: NS/web, from: {source: files, group: web}, health: {type: none}}"
OTHER = WEB.replace("NS/web", "NS/other")
PLACES = [f"10.91.0.{n}:80" for n in range(1, 9)]
PATIENCE_S = 60.0
MANY = 20
RESOURCES = ("endpointslices", "endpoints")
FAULTS: list[tuple[Kind, dict[str, Any]]] = [
    ("refuse", {"code": 500}),
    ("refuse", {"code": 503, "headers": {"Retry-After": "1"}}),
    ("break", {}),
    ("break", {"applied": True}),  # it is done, and nobody was told
]
RETRY_AFTER = timedelta(seconds=0.95)
"""What the API server says with a 429 is a second; the times are those of its own log."""

FLOW = "flowcontrol.apiserver.k8s.io"


def lists(site: Site, count: int) -> dict[str, bool]:
    """Have the file list so many; return what is to be published then."""
    site.list_backends(web=PLACES[:count])
    return dict.fromkeys(PLACES[:count], True)


def publishes(site: Site, count: int, *names: str) -> None:
    wanted = lists(site, count)
    for name in names or ("web",):
        site.wait_for_endpoints(name, wanted, PATIENCE_S)


def granted(site: Site) -> list[str]:
    return [f"{w.verb} {w.resource}" for w in site.writes() if w.code < 300]


# --- 409 -----------------------------------------------------------------------------------------


def test_an_editor_who_is_quicker_keeps_what_is_theirs(site: Site, tmp_path: Path) -> None:
    site.service("web")
    site.configure(WEB)
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        site.start("--kubeconfig", proxy.kubeconfig(site.user))
        publishes(site, 1)
        for resource, count in (("endpointslices", 2), ("endpoints", 3)):
            held = proxy.fault("hold", "update", resource, times=1)
            wanted = lists(site, count)
            held.wait_until_met()
            name = site.own_slices("web")[0]["metadata"]["name"] if count == 2 else "web"
            label = ("label", resource, name, "team=billing", "-n", site.namespace)
            site.lab.kubectl(*label)
            held.end()
            site.wait_for_endpoints("web", wanted, PATIENCE_S)
            api = "api/v1" if resource == "endpoints" else "apis/discovery.k8s.io/v1"
            found = site.get(api, resource, name)
            assert found is not None
            assert found["metadata"]["labels"]["team"] == "billing"
            conflicts = [w for w in site.writes() if w.code == 409 and w.resource == resource]
            assert len(conflicts) == 1
    assert granted(site)[2:] == 2 * ["update endpointslices", "update endpoints"]


# --- 403 -----------------------------------------------------------------------------------------


def test_a_right_that_leaves_out_one_object_costs_only_that_one(lab: Lab, tmp_path: Path) -> None:
    with Site.on(lab, "one-forbidden", tmp_path, roles=[CLUSTER_ROLE]) as site:
        for name in ("web", "other"):
            site.service(name)
        lab.grant(site.user, ROLE, site.namespace)
        site.configure(f"{WEB}\n{OTHER}")
        run = site.start()
        publishes(site, 1, "web", "other")
        allow_endpoints(site, "get", "list", "watch")
        allow_endpoints(site, "update", only=["other"])
        wanted = lists(site, 2)
        site.wait_for_endpoints("other", wanted, PATIENCE_S)
        line = run.wait_for_line("hold", reason="forbidden")
        assert line["service"] == f"{site.namespace}/web"
        assert line["detail"].startswith(
            f'endpoints "web" is forbidden: User "{site.user}" cannot update resource "endpoints"'
        )
        publishes(site, 3, "other")
        assert site.endpoints("web") == dict.fromkeys(PLACES[:1], True)
        assert site.served("web") == dict.fromkeys(PLACES[:3], True)  # what nodes read is right
        lab.grant(site.user, ROLE, site.namespace)
        site.wait_for_endpoints("web", dict.fromkeys(PLACES[:3], True), PATIENCE_S)
        run.wait_for_line("hold-ended", reason="forbidden")
        held = {line["service"] for line in run.lines("hold") if line["reason"] == "forbidden"}
        assert held == {f"{site.namespace}/web"}


def allow_endpoints(site: Site, *verbs: str, only: list[str] | None = None) -> None:
    """Take from the shipped Role what it says of endpoints, and add a rule of these."""
    found = json.loads(
        site.lab.kubectl("get", "role", "registrar", "-n", site.namespace, "-o", "json")
    )
    rules = [r for r in found["rules"] if only or "endpoints" not in r["resources"]]
    rule = {"apiGroups": [""], "resources": ["endpoints"], "verbs": list(verbs)}
    rules.append({**rule, **({"resourceNames": only} if only else {})})
    patch = json.dumps({"rules": rules})
    site.lab.kubectl(
        *("patch", "role", "registrar", "-n", site.namespace, "--type=merge", "-p", patch)
    )


def test_a_right_to_watch_that_is_missing_is_told_at_the_start(site: Site) -> None:
    site.service("web")
    site.configure(WEB)
    allow_endpoints(site, "get", "list", "create", "update", "delete")
    run = site.start()
    publishes(site, 1)
    line = run.wait_for_line("cluster-unheard", resource="endpoints")
    assert 'cannot watch resource "endpoints"' in line["error"]


# --- 429 -----------------------------------------------------------------------------------------


def test_priority_and_fairness_that_lets_next_to_nothing_through(site: Site) -> None:
    names = [f"web{n}" for n in range(MANY)]
    site.lab.apply(
        *(site.object("v1", "Service", n, spec={"ports": [{"port": 80}]}) for n in names)
    )
    site.configure("\n".join(WEB.replace("NS/web", f"NS/{name}") for name in names))
    run = site.start()
    publishes(site, 1, *names)
    with starved(site):
        count = 1
        while not refused(site):  # it takes the API server a moment to heed it
            count += 1
            publishes(site, count, *names)
        line = run.wait_for_line("hold", reason="cluster-unreachable")
        assert "too many requests" in line["detail"].lower()
    for name, when in refused(site):
        later = [w.timestamp for w in site.writes() if w.name == name and w.timestamp > when]
        assert min(later) - when >= RETRY_AFTER
    per_name = Counter(w.name for w in site.writes() if w.code < 300)
    assert set(per_name.values()) == {count}  # of each object, however often it was refused


def refused(site: Site) -> list[tuple[str, datetime]]:
    return [(w.name, w.timestamp) for w in site.writes() if w.code == 429]


@contextmanager
def starved(site: Site) -> Iterator[None]:
    """Have the API server's priority and fairness allow registrar one update at a time."""
    name = f"starve-{site.user}"
    rule = {
        "subjects": [{"kind": "User", "user": {"name": site.user}}],
        "resourceRules": [
            {
                "verbs": ["update"],
                "apiGroups": ["discovery.k8s.io"],
                "resources": ["endpointslices"],
                "namespaces": ["*"],
            }
        ],
    }
    level = {
        "type": "Limited",
        "limited": {
            "nominalConcurrencyShares": 0,
            "lendablePercent": 0,
            "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Reject"},
        },
    }
    schema = {
        "priorityLevelConfiguration": {"name": name},
        "matchingPrecedence": 2,
        "rules": [rule],
    }
    specs = {"PriorityLevelConfiguration": level, "FlowSchema": schema}
    for kind, spec in specs.items():
        site.lab.apply(
            {"apiVersion": f"{FLOW}/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        )
    try:
        yield
    finally:
        for kind in reversed(specs):
            site.lab.kubectl("delete", f"{kind}.{FLOW}", name)


# --- 500, and no answer --------------------------------------------------------------------------


def test_nothing_is_lost_nor_written_twice(site: Site, tmp_path: Path) -> None:
    site.service("web")
    site.configure(WEB)
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        run = site.start("--kubeconfig", proxy.kubeconfig(site.user))
        publishes(site, 1)
        for count, (kind, how) in enumerate(FAULTS, 2):
            faults = [
                proxy.fault(kind, "update", resource, times=1, **how) for resource in RESOURCES
            ]
            publishes(site, count)
            assert [fault.hits for fault in faults] == [1, 1]
        publishes(site, 1)
    assert run.is_running
    updates = [f"update {resource}" for resource in RESOURCES]
    assert granted(site)[2:] == (len(FAULTS) + 1) * updates
