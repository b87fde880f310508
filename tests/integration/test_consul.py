"""From a fault of a real Consul to what a real API server holds.

Nothing is confirmed here, but where a test is about that: one wrong answer would be published.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.site import Run, Site
from tests.lab import Lab, consul, wait_for
from tests.lab.consul import Agent

READER = """
service_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
"""
BLIND = """
service "other" { policy = "read" }
node_prefix "" { policy = "read" }
"""
POLLED = {"interval": "1s", "timeout": "3s"}
WATCHED = {"interval": "1h"}
ONE, TWO, THREE = ("10.90.0.7", "10.90.0.8", "10.90.0.9")
WEB = "- {service: NS/web, from: {source: consul, service: web}, confirm: none}"


@pytest.fixture
def agent(lab: Lab) -> Iterator[Agent]:
    with consul.alone(lab) as running:
        running.policy("reader", READER)
        yield running


@pytest.fixture
def servers(lab: Lab) -> Iterator[tuple[Agent, ...]]:
    with consul.three(lab) as running:
        yield running


def configure(site: Site, services: str, *urls: str, token: str = "", **options: str) -> None:
    """Write a configuration without health checks, whose source `consul` asks these agents."""
    if token:
        site.write("token", token)
        options["tokenFile"] = "token"
    given = "".join(f", {name}: {value}" for name, value in options.items())
    source = f"consul: {{type: consul, url: [{', '.join(urls)}]{given}}}"
    site.configure(services, sources=source, health="{type: none}")


def at(*addresses: str) -> dict[str, bool]:
    return {f"{address}:80": True for address in addresses}


def wait_until_unknown(run: Run, words: str, *, after: int = 0, timeout: float = 30) -> None:
    """Wait until registrar says that it doesn't know, and why."""

    def look() -> bool:
        lines = run.lines("source-unknown")[after:]
        return any(words in line["error"] for line in lines)

    wait_for(look, timeout, lambda: f"{words!r} in {run.lines('source-unknown')}")


# --- what is seen ----------------------------------------------------------------------------


def test_a_change_is_published_by_the_watch(site: Site, agent: Agent) -> None:
    for name in ("web", "primary", "green"):
        site.service(name)
    _, token = agent.token("reader")
    configure(
        site,
        "- {service: NS/web, from: {source: consul, service: web}}\n"
        "- {service: NS/primary, from: {source: consul, service: web, tags: [primary, a]}}\n"
        "- service: NS/green\n"
        "  from: {source: consul, service: web, filter: 'Service.Meta.colour == green'}\n",
        agent.url,
        token=token,
        **WATCHED,
    )
    agent.register("web", ONE, Tags=["a", "primary"])
    agent.register("web", TWO, Tags=["a"], Meta={"colour": "green"})
    run = site.start()
    site.wait_for_endpoints("web", at(ONE, TWO))
    site.wait_for_endpoints("primary", at(ONE))
    site.wait_for_endpoints("green", at(TWO))
    third = agent.register("web", THREE, Tags=["primary", "a"], Meta={"colour": "green"})
    site.wait_for_endpoints("web", at(ONE, TWO, THREE))
    site.wait_for_endpoints("primary", at(ONE, THREE))
    site.wait_for_endpoints("green", at(TWO, THREE))
    agent.deregister(third)
    site.wait_for_endpoints("web", at(ONE, TWO))
    assert not run.lines("source-unknown")
    assert not run.lines("watch-lost")


def test_what_the_checks_of_consul_say(site: Site, agent: Agent) -> None:
    for name in ("judged", "omitted"):
        site.service(name)
    _, token = agent.token("reader")
    services = (
        "- service: NS/judged\n"
        "  from: {source: consul, service: web, warning: down}\n"
        "  health: {type: source}\n"
        "- service: NS/omitted\n"
        "  from: {source: consul, service: web, critical: omit, warning: omit}\n"
        "  confirm: none\n"
    )
    configure(site, services, agent.url, token=token, **WATCHED)
    for address in (ONE, TWO):
        check = {"TTL": "1h", "CheckID": f"ttl-{address}", "Status": "passing"}
        agent.register("web", address, Check=check)
    site.start()
    for status in ("critical", "warning"):
        for name in ("judged", "omitted"):
            site.wait_for_endpoints(name, at(ONE, TWO))
        agent.check(f"ttl-{TWO}", status)
        site.wait_for_endpoints("judged", {f"{ONE}:80": True, f"{TWO}:80": False})
        site.wait_for_endpoints("omitted", at(ONE))
        agent.check(f"ttl-{TWO}", "passing")


def test_an_instance_in_maintenance_drains(site: Site, agent: Agent) -> None:
    site.service("web")
    _, token = agent.token("reader")
    configure(site, WEB, agent.url, token=token, **WATCHED)
    agent.register("web", ONE)
    two = agent.register("web", TWO)
    site.start()
    site.wait_for_endpoints("web", at(ONE, TWO))
    agent.put(f"agent/service/maintenance/{two}?enable=true")
    site.wait_for_served("web", {f"{ONE}:80": True, f"{TWO}:80": False})
    (conditions,) = (
        endpoint["conditions"]
        for one in site.slices("web")
        for endpoint in one["endpoints"]
        if endpoint["addresses"] == [TWO]
    )
    assert conditions == {"ready": False, "serving": True, "terminating": True}
    agent.put(f"agent/service/maintenance/{two}?enable=false")
    site.wait_for_served("web", at(ONE, TWO))


