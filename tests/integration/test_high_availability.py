"""Several replicas on a real API server: one writes, and nobody notices when another takes over."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.recorder import recording, recording_all
from tests.integration.replicas import Replicas, election
from tests.integration.site import Site, place
from tests.lab import wait_for
from tests.lab.fault_proxy import FaultProxy

WEB = "- {service: NS/web, from: {source: files, group: web}, health: {type: none}}"
QUICK = {"leaseDuration": "4s", "renewDeadline": "3s", "retryPeriod": "500ms"}
RENEW_DEADLINE, LEASE = timedelta(seconds=3), timedelta(seconds=4)
TAKEOVER_S, AFTER_SIGTERM_S = 17.0, 2.0
SERVICES = 300
PATIENCE_S = 60.0


def publishes(site: Site, publish: str = "both", **times: str) -> None:
    """Have a site with one Service, whose backends come from the file unchecked."""
    site.service("web")
    site.configure(f"{WEB[:-1]}, publish: {publish}}}", more=election(site, **times))


def lists(site: Site, *addresses: str) -> dict[str, bool]:
    """Have the file list these; return what is to be published then."""
    site.list_backends(web=addresses)
    return dict.fromkeys(addresses, True)


ONE, TWO, THREE = "10.91.0.1:80", "10.91.0.2:80", "10.91.0.3:80"


def test_nothing_is_lost_and_nothing_written_while_300_services_change_hands(site: Site) -> None:
    """A rolling restart of three replicas, then kill -9 of the leader, on a lease of 15 s."""
    backends = [site.backend(f"b{n}") for n in range(3)]
    names = [f"web{n}" for n in range(SERVICES)]
    services = [site.object("v1", "Service", n, spec={"ports": [{"port": 80}]}) for n in names]
    site.lab.apply(*services)
    lines = [f"- {{service: NS/{n}, from: {{source: files, group: web}}}}" for n in names]
    site.configure("\n".join(lines), more=election(site))
    site.list_backends(web=backends)
    healthy = dict.fromkeys(map(place, backends), True)
    replicas = Replicas(site, 3)
    with recording_all(site) as recorded:
        replicas.start()
        wait_for(lambda: recorded.count(healthy) == SERVICES, PATIENCE_S, "all are published")
        before = 2 * SERVICES  # a slice each, and Endpoints
        wait_for(lambda: len(replicas.writes()) >= before, PATIENCE_S, "all writes")
        for replica in replicas.all:
            led, told = replica.leads, datetime.now(UTC)
            assert replica.run.stop() == 0
            if led:
                replicas.leader([replica])
                took = (replicas.acquired_at() - told).total_seconds()
                assert took <= AFTER_SIGTERM_S
            replica.start()
        assert len(replicas.writes()) == before
        leader = replicas.leader()
        died = datetime.now(UTC)
        leader.run.kill()
        backends[0].kill()
        replicas.leader([leader])
        assert (replicas.acquired_at() - died).total_seconds() <= TAKEOVER_S
        assert recorded.gaps(frozenset(map(place, backends[1:]))) == []
        # What the successor has found out while it stood by is published.
        now = {**healthy, place(backends[0]): False}
        wait_for(lambda: recorded.count(now) == SERVICES, PATIENCE_S, "the death is published")
        wait_for(lambda: len(replicas.writes()) >= before + 2 * SERVICES, PATIENCE_S, "the writes")
    assert len(replicas.writes()) == before + 2 * SERVICES
    assert recorded.gaps(frozenset(map(place, backends[1:]))) == []


def test_a_lost_lease_ends_all_writing_while_the_lease_lasts(site: Site, tmp_path: Path) -> None:
    """Only its renewals hang, so whatever else it still wrote would be in the audit log."""
    publishes(site, "endpointslices", **QUICK)
    lists(site, ONE)
    replicas = Replicas(site, 2)
    former, successor = replicas.all
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        former.start(proxy.kubeconfig(former.user))
        replicas.leader()
        successor.start()
        proxy.fault("hold", "update", "leases")
        count = 0

        def changes_until_taken_over() -> bool:
            nonlocal count
            count += 1
            lists(site, ONE, f"10.91.1.{count}:80")
            return successor.leads

        wait_for(changes_until_taken_over, PATIENCE_S, "a takeover", every=0.2)
        wanted = lists(site, ONE, TWO)
        site.wait_for_served("web", wanted)
        former.run.wait_for_line("lead-lost")
        renewed = [w.timestamp for w in former.writes("leases") if w.code < 300][-1]
        written = [w.timestamp for w in former.writes()]
        assert written[-1] > renewed, "it wrote nothing between the last renewal and the end"
        assert written[-1] - renewed <= LEASE
        assert written[-1] < min(w.timestamp for w in successor.writes())


@pytest.mark.parametrize("successor_writes", [True, False])
def test_frozen_in_the_middle_of_a_write(
    site: Site, tmp_path: Path, *, successor_writes: bool
) -> None:
    publishes(site, "endpointslices", **QUICK)
    before = lists(site, ONE)
    replicas = Replicas(site, 2)
    former, successor = replicas.all
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        former.start(proxy.kubeconfig(former.user))
        replicas.leader()
        site.wait_for_served("web", before)
        successor.start()
        held = proxy.fault("hold", "update", "endpointslices", times=1)
        lists(site, ONE, TWO)
        held.wait_until_met()
        former.freeze()
        wanted = lists(site, ONE, THREE) if successor_writes else lists(site, ONE)
        replicas.leader([former])
        site.wait_for_served("web", wanted)
        if successor_writes:
            wait_for(successor.writes, PATIENCE_S, "a write of the successor")
        else:
            assert successor.writes() == []
        with recording(site, "web") as recorded:
            held.end()
            wait_for(lambda: former.writes()[-1:], PATIENCE_S, "the late write")
            late = wait_for(
                lambda: [w for w in former.writes() if w.verb == "update"], PATIENCE_S, "its end"
            )
            former.thaw()
            site.wait_for_served("web", wanted)
            former.run.wait_for_line("lead-lost")
            # Both have looked at everything once a later change is published.
            site.wait_for_served("web", lists(site, *wanted, "10.91.0.9:80"))
        assert [w.code for w in late] == [409 if successor_writes else 200]
        assert {w.user for w in replicas.writes() if w.timestamp > late[0].timestamp} == {
            successor.user
        }
        if not successor_writes:
            put_right = successor.writes()[0]
            assert put_right.timestamp - late[0].timestamp <= timedelta(seconds=1)
        assert all(ONE in seen for seen in recorded.unions)


def test_sigterm_ends_the_write_in_flight_and_gives_the_lease_back(
    site: Site, tmp_path: Path
) -> None:
    publishes(site, "endpointslices")
    before = lists(site, ONE, TWO)
    replicas = Replicas(site, 2)
    former, successor = replicas.all
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        former.start(proxy.kubeconfig(former.user))
        replicas.leader()
        site.wait_for_served("web", before)
        successor.start()
        held = proxy.fault("hold", "update", "endpointslices", times=1)
        wanted = lists(site, ONE, TWO, THREE)
        held.wait_until_met()
        told = time.monotonic()
        former.run.process.send_signal(signal.SIGTERM)
        former.run.wait_for_line("stopping")
        held.end()
        assert former.run.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - told <= AFTER_SIGTERM_S
        site.wait_for_served("web", wanted)
        former.run.wait_for_line("lease-released")
        replicas.leader([former])
        assert [w.verb for w in former.writes()] == ["create", "update"]
        assert successor.writes() == []


def test_sigterm_while_the_api_server_hangs_ends_in_time(site: Site) -> None:
    publishes(site, "endpointslices")
    lists(site, ONE)
    replicas = Replicas(site, 1)
    replicas.start()
    site.wait_for_served("web", {ONE: True})
    site.lab.api_server.freeze()
    try:
        lists(site, ONE, TWO)
        told = time.monotonic()
        assert replicas.all[0].run.stop() == 0
        assert time.monotonic() - told <= AFTER_SIGTERM_S + 0.5
    finally:
        site.lab.api_server.thaw()


def test_a_leader_that_is_cut_off_publishes_nothing_and_stands_by_afterwards(
    site: Site, tmp_path: Path
) -> None:
    publishes(site, **QUICK)
    before = lists(site, ONE)
    replicas = Replicas(site, 2)
    former, successor = replicas.all
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        former.start(proxy.kubeconfig(former.user))
        replicas.leader()
        site.wait_for_endpoints("web", before)
        successor.start()
        off = proxy.fault("break")
        proxy.cut()
        wanted = lists(site, ONE, TWO)
        site.wait_for_endpoints("web", wanted)
        former.run.wait_for_line("lead-lost")
        off.end()
        former.run.wait_for_line("standing-by")
        wanted = lists(site, ONE, TWO, THREE)
        site.wait_for_endpoints("web", wanted)
        assert successor.leads
        verbs = [(w.user, w.verb) for w in replicas.writes()]
        assert verbs == [(former.user, "create")] * 2 + [(successor.user, "update")] * 4


def test_the_missing_right_to_the_lease_is_told_at_the_start(site: Site) -> None:
    publishes(site)
    lists(site, ONE)
    run = site.start()
    assert run.process.wait(PATIENCE_S) == 2
    assert run.log.read_text().splitlines()[-1] == (
        "registrar: no leader can be elected, for this user may not list and watch the Lease "
        f"{site.namespace}/registrar-default; grant config/rbac/lease in its namespace, or "
        "switch it off with `leaderElection: {enabled: false}`"
    )


def test_a_lease_without_a_namespace_is_told_with_its_place(site: Site) -> None:
    site.service("web")
    site.configure(WEB, more="leaderElection: {leaseDuration: 15s}\n")
    lists(site, ONE)
    run = site.start()
    assert run.process.wait(PATIENCE_S) == 2
    file = site.folder / "registrar.yaml"
    line = file.read_text().splitlines().index("leaderElection: {leaseDuration: 15s}") + 1
    assert run.log.read_text().splitlines()[-1] == (
        f"{file}:{line}:1: leaderElection: there is no namespace for the Lease, for this is no "
        "pod; write `namespace: NAMESPACE` there, or `enabled: false`"
    )


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("resource", ["endpointslices", "endpoints"])
def test_killed_at_any_step_of_a_write(
    site: Site, tmp_path: Path, resource: str, *, applied: bool
) -> None:
    site.service("web")
    site.configure(WEB)
    before = lists(site, ONE)
    with FaultProxy.on(site.lab, tmp_path / "proxy") as proxy:
        kubeconfig = proxy.kubeconfig(site.user)
        run = site.start("--kubeconfig", kubeconfig)
        site.wait_for_endpoints("web", before)
        held = proxy.fault("hold", "update", resource, times=1, applied=applied)
        wanted = lists(site, ONE, TWO)
        held.wait_until_met()
        run.kill()
        proxy.cut()
        held.end()
        site.start("--kubeconfig", kubeconfig)
        site.wait_for_endpoints("web", wanted)
        site.wait_for_served("web", wanted)
        # Another look at it finds nothing to write.
        site.list_backends(web=[ONE, TWO], other=[THREE])
        written = len(site.writes())
        site.wait_for_endpoints("web", wanted)
    assert len(site.own_slices("web")) == 1
    assert len([w for w in site.writes() if w.code < 300]) == 4
    assert len(site.writes()) == written
