"""The HTTP source on a real server, from what befalls that to what a real API server holds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.site import Run, Site
from tests.lab import wait_for

SERVER = Path(__file__).parents[1] / "lab" / "list_server.py"
TIMEOUT_S = 2
PATIENCE_S = 30.0
ONE, TWO, THREE = ({f"10.91.0.{n}:80": True for n in range(1, last + 1)} for last in (1, 2, 3))


class Lister:
    """A server that lists backends, and the Service `web` that is to have them."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.port = 18_000 + int(site.user.removeprefix("registrar-"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv: list[str | Path] = [
            sys.executable,
            "-I",
            "-S",
            SERVER,
            str(self.port),
            self.site.folder,
        ]
        self._process = self.site.lab.spawn(argv)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def list(self, *addresses: str, **labels: str) -> None:
        groups = [{"targets": addresses, "labels": labels}]
        self.site.write("list.json", json.dumps(groups))

    def behave(self, behaviour: str = "") -> None:
        self.site.write("behaviour", behaviour)

    def configure(self, services: str = "") -> None:
        url = f"http://10.90.0.1:{self.port}/"
        options = f"urls: ['{url}'], interval: 1s, timeout: {TIMEOUT_S}s"
        self.site.configure(
            "- {service: NS/web, from: {source: list, labels: {role: web}}}\n" + services,
            sources=f"list: {{type: http, {options}}}",
            health="{type: none}",
        )


@pytest.fixture
def lister(site: Site) -> Iterator[Lister]:
    made = Lister(site)
    site.service("web")
    made.list(*TWO, role="web")
    made.configure()
    made.start()
    yield made
    made.kill()


def assert_held(site: Site, run: Run, error: str, writes: int) -> None:
    """Assert that the failure is seen, more than once, and that nothing comes of it."""
    line = run.wait_for_line("source-unknown", PATIENCE_S, source="list")
    wait_for(
        lambda: any(error in one["error"] for one in run.lines("source-unknown")),
        PATIENCE_S,
        lambda: f"{error!r}; said: {run.lines('source-unknown')}",
    )
    assert "\n" not in line["error"]
    assert site.endpoints("web") == TWO
    assert site.served("web") == TWO
    assert len(site.writes()) == writes
    assert run.is_running


def test_its_list_is_published_and_followed(site: Site, lister: Lister) -> None:
    site.start()
    site.wait_for_served("web", TWO)
    lister.list(*THREE, role="web")
    site.wait_for_served("web", THREE)


def test_a_server_that_is_down_takes_nothing_away(site: Site, lister: Lister) -> None:
    run = site.start()
    site.wait_for_served("web", TWO)
    site.wait_for_endpoints("web", TWO)
    writes = len(site.writes())
    lister.kill()
    assert_held(site, run, "can't be reached: Connection refused", writes)
    lister.list(*THREE, role="web")
    lister.start()
    site.wait_for_served("web", THREE)
    run.wait_for_line("source-recovered", PATIENCE_S, source="list")


def test_a_server_that_is_down_at_the_start_leaves_what_is_published(
    site: Site, lister: Lister
) -> None:
    run = site.start()
    site.wait_for_served("web", TWO)
    site.wait_for_endpoints("web", TWO)
    run.kill()
    lister.kill()
    writes = len(site.writes())
    run = site.start()
    run.wait_for_line("running", PATIENCE_S)
    assert_held(site, run, "can't be reached: Connection refused", writes)
    lister.list(*THREE, role="web")
    lister.start()
    site.wait_for_served("web", THREE)


@pytest.mark.parametrize("behaviour", ["hang", "trickle"])
def test_a_server_that_hangs_costs_its_deadline_and_others_nothing(
    site: Site, lister: Lister, behaviour: str
) -> None:
    lister.configure("- {service: NS/other, from: {source: files, group: other}}")
    site.service("other")
    site.list_backends(other=[*ONE])
    run = site.start()
    site.wait_for_served("web", TWO)
    site.wait_for_endpoints("web", TWO)
    site.wait_for_endpoints("other", ONE)
    writes = len(site.writes())
    lister.behave(behaviour)
    assert_held(site, run, f"no answer within {TIMEOUT_S} s", writes)
    for wanted in (TWO, THREE):
        site.list_backends(other=[*wanted])
        site.wait_for_served("other", wanted)
    assert site.served("web") == TWO
    lister.list(*THREE, role="web")
    lister.behave()
    site.wait_for_served("web", THREE)


def test_an_answer_of_hundreds_of_megabytes_is_not_read_to_its_end(
    site: Site, lister: Lister
) -> None:
    run = site.start()
    site.wait_for_served("web", TWO)
    site.wait_for_endpoints("web", TWO)
    writes, before = len(site.writes()), peak_mb(run)
    lister.behave("huge")
    assert_held(site, run, "the answer is larger than 33,554,432 bytes", writes)
    assert peak_mb(run) - before < 150, "of 600 MB that it was sent"
    lister.list(*THREE, role="web")
    lister.behave()
    site.wait_for_served("web", THREE)


def peak_mb(run: Run) -> float:
    """Return the most memory that a process has had."""
    status = Path(f"/proc/{run.process.pid}/status").read_text()
    found = re.search(r"^Name:\s+(\S+).*^VmHWM:\s+(\d+) kB", status, re.DOTALL | re.MULTILINE)
    assert found is not None
    assert "python" in found[1] or "registrar" in found[1], f"it is {found[1]} that is measured"
    return int(found[2]) / 1000


def test_a_list_that_names_nothing_is_believed_once_confirmed(site: Site, lister: Lister) -> None:
    run = site.start()
    site.wait_for_served("web", TWO)
    lister.list(role="web")
    wait_for(lambda: run.lines("hold"), PATIENCE_S, "a Hold of the removal")
    assert site.served("web") == TWO
