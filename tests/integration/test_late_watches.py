"""What registrar does while its watches tell it nothing: it neither repeats nor undoes anything."""

from __future__ import annotations

from pathlib import Path

from tests.integration.site import Site, place
from tests.lab.fault_proxy import FaultProxy

WEB = "- {service: NS/web, from: {source: files, group: web}, health: {type: none}}"


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
