"""`registrar plan` on a real API server: what would change, why, and that nothing is written."""

from __future__ import annotations

import json

from tests.integration.site import Site, place

WEB = "- {service: NS/web, from: {source: files, group: web}}"
UNCHECKED = "- {service: NS/web, from: {source: files, group: web}, health: {type: none}MORE}"
ONE, TWO = "10.90.0.7:80", "10.90.0.8:80"


def plan(site: Site, *arguments: str) -> tuple[int, list[str], str]:
    done = site.lab.run(site.argv("plan", *arguments))
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_what_would_be_published_is_shown_and_not_written(site: Site) -> None:
    site.service("web")
    site.configure(UNCHECKED.replace("MORE", ""))
    site.list_backends(web=[ONE, TWO])
    status, lines, said = plan(site)
    assert (status, said) == (1, "")
    assert lines[0] == f"{site.namespace}/web: 2 to add"
    assert lines[1:3] == [
        f"  + {address}/TCP  ready  (a source lists it)" for address in (ONE, TWO)
    ]
    assert lines[3].startswith("    create EndpointSlice web-")
    assert lines[4] == "    create Endpoints web"
    assert site.writes() == []


def test_removals_and_changes_come_with_their_reason(site: Site) -> None:
    dead, well = site.backend("dead"), site.backend("well")
    site.service("web")
    site.configure(WEB)
    site.list_backends(web=[dead, well])
    assert site.once().returncode == 0
    dead.kill()
    site.list_backends(web=[dead])
    status, lines, _ = plan(site)
    assert status == 1
    assert lines[0] == f"{site.namespace}/web: 1 to remove, 1 to change"
    assert f"  - {place(well)}/TCP  gone  (no source lists it any more)" in lines
    assert f"  ~ {place(dead)}/TCP  not ready  (connection refused)" in lines
    done = site.lab.run(site.argv("plan", "-o", "json"))
    (row,) = json.loads(done.stdout)
    assert {change["sign"] for change in row["changes"]} == {"-", "~"}


def test_where_all_is_in_place_it_says_so(site: Site) -> None:
    site.service("web")
    site.configure(UNCHECKED.replace("MORE", ""))
    site.list_backends(web=[ONE])
    assert site.once().returncode == 0
    assert plan(site) == (0, [f"{site.namespace}/web: in place"], "")


def test_what_adopt_would_take_over_is_shown(site: Site) -> None:
    subsets = [{"addresses": [{"ip": "10.90.0.9"}], "ports": [{"port": 80}]}]
    site.service("web")
    site.lab.apply(site.object("v1", "Endpoints", "web", subsets=subsets))
    site.configure(UNCHECKED.replace("MORE", ""))
    site.list_backends(web=[ONE])
    status, lines, _ = plan(site)
    assert status == 1
    assert any(line.startswith("  ! not-ours: ") for line in lines)
    site.configure(UNCHECKED.replace("MORE", ", adopt: true"))
    status, lines, _ = plan(site)
    assert status == 1
    assert lines[0] == f"{site.namespace}/web: 1 to add, 1 to remove"
    assert lines[-1] == "    replace Endpoints web (written by somebody else)"
    assert site.writes() == []
