"""Watches that tell nothing, break, or are too old: nothing is repeated, undone, or overlooked."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from tests.integration.site import Site, place
from tests.lab import Backend, wait_for
from tests.lab.control_plane import ETCD
from tests.lab.fault_proxy import FaultProxy

WEB = "- {service: NS/web, from: {source: files, group: web}, health: {type: none}}"


@contextlib.contextmanager
def publishing(site: Site, folder: Path) -> Iterator[tuple[FaultProxy, list[Backend]]]:
    """Have the first of two backends published, by way of a proxy, which is there for the block."""
    backends = [site.backend(f"b{n}") for n in range(2)]
    site.service("web")
    site.configure(WEB)
    site.list_backends(web=backends[:1])
    with FaultProxy.on(site.lab, folder) as proxy:
        site.start("--kubeconfig", proxy.kubeconfig(site.user))
        site.wait_for_endpoints("web", {place(backends[0]): True})
        yield proxy, backends


def test_own_writes_are_not_written_again_while_the_watch_is_late(
    site: Site, tmp_path: Path
) -> None:
    backends = [site.backend(f"b{n}") for n in range(3)]
    site.service("web")
    site.configure(WEB)
    site.list_backends(web=backends[:1])
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        run = site.start("--kubeconfig", proxy.kubeconfig(site.user))
        run.wait_for_line("running")
        deaf = proxy.fault("deaf", "watch")
        for count in (1, 2, 3):
            site.list_backends(web=backends[:count])
            site.wait_for_endpoints("web", {place(b): True for b in backends[:count]})
        verbs = [f"{one.verb} {one.resource}" for one in site.writes()]
        both = ("endpointslices", "endpoints")
        assert verbs == [
            f"{verb} {what}" for verb in ("create", "update", "update") for what in both
        ]
        deaf.end()
        # What the watches told meanwhile has been looked at by the time of a later change.
        site.list_backends(web=backends[:2])
        site.wait_for_endpoints("web", {place(b): True for b in backends[:2]})
    assert len(site.writes()) == len(verbs) + 2


def test_what_is_made_while_the_watch_is_late_is_made_for_the_service_that_is_there(
    site: Site, tmp_path: Path
) -> None:
    with publishing(site, tmp_path / "proxy") as (proxy, backends):
        proxy.fault("deaf", "watch")
        site.lab.kubectl("delete", "service", "web", "-n", site.namespace)
        wait_for(lambda: site.slices("web") == [], 60, "the garbage collector")
        site.service("web")
        found = site.get("api/v1", "services", "web")
        assert found is not None
        before = len(site.writes())
        site.list_backends(web=backends)
        wanted = {place(b): True for b in backends}
        site.wait_for_endpoints("web", wanted)
        (made,) = site.own_slices("web")
        assert made["metadata"]["ownerReferences"][0]["uid"] == found["metadata"]["uid"]
        assert site.served("web") == wanted
    created = [w.resource for w in site.writes()[before:] if w.verb == "create"]
    assert sorted(created) == ["endpoints", "endpointslices"]  # none for the Service that is gone


def test_watches_that_break_or_are_refused_cost_no_write(site: Site, tmp_path: Path) -> None:
    with publishing(site, tmp_path / "proxy") as (proxy, backends):
        for code in (410, 500, 410):
            # A watch that the last cut has ended is begun again after a pause of its own.
            wait_for(lambda: proxy.watches() >= 3, 30, "three watches")
            refused = proxy.fault("refuse", "watch", "endpoints", code=code, times=1)
            assert proxy.cut("watch") >= 3
            refused.wait_until_met()
        assert len(site.writes()) == 2
        # Someone whom only a watch can tell of is heard of all the same.
        site.lab.kubectl("delete", "endpoints", "web", "-n", site.namespace)
        site.wait_for_endpoints("web", {place(backends[0]): True})
    assert [w.verb for w in site.writes()] == ["create", "create", "create"]


def test_a_watch_that_is_too_old_for_a_compacted_etcd_begins_anew(
    site: Site, tmp_path: Path
) -> None:
    with publishing(site, tmp_path / "proxy") as (proxy, backends):
        away = proxy.fault("hold", "watch")
        proxy.cut("watch")
        away.wait_until_met(3)
        site.lab.kubectl("delete", "endpoints", "web", "-n", site.namespace)
        site.service("web", ports=[{"port": 6667}])
        compact(site)
        # Its cache of what has happened goes with the process.
        site.lab.api_server.stop()
        site.lab.api_server.start()
        before = lists(site)
        away.end()
        site.wait_for_endpoints("web", {place(backends[0]): True}, 60)
    # Nothing else has it list again.
    wait_for(lambda: lists(site) > before, 30, "a list of what a watch can't tell any more")
    granted = [f"{w.verb} {w.resource}" for w in site.writes() if w.code < 300]
    assert granted[2:] == ["create endpoints"]


def compact(site: Site) -> None:
    """Have etcd forget all that came before now."""
    meta = site.lab.api.get(f"/api/v1/namespaces/{site.namespace}/services").json()["metadata"]
    body = json.dumps({"revision": meta["resourceVersion"], "physical": True})
    curl = ["curl", "-sf", f"{ETCD}/v3/kv/compaction", "-d", body]
    assert site.lab.run(curl).returncode == 0


def lists(site: Site) -> int:
    asked = [(one.verb, one.resource) for one in site.lab.audit(site.user)]
    return asked.count(("list", "endpoints"))
