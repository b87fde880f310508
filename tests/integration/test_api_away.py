"""An API server that stands still, dies, or is away for long, while sources and checks change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from tests.integration.site import Run, Site, place
from tests.lab import Backend, Lab, wait_for

WEB = "- {service: NS/web, from: {source: files, group: web}}"
PATIENCE_S = 90.0
AWAY_S = 30.0


@contextmanager
def repaired(lab: Lab) -> Iterator[None]:
    """Leave a control plane that answers, whatever the block has done to it."""
    try:
        yield
    finally:
        lab.etcd.start()
        if lab.api_server.state == "frozen":
            lab.api_server.thaw()
        lab.api_server.start()
        wait_for(lambda: lab.api.get("/readyz").is_success, PATIENCE_S, "the API server")


def site_with(site: Site, count: int) -> list[Backend]:
    backends = [site.backend(f"b{n}") for n in range(count)]
    site.service("web")
    site.configure(WEB)
    return backends


def wait_for_verdict(run: Run, backend: Backend, verdict: str) -> None:
    """Wait until this is the last that was said of a backend."""
    said = f"{backend.address} port {backend.port}"

    def last() -> bool:
        lines = [line for line in run.lines("verdict") if line["backend"] == said]
        return bool(lines) and lines[-1]["verdict"] == verdict

    wait_for(last, PATIENCE_S, f"{said} {verdict}")


def test_what_has_changed_while_it_was_away_is_written_once(site: Site) -> None:
    backends = site_with(site, 4)
    site.list_backends(web=backends[:2])
    run = site.start()
    site.wait_for_endpoints("web", {place(b): True for b in backends[:2]})
    before = len(site.writes())
    with repaired(site.lab):
        site.lab.api_server.stop()
        site.lab.etcd.stop()
        gone = time.monotonic()
        run.wait_for_line("cluster-unheard")
        for count in (3, 2, 4):
            site.list_backends(web=backends[:count])
            backends[0].kill()
            wait_for_verdict(run, backends[0], "down")
            backends[0].start()
            wait_for_verdict(run, backends[0], "up")
        backends[1].kill()
        wait_for(lambda: time.monotonic() - gone >= AWAY_S, PATIENCE_S, "half a minute")
        site.lab.etcd.start()
        site.lab.api_server.start()
        wanted = {place(b): b is not backends[1] for b in backends}
        site.wait_for_endpoints("web", wanted, PATIENCE_S)
    # All of it has been looked at by the time that a later change is there.
    site.list_backends(web=backends[:3])
    wanted.pop(place(backends[3]))
    site.wait_for_endpoints("web", wanted, PATIENCE_S)
    granted = [f"{w.verb} {w.resource}" for w in site.writes()[before:] if w.code < 300]
    assert granted == 2 * ["update endpointslices", "update endpoints"]


def test_it_stands_still_and_goes_on(site: Site) -> None:
    backends = site_with(site, 3)
    site.list_backends(web=backends[:2])
    run = site.start()
    site.wait_for_endpoints("web", {place(b): True for b in backends[:2]})
    with repaired(site.lab):
        site.lab.api_server.freeze()
        site.list_backends(web=backends)
        backends[0].kill()
        run.wait_for_line("verdict", timeout=PATIENCE_S)
        line = run.wait_for_line("hold", reason="cluster-unreachable", timeout=PATIENCE_S)
        assert line["detail"] == "https://10.90.0.1:6443: no answer in time"
        site.lab.api_server.thaw()
        wanted = {place(b): b is not backends[0] for b in backends}
        site.wait_for_endpoints("web", wanted, PATIENCE_S)
    run.wait_for_line("hold-ended", reason="cluster-unreachable")


def test_etcd_is_restarted_beneath_it(site: Site) -> None:
    backends = site_with(site, 3)
    site.list_backends(web=backends[:1])
    run = site.start()
    site.wait_for_endpoints("web", {place(backends[0]): True})
    with repaired(site.lab):
        site.lab.etcd.stop()
        site.list_backends(web=backends[:2])
        run.wait_for_line("hold", reason="cluster-unreachable", timeout=PATIENCE_S)
        site.lab.etcd.start()
        site.wait_for_endpoints("web", {place(b): True for b in backends[:2]}, PATIENCE_S)
        began = datetime.now(UTC)
        site.list_backends(web=backends)
        site.wait_for_endpoints("web", {place(b): True for b in backends}, PATIENCE_S)
    since = [w for w in site.writes() if w.timestamp > began and w.code < 300]
    assert len(since) == 2