def test_where_an_instance_is(site: Site, agent: Agent) -> None:
    """Its own address or its node's; a tagged one; no name, no missing port."""
    for name in ("web", "wan"):
        site.service(name, ports=[{"port": 80}])
    _, token = agent.token("reader")
    configure(
        site,
        "- {service: NS/web, from: {source: consul, service: web}}\n"
        "- {service: NS/wan, from: {source: consul, service: web, taggedAddress: wan}}\n",
        agent.url,
        token=token,
        **WATCHED,
    )
    agent.register("web", ONE, port=0, TaggedAddresses={"wan": {"Address": "192.0.2.7", "Port": 9}})
    agent.put(
        "catalog/register",
        Node="n2",
        Address=TWO,
        TaggedAddresses={"wan": "192.0.2.8"},
        Service={"Service": "web", "Port": 80},
    )
    agent.register("web", "db1.example")
    run = site.start()
    site.wait_for_endpoints("web", at(ONE, TWO))
    site.wait_for_endpoints("wan", {"192.0.2.7:9": True, "192.0.2.8:80": True})
    run.wait_for_line(
        "record-dropped",
        reason="'web-db1.example on consul' has the address 'db1.example', which is no IP address",
    )


def test_tls_with_a_certificate_of_the_client(site: Site, agent: Agent, lab: Lab) -> None:
    site.service("web")
    _, token = agent.token("reader")
    agent.register("web", ONE)
    folder = lab.state / "consul-certs"
    tls = f"caFile: {folder}/ca.pem, serverName: {consul.NAME}"
    configure(site, WEB, agent.tls_url, token=token, tls=f"{{{tls}}}", **POLLED)
    run = site.start()
    wait_until_unknown(run, agent.tls_url)  # which wants to know who we are
    run.stop()
    client = f"certFile: {folder}/client.pem, keyFile: {folder}/client.key"
    configure(site, WEB, agent.tls_url, token=token, tls=f"{{{tls}, {client}}}", **WATCHED)
    site.start()
    site.wait_for_endpoints("web", at(ONE))
    agent.register("web", TWO)
    site.wait_for_endpoints("web", at(ONE, TWO))


# --- rows 1, 2 and 7: an agent that is gone, or hangs ------------------------------------------


@pytest.mark.parametrize("how", ["killed", "terminated", "frozen"])
def test_an_agent_that_is_gone_takes_nothing_away(site: Site, agent: Agent, how: str) -> None:
    site.service("web")
    _, token = agent.token("reader")
    configure(site, WEB, agent.url, token=token, **POLLED)
    agent.register("web", ONE)
    run = site.start()
    site.wait_for_endpoints("web", at(ONE))
    written = len(site.writes())
    if how == "frozen":
        agent.process.freeze()
        wait_until_unknown(run, "no answer within 3 s")
    else:
        agent.process.stop(signal.SIGKILL if how == "killed" else signal.SIGTERM)
        wait_until_unknown(run, "can't be reached")
    assert site.endpoints("web") == at(ONE)
    # A new process knows no more, and adopts what is there.
    run.stop()
    again = site.start()
    again.wait_for_line("source-unknown")
    again.wait_for_line("hold", reason="source-unknown")
    assert site.endpoints("web") == at(ONE)
    assert len(site.writes()) == written
    if how == "frozen":
        agent.process.thaw()
    else:
        agent.process.start()
        agent.wait_until_ready()
    agent.register("web", TWO)
    site.wait_for_endpoints("web", at(ONE, TWO), timeout=30)


def test_another_agent_is_asked_meanwhile(site: Site, servers: tuple[Agent, ...]) -> None:
    site.service("web")
    leader = _leader_of(servers)
    first, second = (one for one in servers if one is not leader)
    configure(site, WEB, first.url, second.url, leader.url, interval="1s", timeout="3s")
    second.register("web", ONE)
    site.start()
    site.wait_for_endpoints("web", at(ONE))
    first.process.freeze()
    second.register("web", TWO)
    site.wait_for_endpoints("web", at(ONE, TWO), timeout=30)


def _leader_of(servers: tuple[Agent, ...]) -> Agent:
    return next(one for one in servers if one.leader.startswith(f"{one.address}:"))


# --- row 17: the index goes back ---------------------------------------------------------------


