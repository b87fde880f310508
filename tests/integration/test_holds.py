"""What depends on the cluster, or on a file that may come, is a Hold: `run` goes on meanwhile."""

from __future__ import annotations

from functools import partial

import pytest

from tests.integration.site import Run, Site, place
from tests.lab import wait_for

WEB = "- {service: NS/web, from: {source: files, group: web}}"
PORTS = [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]


@pytest.mark.parametrize(
    ("spec", "record", "services", "reason", "detail"),
    [
        (
            {"selector": {"app": "web"}},
            "10.90.0.7:80",
            WEB,
            "service-has-selector",
            (
                "Service NS/web has a selector, so its endpoints are its pods; "
                "remove spec.selector to have registrar publish them"
            ),
        ),
        (
            {"type": "ExternalName", "externalName": "web.example", "ports": []},
            "10.90.0.7:80",
            WEB,
            "external-name",
            "Service NS/web is of type ExternalName, which has no endpoints",
        ),
        (
            {"ports": PORTS},
            "10.90.0.7:80",
            WEB,
            "port-name-missing",
            (
                "Service NS/web has 2 ports (http, admin); "
                "give the mapping a `ports` section that names them"
            ),
        ),
        (
            {"ports": PORTS},
            "10.90.0.7:80",
            "- {service: NS/web, ports: {htpt: {from: {source: files, group: web}}}}",
            "port-name-unknown",
            "Service NS/web has no port named 'htpt'; its ports: http, admin",
        ),
        (
            {"ports": [{"port": 80, "targetPort": "named"}]},
            "10.90.0.7",
            WEB,
            "no-port",
            (
                "Service NS/web has no number for its port: give one to the backends "
                "(10.90.0.7 has none), to the mapping (`port`), or as targetPort"
            ),
        ),
    ],
    ids=["selector", "external-name", "several-ports", "unknown-port-name", "no-port"],
)
def test_a_service_that_does_not_fit(
    site: Site, spec: dict[str, object], record: str, services: str, reason: str, detail: str
) -> None:
    good = site.backend("good")
    site.service("web", **spec)
    site.service("other")
    site.configure(f"{services}\n- {{service: NS/other, from: {{source: files, group: good}}}}")
    site.list_backends(web=[record], good=[good])
    run = site.start()
    line = run.wait_for_line("hold", service=f"{site.namespace}/web", reason=reason)
    assert line["detail"] == detail.replace("NS/", f"{site.namespace}/")
    # Its neighbour is served meanwhile.
    site.wait_for_endpoints("other", {place(good): True})
    assert run.is_running
    assert all(write.name.startswith("other") for write in site.writes())


def test_a_missing_service_is_waited_for(site: Site) -> None:
    backend = site.backend("b")
    site.configure(WEB)
    site.list_backends(web=[backend])
    run = site.start()
    line = run.wait_for_line("hold", reason="service-missing")
    assert line["detail"] == f"there is no Service {site.namespace}/web"
    site.service("web")
    site.wait_for_endpoints("web", {place(backend): True})
    run.wait_for_line("hold-ended")


def test_a_missing_file_is_waited_for(site: Site) -> None:
    backend = site.backend("b")
    site.service("web")
    site.configure(WEB)
    run = site.start()
    line = run.wait_for_line("hold", reason="source-unknown")
    assert line["detail"] == f"{site.folder}/backends.yaml: there is no such file"
    assert site.endpoints("web") is None
    site.list_backends(web=[backend])
    site.wait_for_endpoints("web", {place(backend): True})
    run.wait_for_line("hold-ended")


def test_a_file_that_goes_bad_takes_nothing_away(site: Site) -> None:
    backend, later = site.backend("b"), site.backend("later")
    site.service("web")
    site.configure(WEB)
    site.list_backends(web=[backend])
    run = site.start()
    site.wait_for_endpoints("web", {place(backend): True})
    file = site.folder / "backends.yaml"
    for bad, error in (
        ("", "holds no groups"),
        ("web: [10.90.0.7:80", "expected ',' or ']'"),
        ("web: 7", "group 'web' is not a list"),
        ("wbe: [10.90.0.7:80]", "no group 'web' (groups: wbe)"),
    ):
        file.write_text(bad)
        wait_for(partial(_has_said, run, error), 30, f"the source error {error!r}")
    file.unlink()
    run.wait_for_line("source-unknown", error=f"{file}: there is no such file")
    assert site.endpoints("web") == {place(backend): True}
    site.list_backends(web=[backend, later])
    site.wait_for_endpoints("web", {place(backend): True, place(later): True})
    verbs = [write.verb for write in site.writes()]
    assert verbs == ["create", "create", "update", "update"]  # of the slice and of the Endpoints


def _has_said(run: Run, error: str) -> bool:
    return any(error in line["error"] for line in run.lines("source-unknown"))
