"""Rows 33 and 34: what fails is registrar's own, and its backends pay for it with nothing.

It can reach the API server all the while, so that what it wrongly took for down would be written.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import TypeAlias

import httpx
import pytest

from tests.integration.site import Run, Site, place
from tests.lab import Backend, Lab, wait_for
from tests.lab.machine import BRIDGE

SERVICES = """\
- {service: NS/web, from: {source: files, group: web}}
- {service: NS/calm, from: {source: files, group: calm}}
"""
FALL = 2
QUICK = f"{{type: tcp, interval: 250ms, timeout: 200ms, rise: 2, fall: {FALL}}}"
"""Long before a canary, which is asked every 2 s, is known to be out of reach it would be over."""

LOST = f"""\
table inet lost {{
  chain in {{ type filter hook prerouting priority -300; iifname {BRIDGE} drop; }}
}}
"""
ROUTE = f"10.90.0.0/24 dev {BRIDGE} proto kernel scope link src 10.90.0.1"


class Meter:
    """What registrar counts, over one connection: a second one may be more than it can take."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        assert self("self_preservation") == 0

    def __call__(self, name: str) -> int:
        """Return a figure of /metrics."""
        text = self._client.get("/metrics").raise_for_status().text
        found = re.search(rf"^registrar_{re.escape(name)} (\S+)$", text, re.MULTILINE)
        assert found, f"no {name} in {text}"
        return int(float(found[1]))

    def writes(self) -> int:
        """Return how many writes have been answered."""
        text = self._client.get("/metrics").raise_for_status().text
        each = re.findall(r"^registrar_writes_total{.*} (\S+)$", text, re.MULTILINE)
        return sum(int(float(count)) for count in each)

    def checks(self, outcome: str) -> int:
        """Return how many checks have ended so."""
        return self(f'checks_total{{outcome="{outcome}",type="tcp"}}')

    def wait_for_checks(self, outcome: str, more: int) -> None:
        """Wait until so many more checks have ended so."""
        enough = self.checks(outcome) + more
        wait_for(lambda: self.checks(outcome) >= enough, 60, f"{more} checks more {outcome}")


@contextmanager
def published(
    site: Site, health: str, more: str = ""
) -> Iterator[tuple[Run, Meter, list[Backend]]]:
    """Have three backends published as ready; the last one, which is to die, by one Service."""
    backends = [site.backend(f"b{n}") for n in range(3)]
    site.service("web")
    site.service("calm")
    site.configure(SERVICES, more=f"admin: {{socket: admin}}\n{more}", health=health)
    site.list_backends(web=backends, calm=backends[:-1])
    run = site.start()
    site.wait_for_endpoints("web", dict.fromkeys(map(place, backends), True))
    site.wait_for_endpoints("calm", dict.fromkeys(map(place, backends[:-1]), True))
    transport = httpx.HTTPTransport(uds=str(site.folder / "admin"))
    with httpx.Client(transport=transport, base_url="http://registrar", timeout=30) as client:
        meter = Meter(client)
        # A record of the audit may come a moment after its answer.
        wait_for(lambda: len(site.writes()) == meter.writes(), 30, "the audit's records")
        yield run, meter, backends


def expect_nothing_new(site: Site, run: Run, backends: list[Backend], writes: int) -> None:
    """Assert that nobody was judged anew, and nothing written, since all were found to be up."""
    assert {line["verdict"] for line in run.lines("verdict")} == {"up"}
    assert site.endpoints("web") == dict.fromkeys(map(place, backends), True)
    assert len(site.writes()) == writes


def expect_the_dead_one_to_go(site: Site, run: Run, backends: list[Backend]) -> None:
    """Wait until the last backend is not ready."""
    dead = backends[-1]
    site.wait_for_endpoints("web", {place(b): b is not dead for b in backends})
    (line,) = [line for line in run.lines("verdict") if line["verdict"] != "up"]
    said = f"{dead.address} port {dead.port}"
    assert (line["backend"], line["reason"]) == (said, "connection refused")