def test_a_consul_that_has_forgotten_everything(site: Site, agent: Agent) -> None:
    """Its answers are empty until whoever registers does so again: that is confirmed first."""
    site.service("web")
    configure(
        site,
        "- {service: NS/web, from: {source: consul, service: web}}",
        agent.url,
        token=consul.MANAGEMENT,  # which alone outlives it
        **WATCHED,
    )
    for number in range(50):
        agent.register("noise", f"10.90.1.{number}")  # so that the index is far ahead
    agent.register("web", ONE)
    run = site.start()
    site.wait_for_endpoints("web", at(ONE))
    written = len(site.writes())
    agent.forget()
    agent.wait_until_ready()
    run.wait_for_line("hold", timeout=45, reason="removals-unconfirmed")
    assert site.endpoints("web") == at(ONE)
    agent.register("web", ONE)
    run.wait_for_line("hold-ended", timeout=30)
    assert site.endpoints("web") == at(ONE)
    assert len(site.writes()) == written
    agent.register("web", TWO)
    site.wait_for_endpoints("web", at(ONE, TWO), timeout=30)


# --- row 18: no leader ---------------------------------------------------------------------------


def test_servers_without_a_leader_take_nothing_away(site: Site, servers: tuple[Agent, ...]) -> None:
    site.service("web")
    leader = _leader_of(servers)
    asked, other = (one for one in servers if one is not leader)
    asked.register("web", ONE)
    configure(site, WEB, asked.url, interval="1s", timeout="10s")
    run = site.start()
    site.wait_for_endpoints("web", at(ONE))
    # The other two elect one.
    leader.process.stop()
    wait_for(lambda: asked.leader not in {"", f"{leader.address}:8300"}, 30, "another leader")
    asked.register("web", TWO)
    site.wait_for_endpoints("web", at(ONE, TWO), timeout=30)
    # One alone can't.
    written, known = len(site.writes()), len(run.lines("source-unknown"))
    other.process.stop()
    # A server takes its time to see that there is no leader: until then it fails otherwise.
    wait_until_unknown(run, "leader", after=known, timeout=90)
    assert site.endpoints("web") == at(ONE, TWO)
    assert len(site.writes()) == written
    for one in (leader, other):
        one.process.start()
    for one in servers:
        one.wait_until_ready()
    asked.register("web", THREE)
    site.wait_for_endpoints("web", at(ONE, TWO, THREE), timeout=45)


# --- row 19: rights taken away -------------------------------------------------------------------


def test_results_that_acls_hide_take_nothing_away(site: Site, agent: Agent) -> None:
    site.service("web")
    _, token = agent.token("reader")
    configure(site, WEB, agent.url, token=token, interval="1s", timeout="3s", wait="1s")
    agent.register("web", ONE)
    run = site.start()
    site.wait_for_endpoints("web", at(ONE))
    written = len(site.writes())
    agent.policy("reader", BLIND)
    wait_until_unknown(run, "ACLs hide a part of the answer")
    # A blocking query is told of an empty service here, without a word of ACLs.
    told = wait_for(lambda: _told_blind(agent, token), 30, "an empty view")
    assert told is not None
    assert "X-Consul-Results-Filtered-By-ACLs" not in told.headers
    assert _told_by_view(agent, token, told.headers["X-Consul-Index"]), "longer than ours"
    agent.register("web", TWO)
    assert site.endpoints("web") == at(ONE)
    assert len(site.writes()) == written
    agent.policy("reader", READER)
    site.wait_for_endpoints("web", at(ONE, TWO), timeout=30)


def _told_blind(agent: Agent, token: str) -> httpx.Response | None:
    """Return what a view tells that has lost its rights; have it lose them once more if it hasn't.

    A subscription of Consul's that begins just as the policy changes may miss that change.
    """
    told = _told_by_view(agent, token, "1")
    if told is None:
        agent.policy("reader", BLIND)
    return told


def _told_by_view(agent: Agent, token: str, index: str) -> httpx.Response | None:
    """Return what a blocking query of 3 s is told, once that is nothing."""
    told = agent.api.get(
        "health/service/web",
        headers={"X-Consul-Token": token},
        params={"index": index, "wait": "3s"},
    )
    return None if told.raise_for_status().json() else told


def test_a_deleted_token_takes_nothing_away_and_another_is_taken_up(
    site: Site, agent: Agent
) -> None:
    site.service("web")
    accessor, token = agent.token("reader")
    configure(site, WEB, agent.url, token=token, **POLLED)
    agent.register("web", ONE)
    run = site.start()
    site.wait_for_endpoints("web", at(ONE))
    agent.delete_token(accessor)
    wait_until_unknown(run, "ACL not found")
    assert site.endpoints("web") == at(ONE)
    agent.register("web", TWO)
    _, another = agent.token("reader")
    new = site.write("new-token", another)
    os.replace(new, site.folder / "token")  # noqa: PTH105  as a rotation does
    site.wait_for_endpoints("web", at(ONE, TWO), timeout=30)
    said = run.log.read_text()
    assert token not in said
    assert another not in said


def test_without_a_token_where_acls_deny_nothing_is_known(site: Site, agent: Agent) -> None:
    site.service("web")
    configure(site, WEB, agent.url, **POLLED)
    agent.register("web", ONE)
    run = site.start()
    wait_until_unknown(run, "an empty answer says nothing where ACLs deny by default")
    assert site.endpoints("web") is None
