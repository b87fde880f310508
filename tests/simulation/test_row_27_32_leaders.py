"""Rows 27, 28, 30, 31 and 32: who may write, when several replicas run."""

from __future__ import annotations

from registrar.embedded import Delay, Silence
from registrar.embedded.store import Change
from tests.simulation.mappings import Size
from tests.simulation.rows import row
from tests.simulation.simulation import Simulation
from tests.simulation.test_row_21_26_api_server import WRITES
from tests.simulation.truth import Reach, now

LEASE_S, RENEW_DEADLINE_S, RETRY_S = 15.0, 10.0, 2.0
TAKEOVER_S = 17.0
AFTER_RELEASE_S = 2.0
FALL_S = 3 * 5.0 + 1.0
"""Three checks that fail, five seconds apart."""
THREE = Size(services=2, replicas=3)
TWO = Size(replicas=2)
SEVERAL = Size(services=3, replicas=2)


def last_renewal(sim: Simulation, agent: str) -> float:
    """Return when a replica sent the last renewal that was answered."""
    asked = [r for r in sim.requests(WRITES) if r.user_agent == agent and r.resource == "leases"]
    return max(r.seconds for r in asked if r.status == 200)


@row(SEVERAL)
async def test_row_27_the_lease_is_lost_during_a_write(sim: Simulation) -> None:
    """Answers are late, so that a write may be due when the lease is lost already."""
    former, since = sim.leader, now()
    faults = [
        sim.api.faults.add(Silence(), resource="leases", user_agent=former.agent),
        sim.api.faults.add(Delay(sim.rng.uniform(0, 6)), verb="update", user_agent=former.agent),
    ]
    for name in sorted(sim.truth.services):
        sim.truth.becomes(sim.member(name), Reach.REFUSES)
        sim.gains(name)
        await sim.passes_between(0, 4)
    await sim.passes(LEASE_S)
    sent = [r for r in sim.requests(WRITES) if r.user_agent == former.agent]
    published = [r.seconds for r in sent if r.resource != "leases"]
    last = last_renewal(sim, former.agent) + RENEW_DEADLINE_S
    sim.expect(all(when <= last for when in published), f"it writes after {last}: {published}")
    sim.expect_logged("lead-lost", since)
    for fault in faults:
        fault.end()


@row(TWO)
async def test_row_27_a_write_ends_before_the_lease_does(sim: Simulation) -> None:
    former = sim.leader
    faults = sim.cut_off(former)
    former.line.holds = True
    sim.gains("web0")
    await sim.passes(LEASE_S + RENEW_DEADLINE_S)
    last = last_renewal(sim, former.agent) + LEASE_S
    given_up = former.line.given_up
    sim.expect(all(when <= last for when in given_up), f"it waits beyond {last}: {given_up}")
    for fault in faults:
        fault.end()
    await former.line.deliver()


@row(TWO)
async def test_row_28_a_late_write_meets_a_newer_one(sim: Simulation) -> None:
    former = sim.leader
    former.line.holds = True
    added = sim.gains("web0")
    while not former.line.held:
        await sim.passes(0.1)
    faults = sim.cut_off(former)
    await sim.takes_over(former.agent, TAKEOVER_S + RETRY_S)
    await sim.passes_between(30, 60)
    sim.expect(added in sim.published("web0"), "the successor does not write")
    for fault in faults:
        fault.end()
    async with sim.nothing_written():
        await former.line.deliver()
        await sim.passes(2)


@row(TWO)
async def test_row_28_a_late_write_meets_nothing_newer(sim: Simulation) -> None:
    """What the successor sees differs from nothing, so it has written nothing of its own."""
    former = sim.leader
    former.line.holds = True
    several = {sim.gains("web0") for _ in range(sim.rng.randint(1, 4))}
    while not former.line.held:
        await sim.passes(0.1)
    faults = sim.cut_off(former)
    for added in several:
        sim.loses("web0", added)
    since = now()
    await sim.takes_over(former.agent, TAKEOVER_S + RETRY_S)
    await sim.passes(sim.rng.choice([0.0, 0.0, sim.rng.uniform(0, 60)]))
    by_successor = [c for c in sim.written(since) if c.by == sim.leader_agent]
    sim.expect(not by_successor, "the successor has written")
    for fault in faults:
        fault.end()
    await former.line.deliver()
    sim.expect(several & set(sim.published("web0")), "the late write did not come")
    await sim.passes(1)  # which is what the checker asks for
    sim.expect(not several & set(sim.published("web0")), "it is not put right")