def expect_no_write_but_for_the_dead_one(site: Site, writes: int) -> None:
    """Assert that the slice and the Endpoints with the dead one are all that was written anew."""

    def later() -> list[tuple[str, str, str]]:
        return [(w.verb, w.resource, w.name[:3]) for w in site.writes()[writes:]]

    wait_for(lambda: len(later()) >= 2, 30, "the audit's records")
    assert later() == [("update", "endpointslices", "web"), ("update", "endpoints", "web")]


# --- row 33 ------------------------------------------------------------------------------------


@contextmanager
def everything_lost(lab: Lab) -> Iterator[None]:
    """Lose whatever comes from the network without a word."""
    lab.run(["nft", "-f", "-"], stdin=LOST).check_returncode()
    try:
        yield
    finally:
        lab.run(["nft", "delete", "table", "inet", "lost"]).check_returncode()


def test_our_own_network_is_dead(site: Site) -> None:
    canary = place(site.backend("canary"))
    more = f"selfPreservation: {{canary: ['{canary}'], maxHold: 1s}}\n"
    with published(site, QUICK, more) as (run, meter, backends):
        writes = len(site.writes())
        with everything_lost(site.lab):
            backends[-1].kill()
            run.wait_for_line("self-preservation")
            for name in ("web", "calm"):
                service = f"{site.namespace}/{name}"
                run.wait_for_line("hold", service=service, reason="self-preservation")
            assert meter("self_preservation") == 1
            # Without a canary it would last for 1 s, which are four checks, and `fall` after that.
            meter.wait_for_checks("silent", (4 + FALL + 2) * len(backends))
            expect_nothing_new(site, run, backends, writes)
            assert run.lines("self-preservation-ended") == []
        expect_the_dead_one_to_go(site, run, backends)
        run.wait_for_line("self-preservation-ended")
        for name in ("web", "calm"):
            service = f"{site.namespace}/{name}"
            run.wait_for_line("hold-ended", service=service, reason="self-preservation")
        assert meter("self_preservation") == 0
        meter.wait_for_checks("passed", 2 * len(backends))
        expect_no_write_but_for_the_dead_one(site, writes)


# --- row 34, and what else of our own a check may want -----------------------------------------


@contextmanager
def no_descriptors(site: Site, run: Run) -> Iterator[None]:
    """Leave it the descriptors that it has, and no other."""
    del site
    pid = run.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def are_gone() -> bool:
        # A check under way had one, which is free again: then once more.
        taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208  numbers
        lowest = next(number for number in count() if number not in taken)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
        return bool(run.lines("checks-not-run"))

    wait_for(are_gone, 30, "a want of descriptors")
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@contextmanager
def no_route(site: Site, run: Run) -> Iterator[None]:
    """Take our own way to the backends."""
    del run
    site.lab.namespace.ip(f"route del {ROUTE}")
    try:
        yield
    finally:
        site.lab.namespace.ip(f"route add {ROUTE}")


Fault: TypeAlias = Callable[[Site, Run], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("fault", "words"),
    [(no_descriptors, "too many open files"), (no_route, "network is unreachable")],
    ids=["no-descriptors", "no-route"],
)
def test_checks_can_not_be_run(site: Site, fault: Fault, words: str) -> None:
    with published(site, QUICK) as (run, meter, backends):
        writes = len(site.writes())
        with fault(site, run):
            backends[-1].kill()
            line = run.wait_for_line("checks-not-run")
            assert line["reason"] == f"could not be run: {words}"
            wait_for(lambda: meter("checks_not_run") == len(backends), 30, "all to be not run")
            meter.wait_for_checks("unknown", 8 * len(backends))
            expect_nothing_new(site, run, backends, writes)
            assert run.lines("checks-run-again") == []
        run.wait_for_line("checks-run-again")
        assert meter("checks_not_run") == 0
        expect_the_dead_one_to_go(site, run, backends)
        expect_no_write_but_for_the_dead_one(site, writes)
