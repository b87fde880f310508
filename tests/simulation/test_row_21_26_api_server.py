"""Rows 21 to 26: what the API server does to registrar."""

from __future__ import annotations

from registrar.embedded import Break, Deaf, Delay, Fault, Refuse, Silence
from registrar.model import HealthCheck, TcpProbe
from tests.simulation.mappings import Size
from tests.simulation.rows import row
from tests.simulation.simulation import Simulation
from tests.simulation.truth import Reach, now

WRITES = frozenset({"create", "update", "patch", "delete"})
LONGEST_RETRY_S = 60.0
HOUR_S = 3600.0
SLOW = HealthCheck(TcpProbe(), interval=100.0, timeout=1.0, rise=1, fall=1)


async def changes(sim: Simulation) -> None:
    """Have something to be written."""
    name = sim.service()
    victim = sim.member(name)
    sim.truth.becomes(victim, Reach.REFUSES)
    sim.gains(name)
    await sim.passes_between(11, 25)
    sim.truth.becomes(victim, Reach.SERVES)


@row(Size(bound_s=30), mixes=True)
async def test_row_21_conflicts(sim: Simulation) -> None:
    times = sim.rng.randint(1, 4)
    rule = sim.fault(
        Refuse(409), "update", sim.rng.choice(["endpoints", "endpointslices"]), times=times
    )
    await changes(sim)
    rule.end()


@row(mixes=True)
async def test_row_21_somebody_writes_between_look_and_write(sim: Simulation) -> None:
    """Deaf watches keep the edit of another from being seen, so the write must conflict."""
    name = sim.service()
    rule = sim.fault(Deaf())
    sim.hands.label("endpoints", name, sim.rng)
    await changes(sim)
    rule.end()


@row(mixes=True)
async def test_row_22_watches_break_or_are_too_old(sim: Simulation) -> None:
    for _ in range(3):
        if sim.rng.random() < 0.5:
            sim.api.compact()
        rule = sim.fault(Refuse(sim.rng.choice([410, 500])), "watch", times=sim.rng.randint(0, 4))
        sim.api.cut_watches(sim.rng.choice(["", "services", "endpoints", "endpointslices"]))
        async with sim.nothing_written():
            await sim.passes_between(0.5, 10)
        rule.end()
    sim.api.cut_watches()
    sim.hands.delete(sim.path("endpoints", sim.service()))
    await changes(sim)


@row(Size(bound_s=40), mixes=True)
async def test_row_23_refused_or_unanswered(sim: Simulation) -> None:
    faults: list[Fault] = [
        Refuse(429),
        Refuse(429, retry_after=sim.rng.randint(1, 9)),
        Refuse(500),
        Refuse(503),
        Silence(),
        Silence(applied=True),
        Break(),
        Break(applied=True),
        Delay(sim.rng.uniform(0.1, 15)),
    ]
    verb = sim.rng.choice(["", "update"])
    rule = sim.fault(sim.rng.choice(faults), verb, times=sim.rng.randint(1, 6))
    await changes(sim)
    rule.end()


@row(Size())
async def test_row_23_patience_is_had(sim: Simulation) -> None:
    rule = sim.fault(Refuse(429, retry_after=8), "update", times=1)
    sim.gains("web0")
    while not rule.hits:
        await sim.passes(0.1)
    tried = len(sim.requests(WRITES))
    await sim.passes(7.8)
    sim.expect(len(sim.requests(WRITES)) == tried, "it was asked before its time")
    await sim.passes(8)
    sim.expect(len(sim.requests(WRITES)) > tried, "it was not asked again")


@row(Size(backends=2, check=SLOW, poll_s=100.0, bound_s=200))
async def test_row_24_gone_for_an_hour(sim: Simulation) -> None:
    """Sources and checks go on, and the latest is written once."""
    faults: list[Fault] = [Break(), Refuse(503), Silence()]
    rule = sim.fault(sim.rng.choice(faults))
    sim.api.cut_watches()
    victim = sim.member("web0")
    for _ in range(4):
        sim.truth.becomes(victim, Reach.REFUSES)
        sim.gains("web0")
        await sim.passes_between(400, 1200)
        sim.truth.becomes(victim, Reach.SERVES)
    await sim.passes(max(0.0, HOUR_S - now()))
    sim.truth.becomes(victim, Reach.REFUSES)
    await sim.passes(102)
    since = now()
    rule.end()
    await sim.passes(LONGEST_RETRY_S + 20)
    written = [f"{c.type} {c.resource}" for c in sim.written(since)]
    sim.expect(sorted(written) == ["MODIFIED endpoints", "MODIFIED endpointslices"], str(written))
    sim.truth.becomes(victim, Reach.SERVES)


@row(Size(services=2, bound_s=LONGEST_RETRY_S + 5), mixes=True)
async def test_row_25_one_object_is_forbidden(sim: Simulation) -> None:
    since = now()
    rule = sim.fault(Refuse(403), "update", "endpoints", name="web0")
    added = [sim.gains("web0"), sim.gains("web1")]
    await sim.passes_between(12, 60)
    sim.expect_hold("forbidden", since)
    sim.expect(sim.endpoints("web1") == sim.published("web1"), "the rest does not go on")
    sim.expect(added[1] in sim.published("web1"), "the rest does not go on")
    rule.end()


@row(Size(bound_s=LONGEST_RETRY_S))
async def test_row_25_lists_are_forbidden_at_the_start(sim: Simulation) -> None:
    since = now()
    await sim.process.kill()
    kinds = ["services", "endpoints", "endpointslices", "nodes", "servicecidrs"]
    resource = sim.rng.choice(kinds)
    rule = sim.fault(Refuse(403), "list", resource)
    async with sim.nothing_written():
        sim.process.start()
        await sim.passes(5)
        sim.expect_hold("forbidden", since)
        await sim.passes_between(5, 50)
    rule.end()
    sim.gains(sim.service())


@row(Size(), mixes=True)
async def test_row_26_own_writes_are_not_in_the_cache(sim: Simulation) -> None:
    rule, since = sim.fault(Deaf()), now()
    for _ in range(3):
        sim.gains("web0")
        await sim.passes_between(12, 20)
    written = [c.resource for c in sim.written(since)]
    expected = 3 * ["endpointslices", "endpoints"]
    sim.expect(written == expected, f"three changes are more than three writes: {written}")
    async with sim.nothing_written():
        rule.end()
        await sim.passes_between(5, 10)
