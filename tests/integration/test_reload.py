"""The configuration changes under a running program: rows 40 and 41 of the faults among it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from tests.integration.site import Run, Site
from tests.lab import wait_for

ONE, TWO = "10.90.0.7:80", "10.90.0.8:80"
BOTH = {ONE: True, TWO: True}


def line(name: str, group: str = "web") -> str:
    return (
        f"- {{service: NS/{name}, from: {{source: files, group: {group}}}, health: {{type: none}}}}"
    )


def configure(site: Site, *lines: str, more: str = "") -> None:
    site.configure("\n".join(lines) or "[]", more=f"instance: office\n{more}")


def serve(site: Site, *names: str) -> Run:
    """Publish Services of these names, all with the same two backends."""
    for name in names:
        site.service(name)
    site.list_backends(web=[ONE, TWO], other=[ONE])
    configure(site, *map(line, names))
    run = site.start()
    for name in names:
        site.wait_for_endpoints(name, BOTH)
    return run


def written(site: Site, name: str) -> int:
    """Return how often something was written for a Service."""
    return sum(one.name == name or one.name.startswith(f"{name}-") for one in site.writes())


def at(line: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(line["timestamp"])


def counts(line: dict[str, Any]) -> tuple[int, int, int]:
    return line["added"], line["removed"], line["changed"]


def test_a_mapping_is_added_and_changed_and_the_others_are_left_in_peace(site: Site) -> None:
    site.service("new")
    run = serve(site, "web", "db")
    before = written(site, "web")
    configure(site, line("web"), line("db"), line("new"))
    site.wait_for_endpoints("new", BOTH)
    assert counts(run.wait_for_line("reloaded")) == (1, 0, 0)
    configure(site, line("web"), line("db", "other"), line("new"))
    site.wait_for_endpoints("db", {ONE: True})
    assert counts(run.lines("reloaded")[-1]) == (0, 0, 1)
    assert written(site, "web") == before
    site.list_backends(web=[TWO], other=[ONE])  # and all go on to be served
    for name in ("web", "new"):
        site.wait_for_endpoints(name, {TWO: True})
    assert {line["level"] for line in run.lines()} == {"info"}


def test_a_changed_source_takes_nothing_away_until_it_has_answered(site: Site) -> None:
    run = serve(site, "web")
    before = written(site, "web")
    text = (site.folder / "registrar.yaml").read_text()
    site.write("registrar.yaml", text.replace("backends.yaml", "others.yaml"))
    run.wait_for_line("reloaded", changed=1)
    run.wait_for_line("hold", reason="source-unknown")
    assert site.endpoints("web") == BOTH
    assert written(site, "web") == before
    site.write("others.yaml", f"web: ['{ONE}']\n")
    site.wait_for_endpoints("web", {ONE: True})


def test_what_a_removed_mapping_has_published_goes_after_half_a_minute(site: Site) -> None:
    run = serve(site, "web", "old")
    before = written(site, "web")
    configure(site, line("web"))
    reloaded = run.wait_for_line("reloaded", removed=1)
    site.list_backends(web=[ONE])  # it is not served any more
    site.wait_for_endpoints("web", {ONE: True})
    assert site.endpoints("old") == BOTH
    removed = run.wait_for_line("orphan-removed", timeout=45)
    assert 29 < (at(removed) - at(reloaded)).total_seconds() < 35
    assert site.endpoints("old") is None
    assert site.own_slices("old") == []
    assert site.get("api/v1", "services", "old") is not None
    assert written(site, "web") - before == 2  # the slice and the Endpoints, for the backend


def test_what_comes_back_in_time_is_never_taken_away(site: Site) -> None:
    run = serve(site, "web", "old", "gone")
    before = written(site, "old")
    configure(site, line("web"))
    run.wait_for_line("reloaded", removed=2)
    configure(site, line("web"), line("old"))
    back = run.wait_for_line("reloaded", added=1)
    removed = run.wait_for_line("orphan-removed", timeout=45)
    assert removed["service"] == f"{site.namespace}/gone"
    assert (at(removed) - at(back)).total_seconds() > 29  # the last change counts
    assert len(run.lines("orphan-removed")) == 1
    assert site.endpoints("old") == BOTH
    assert written(site, "old") == before


def test_an_invalid_file_is_reported_and_what_was_in_force_stays(site: Site) -> None:
    run = serve(site, "web")
    file = site.write("registrar.yaml", "instance: office\nservcies: []\n")
    failed = run.wait_for_line("reload-failed")
    checked = site.lab.run(site.argv("validate")[:6])
    assert failed["error"] == checked.stderr.strip()
    assert f"{file}:2:1" in failed["error"]
    site.list_backends(web=[ONE])  # the old one is at work
    site.wait_for_endpoints("web", {ONE: True})
    site.service("new")
    configure(site, line("web"), line("new"))
    site.wait_for_endpoints("new", {ONE: True})
    assert len(run.lines("reload-failed")) == 1


def test_another_instance_needs_a_restart(site: Site) -> None:
    run = serve(site, "web")
    site.configure(line("web"), more="instance: lab\n")
    assert "restart registrar" in run.wait_for_line("reload-failed")["error"]
    site.list_backends(web=[ONE])
    site.wait_for_endpoints("web", {ONE: True})


def test_the_swap_of_a_config_map_is_seen(site: Site) -> None:
    for name in ("web", "new"):
        site.service(name)
    site.list_backends(web=[ONE, TWO])
    mount(site, "1", line("web"))
    run = site.start()
    site.wait_for_endpoints("web", BOTH)
    mount(site, "2", line("web"), line("new"))
    run.wait_for_line("reloaded", timeout=30, added=1)
    site.wait_for_endpoints("new", BOTH)


def mount(site: Site, version: str, *lines: str) -> None:
    """Have the configuration be what kubelet makes of a ConfigMap, and swap the one link."""
    made = site.folder / f"..{version}"
    made.mkdir()
    configure(replace(site, folder=made), *lines)
    (site.folder / "..data_tmp").symlink_to(made.name)
    (site.folder / "..data_tmp").rename(site.folder / "..data")
    if not (site.folder / "registrar.yaml").is_symlink():
        (site.folder / "registrar.yaml").symlink_to("..data/registrar.yaml")


NAMES = [f"web-{number}" for number in range(12)]


def test_much_that_goes_at_once_is_held_until_a_person_accepts_just_that(site: Site) -> None:
    run = serve(site, *NAMES)
    configure(site, *map(line, NAMES[:7]))
    held = run.wait_for_line("reload-held")
    assert (held["count"], held["of"], len(held["services"])) == (5, 12, 5)
    assert f"acceptRemoved: {held['digest']}" in held["remedy"]
    site.list_backends(web=[ONE])  # nothing of it is applied: all are served
    for name in NAMES:
        site.wait_for_endpoints(name, {ONE: True})
    configure(site, *map(line, NAMES[:7]), more=f"acceptRemoved: {held['digest']}\n")
    reloaded = run.wait_for_line("reloaded", removed=5)
    gone(site, run, NAMES[7:])
    assert (at(run.lines("orphan-removed")[0]) - at(reloaded)).total_seconds() > 29
    assert all(site.endpoints(name) == {ONE: True} for name in NAMES[:7])
    assert not run.lines("orphans-kept")


def test_the_same_digest_accepts_it_after_a_restart(site: Site) -> None:
    run = serve(site, *NAMES)
    configure(site, *map(line, NAMES[:7]))
    held = run.wait_for_line("reload-held")
    run.stop()
    run = site.start()
    kept = run.wait_for_line("orphans-kept", timeout=45)
    assert (kept["count"], kept["of"], kept["digest"]) == (5, 12, held["digest"])
    assert site.endpoints(NAMES[-1]) == BOTH
    configure(site, *map(line, NAMES[:7]), more=f"acceptRemoved: {held['digest']}\n")
    gone(site, run, NAMES[7:])
    assert all(site.endpoints(name) == BOTH for name in NAMES[:7])


def gone(site: Site, run: Run, names: Iterable[str]) -> None:
    wanted = {f"{site.namespace}/{name}" for name in names}
    wait_for(
        lambda: {entry["service"] for entry in run.lines("orphan-removed")} == wanted,
        45,
        f"the end of what was published for {wanted}",
    )
    assert all(site.endpoints(name) is None and not site.own_slices(name) for name in names)
