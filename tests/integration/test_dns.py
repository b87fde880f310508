"""The DNS source on a real server and a real API server: from the fault to what is published.

Nothing is confirmed here (`confirm: none`): what holds is the source, which doesn't know.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from tests.integration.recorder import recording
from tests.integration.site import Run, Site
from tests.lab import AuditRecord, Lab, wait_for
from tests.lab.dns_script import Said
from tests.lab.dns_servers import Knot, Scripted

WEB = "- {service: NS/web, port: 80, from: {source: dns, name: web.test}, confirm: none}"
PATIENCE_S = 30.0

ports = itertools.count(5301)


@pytest.fixture
def knot(lab: Lab) -> Iterator[Knot]:
    made = Knot(lab.state, lab.namespace, next(ports))
    yield made
    made.stop()


@pytest.fixture
def second_knot(lab: Lab) -> Iterator[Knot]:
    made = Knot(lab.state, lab.namespace, next(ports))
    yield made
    made.stop()


@pytest.fixture
def scripted(lab: Lab) -> Iterator[Scripted]:
    made = Scripted(lab.state, lab.namespace, next(ports))
    yield made
    made.stop()


def a(*numbers: int) -> list[str]:
    """Return records of web.test for a zone."""
    return [f"web 1 A 10.91.0.{number}" for number in numbers]


def said(*numbers: int, **more: object) -> Said:
    """Return an answer of a script."""
    return {"answer": [f"web.test 1 A 10.91.0.{number}" for number in numbers], **more}


def ready(*numbers: int) -> dict[str, bool]:
    return {f"10.91.0.{number}:80": True for number in numbers}


def configure(
    site: Site,
    *servers: Knot | Scripted,
    services: str = WEB,
    interval: str = "2s",
    nxdomain_after: str = "30s",
) -> None:
    """Have these servers asked for what `services` map."""
    named = ", ".join(f"'{server.server}'" for server in servers)
    options = f"interval: {interval}, timeout: 1s, nxdomainAfter: {nxdomain_after}"
    source = f"dns: {{type: dns, servers: [{named}], {options}}}"
    site.configure(services, sources=source, health="{type: none}")
    site.service("web")


def wait_for_hold(run: Run, words: str) -> None:
    def told() -> bool:
        return any(words in detail for _, detail in run.holds())

    wait_for(told, PATIENCE_S, lambda: f"a hold of {words!r}; there are {run.holds()}")


def first_writes(site: Site) -> list[AuditRecord]:
    """Return what is written once both forms are: the slices, then the Endpoints."""

    def written() -> list[AuditRecord]:
        writes = site.writes()
        return writes if any(one.resource == "endpoints" for one in writes) else []

    return wait_for(written, PATIENCE_S, "a write of the Endpoints")


# --- rows 1, 2, 7 and 12: a server that doesn't know, or doesn't answer --------------------------

FAULTS: dict[str, tuple[Callable[[Knot], None], Callable[[Knot], None], str]] = {
    "refused connection": (Knot.stop, Knot.resume, "Connection refused"),
    "timeout": (lambda knot: knot.process.freeze(), lambda knot: knot.process.thaw(), "no answer"),
    "REFUSED": (Knot.forget_zone, Knot.remember_zone, "REFUSED"),
    "SERVFAIL": (Knot.expire_zone, Knot.remember_zone, "SERVFAIL"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_row_01_07_12_what_is_published_stays(site: Site, knot: Knot, fault: str) -> None:
    begins, ends, words = FAULTS[fault]
    knot.start(*a(1, 2, 3))
    configure(site, knot)
    run = site.start()
    site.wait_for_served("web", ready(1, 2, 3))
    before = first_writes(site)
    begins(knot)
    wait_for_hold(run, words)
    assert site.served("web") == ready(1, 2, 3)
    assert site.writes() == before
    ends(knot)
    knot.serve(*a(2, 3, 4))
    site.wait_for_served("web", ready(2, 3, 4))


@pytest.mark.parametrize("fault", FAULTS)
def test_row_02_a_restart_meanwhile_takes_nothing_away(site: Site, knot: Knot, fault: str) -> None:
    begins, ends, words = FAULTS[fault]
    knot.start(*a(1, 2, 3))
    configure(site, knot)
    run = site.start()
    site.wait_for_served("web", ready(1, 2, 3))
    before = first_writes(site)
    run.kill()
    begins(knot)
    wait_for_hold(site.start(), words)
    assert site.served("web") == ready(1, 2, 3)
    assert site.writes() == before
    ends(knot)
    knot.serve(*a(3))
    site.wait_for_served("web", ready(3))


@pytest.mark.parametrize("fault", FAULTS)
def test_row_12_another_server_knows(site: Site, knot: Knot, second_knot: Knot, fault: str) -> None:
    for one in (knot, second_knot):
        one.start(*a(1))
    configure(site, knot, second_knot)
    run = site.start()
    site.wait_for_served("web", ready(1))
    FAULTS[fault][0](knot)
    second_knot.serve(*a(2))
    site.wait_for_served("web", ready(2))
    assert run.lines("source-unknown") == []


def test_row_07_a_server_that_trickles_holds_up_nothing_else(
    site: Site, knot: Knot, scripted: Scripted
) -> None:
    knot.start(*a(1))
    scripted.start({"slow.test A": {"answer": ["slow.test 1 A 10.91.0.9"]}})
    slow = "- {service: NS/slow, port: 80, from: {source: slow, name: slow.test}, confirm: none}"
    site.configure(
        f"{WEB}\n{slow}",
        sources=(
            f"dns: {{type: dns, servers: ['{knot.server}']}}\n"
            f"slow: {{type: dns, servers: ['{scripted.server}'], timeout: 1s}}"
        ),
        health="{type: none}",
    )
    for name in ("web", "slow"):
        site.service(name)
    run = site.start()
    site.wait_for_served("web", ready(1))
    site.wait_for_served("slow", ready(9))
    trickle = {"answer": ["slow.test 1 A 10.91.0.8"], "truncated": "udp", "fault": "trickle"}
    scripted.says({"slow.test A": trickle})
    for number in (2, 3, 4):
        knot.serve(*a(number))
        site.wait_for_served("web", ready(number))
    wait_for_hold(run, "no answer within")
    assert site.served("slow") == ready(9)


# --- row 13: NXDOMAIN ----------------------------------------------------------------------------


def test_row_13_a_name_that_is_gone_is_believed_after_a_while(site: Site, knot: Knot) -> None:
    knot.start(*a(1, 2))
    configure(site, knot, nxdomain_after="4s")
    run = site.start()
    site.wait_for_served("web", ready(1, 2))
    gone_at = time.monotonic()
    knot.serve("other 1 A 10.91.0.9")
    wait_for_hold(run, "there is no name web.test (NXDOMAIN)")
    site.wait_for_served("web", {})
    assert time.monotonic() - gone_at > 4
    knot.serve(*a(1))
    site.wait_for_served("web", ready(1))


def test_row_13_a_name_that_comes_back_was_never_gone(site: Site, knot: Knot) -> None:
    knot.start(*a(1, 2))
    configure(site, knot)
    run = site.start()
    site.wait_for_served("web", ready(1, 2))
    with recording(site, "web") as recorded:
        knot.serve("other 1 A 10.91.0.9")
        wait_for_hold(run, "there is no name web.test (NXDOMAIN)")
        knot.serve(*a(1, 2, 3))
        site.wait_for_served("web", ready(1, 2, 3))
    assert recorded.gaps(frozenset(ready(1, 2))) == []


def test_row_03_once_nxdomain_is_believed_it_is_still_to_be_confirmed(
    site: Site, knot: Knot
) -> None:
    knot.start(*a(1))
    services = WEB.replace("confirm: none", "confirm: {answers: 2, for: 2s}")
    configure(site, knot, nxdomain_after="2s", services=services)
    run = site.start()
    site.wait_for_served("web", ready(1))
    knot.serve("other 1 A 10.91.0.9")
    wait_for_hold(run, "is believed after 2 answers over 2 s")
    site.wait_for_served("web", {})


def test_a_name_without_records_is_an_answer(site: Site, knot: Knot) -> None:
    knot.start(*a(1))
    configure(site, knot)
    run = site.start()
    site.wait_for_served("web", ready(1))
    knot.serve("web 1 TXT nobody")
    site.wait_for_served("web", {})
    assert run.lines("source-unknown") == []


# --- row 14: truncated ---------------------------------------------------------------------------


def test_row_14_truncated_over_tcp_too(site: Site, scripted: Scripted) -> None:
    scripted.start({"web.test A": said(1, 2, 3, truncated="udp")})
    configure(site, scripted)
    run = site.start()
    site.wait_for_served("web", ready(1, 2, 3))
    before = first_writes(site)
    scripted.says({"web.test A": said(1, 4, truncated="both")})
    wait_for_hold(run, "the answer is truncated, also over TCP")
    assert site.served("web") == ready(1, 2, 3)
    assert site.writes() == before
    scripted.says({"web.test A": said(1, 4, truncated="udp")})
    site.wait_for_served("web", ready(1, 4))


def test_row_14_what_is_too_long_for_a_datagram_comes_over_tcp(site: Site, knot: Knot) -> None:
    knot.start(*a(*range(1, 201)))
    configure(site, knot)
    site.start()
    site.wait_for_served("web", ready(*range(1, 201)))


# --- row 16: answers that rotate -----------------------------------------------------------------


def test_row_16_partial_answers_rotate(site: Site, scripted: Scripted) -> None:
    healthy = range(1, 7)
    scripted.start({"web.test A": said(*healthy, rotate=2)})
    services = WEB.replace("name: web.test", "name: web.test, window: 10s")
    configure(site, scripted, services=services)
    run = site.start()
    site.wait_for_served("web", ready(*healthy))
    with recording(site, "web") as recorded:
        run.kill()
        scripted.says({"web.test A": said(*range(1, 8), rotate=2)})
        site.start()
        site.wait_for_served("web", ready(*range(1, 8)))
        scripted.says({"web.test A": said(*healthy, rotate=2)})
        site.wait_for_served("web", ready(*healthy))
    assert recorded.gaps(frozenset(ready(*healthy))) == []


# --- what is read --------------------------------------------------------------------------------


def test_a_change_is_seen_when_the_ttl_ends(site: Site, knot: Knot) -> None:
    knot.start(*a(1))
    configure(site, knot, interval="10m")
    site.start()
    for number in (1, 2, 3):
        knot.serve(*a(number))
        site.wait_for_served("web", ready(number))


def test_both_families(site: Site, knot: Knot) -> None:
    knot.start(*a(1), "web 1 AAAA fd00:91::1")
    services = WEB.replace("name: web.test", "name: web.test, type: both")
    configure(site, knot, services=services)
    site.service("web", ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="RequireDualStack")
    site.start()
    site.wait_for_served("web", {**ready(1), "fd00:91::1:80": True})


def test_srv_gives_ports_and_tiers(site: Site, knot: Knot) -> None:
    knot.start(
        "_db._tcp 1 SRV 10 1 5432 a",
        "_db._tcp 1 SRV 10 1 5433 b",
        "_db._tcp 1 SRV 20 1 5434 a",
        "a 1 A 10.91.0.1",
        "b 1 A 10.91.0.2",
    )
    services = "- {service: NS/web, from: {source: dns, name: _db._tcp.test, type: SRV}}"
    configure(site, knot, services=services)
    site.start()
    site.wait_for_served("web", {"10.91.0.1:5432": True, "10.91.0.2:5433": True})


def test_an_alias_and_a_name_of_another_zone(site: Site, scripted: Scripted) -> None:
    scripted.start(
        {
            "web.test A": {"answer": ["web.test 1 CNAME web.elsewhere."]},
            "web.elsewhere A": {"answer": ["web.elsewhere 1 A 10.91.0.1"]},
        }
    )
    configure(site, scripted)
    site.start()
    site.wait_for_served("web", ready(1))
