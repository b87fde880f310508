"""A cluster that refuses, or is not there: exact words, and what goes on all the same."""

from __future__ import annotations

import re

from tests.integration.site import Site, place

WEB = "- {service: NS/web, from: {source: files, group: web}}"


def test_a_cluster_that_refuses_ends_it_with_3(site: Site) -> None:
    site.configure("- {service: default/web, from: {source: files, group: web}}")
    site.list_backends(web=["10.90.0.7:80"])
    for command in ("once", "run"):
        done = site.lab.run(site.argv(command))
        assert (done.returncode, done.stdout) == (3, "")
        said = done.stderr.splitlines()[-1]
        resource = re.sub("services|endpoints", "RESOURCES", said)
        assert resource == (
            f'registrar: RESOURCES is forbidden: User "{site.user}" cannot list resource '
            '"RESOURCES" in API group "" in the namespace "default"; '
            "grant config/rbac/namespace there"
        )
        assert "Traceback" not in done.stderr


def test_a_cluster_that_is_not_there_ends_it_with_3(site: Site) -> None:
    site.configure(WEB)
    site.list_backends(web=["10.90.0.7:80"])
    kubeconfig = site.folder / "kubeconfig"
    known = site.lab.kubeconfig(site.user).read_text()
    kubeconfig.write_text(known.replace(":6443", ":6444"))
    # Both at once: each has to be patient for half a minute first.
    processes = {
        command: site.lab.spawn(
            [*site.argv(command), "--kubeconfig", kubeconfig], log=site.folder / f"{command}.log"
        )
        for command in ("once", "run")
    }
    for command, process in processes.items():
        assert process.wait(60) == 3
        said = (site.folder / f"{command}.log").read_text()
        assert said.splitlines()[-1] == (
            "registrar: https://10.90.0.1:6444: connection refused; "
            "check the server in the kubeconfig, and the way to it"
        )
        assert "Traceback" not in said


def test_one_namespace_that_refuses_costs_only_itself(site: Site) -> None:
    backend = site.backend("b")
    site.service("web")
    site.configure(f"- {{service: default/web, from: {{source: files, group: web}}}}\n{WEB}")
    site.list_backends(web=[backend])
    run = site.start()
    site.wait_for_endpoints("web", {place(backend): True})
    line = run.wait_for_line("hold", service="default/web", reason="forbidden")
    assert 'is forbidden: User "' in line["detail"]
    assert run.is_running