@row(SEVERAL)
async def test_row_30_the_leader_is_killed(sim: Simulation) -> None:
    """What changed meanwhile is written at once: the successor has nothing to find out first."""
    former = sim.leader
    name = sim.service()
    victim = sim.member(name)
    await former.kill()
    sim.truth.becomes(victim, Reach.REFUSES)
    added = sim.gains(name)
    known = now() + FALL_S
    await sim.takes_over(former.agent, TAKEOVER_S)
    await sim.passes(0.5)
    sim.expect(sim.published(name).get(added), "it is not known to be up")
    await sim.passes(max(0.0, known - now()))
    sim.expect(sim.published(name).get(victim) is False, "it is not known to be down")
    former.start()
    await sim.passes_between(0, 5)
    sim.truth.becomes(victim, Reach.SERVES)


@row(THREE)
async def test_row_30_a_takeover_writes_nothing_where_nothing_differs(sim: Simulation) -> None:
    for _ in range(2):
        former = sim.leader
        async with sim.nothing_written():
            await former.kill()
            await sim.takes_over(former.agent, TAKEOVER_S)
            former.start()
            await sim.passes_between(0, 30)


@row(SEVERAL)
async def test_row_30_killed_in_the_middle_of_a_write(sim: Simulation) -> None:
    former = sim.leader

    def is_slice(change: Change) -> bool:
        return change.resource == "endpointslices"

    former.dies_at(is_slice)
    for name in sorted(sim.truth.services):
        sim.gains(name)
    await sim.takes_over(former.agent, TAKEOVER_S + 15)
    await sim.passes(1)
    for name in sorted(sim.truth.services):
        sim.expect(sim.endpoints(name) == sim.published(name), "Endpoints do not follow")
    await former.kill()


@row(Size(replicas=2, warm=False))
async def test_row_30_a_cold_standby_asks_nothing_and_loses_nothing(sim: Simulation) -> None:
    former, asked = sim.leader, len(sim.ends.asked)
    async with sim.nothing_written():
        await former.kill()
        while sim.leader_agent == former.agent:
            sim.expect(len(sim.ends.asked) == asked, "it asks sources before it leads")
            await sim.passes(0.05)
        await sim.passes_between(0, 15)
    sim.expect(len(sim.ends.asked) > asked, "the successor asks nothing")
    former.start()
    name = sim.service()
    sim.gains(name)
    await sim.leader.stop()
    await sim.passes_between(0, 15)
    sim.gains(name)


@row(THREE)
async def test_row_31_a_stopped_leader_gives_the_lease_back(sim: Simulation) -> None:
    for _ in range(2):
        former = sim.leader
        name = sim.service()
        added = sim.gains(name)
        await sim.passes_between(0, 12)
        before = set(sim.published(name))
        since = now()
        await former.stop()
        sim.expect(now() - since <= AFTER_RELEASE_S, "it takes long to stop")
        sim.expect(before <= set(sim.published(name)), "it takes something away")
        await sim.takes_over(former.agent, AFTER_RELEASE_S)
        await sim.passes(15)
        sim.expect(sim.published(name).get(added), "the successor does not go on")
        former.start()
        await sim.passes_between(0, 5)


@row(THREE)
async def test_row_31_a_rolling_restart_writes_nothing(sim: Simulation) -> None:
    async with sim.nothing_written():
        for replica in sim.replicas:
            await replica.stop()
            replica.start()
            await sim.passes_between(0.5, 5)
    await sim.passes(30)


@row(TWO)
async def test_row_32_a_leader_is_cut_off_and_comes_back(sim: Simulation) -> None:
    former = sim.leader
    faults = sim.cut_off(former)
    name = sim.service()
    victim = sim.member(name)
    sim.truth.becomes(victim, Reach.REFUSES)
    await sim.takes_over(former.agent, TAKEOVER_S)
    added = sim.gains(name)
    await sim.passes_between(20, 60)
    sim.expect(sim.published(name).get(victim) is False, "the successor does not write")
    sim.expect(sim.published(name).get(added), "the successor does not write")
    since = now()
    for fault in faults:
        fault.end()
    sim.truth.becomes(victim, Reach.SERVES)
    await sim.passes(30)
    written = {change.by for change in sim.written(since)}
    sim.expect(written == {sim.leader_agent}, f"written by {written}")


@row(TWO)
async def test_row_32_the_lease_is_deleted_by_hand(sim: Simulation) -> None:
    async with sim.nothing_written():
        sim.hands.delete(sim.lease_path)
        await sim.passes(TAKEOVER_S)
    leases = [c for c in sim.api.history if c.resource == "leases"]
    sim.expect(leases[-1].by in {r.agent for r in sim.replicas}, "nobody leads")
    await sim.passes(5)
    sim.gains("web0")
