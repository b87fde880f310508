"""Rows 1 to 11: what sources and backends do to registrar, whatever kind of source it is."""

from __future__ import annotations

from itertools import pairwise

from registrar.model import HealthCheck, TcpProbe
from tests.simulation.ends import Script, crashes, fails, hangs, says
from tests.simulation.mappings import Size
from tests.simulation.rows import row
from tests.simulation.simulation import Simulation
from tests.simulation.truth import Reach, now

QUICK = HealthCheck(TcpProbe(), interval=1.0, timeout=0.5, rise=1, fall=1)
CONFIRMED_S = 75.0
"""A removal that has to be confirmed is through by then: 30 s, a backoff, the last question."""


async def unknown(sim: Simulation, script: Script, part: str = "") -> None:
    """Have a source not know for a while: all is held, and checks go on."""
    since, name = now(), sim.service()
    with sim.ends.under(script, part=part):
        async with sim.nothing_written():
            await sim.passes_between(16, 40)
        sim.expect_hold("source-unknown", since)
        victim = sim.member(name)
        sim.truth.becomes(victim, Reach.REFUSES)
        await sim.passes_between(17, 20)
        sim.expect(sim.published(name).get(victim) is False, "checks have stopped")
        sim.truth.becomes(victim, Reach.SERVES)
        await sim.passes_between(0, 12)
    sim.gains(name)


@row(mixes=True)
async def test_row_01_source_refuses(sim: Simulation) -> None:
    await unknown(sim, fails("connection refused"))


@row(mixes=True)
async def test_row_01_source_times_out(sim: Simulation) -> None:
    await unknown(sim, hangs())


@row(Size(parts=2), mixes=True)
async def test_row_01_one_part_of_a_source_refuses(sim: Simulation) -> None:
    await unknown(sim, fails("connection refused"), part="part0")


@row()
async def test_row_01_the_parts_are_not_known(sim: Simulation) -> None:
    await unknown(sim, fails("connection refused"), part="split")


@row(mixes=True)
async def test_row_02_source_down_at_the_start(sim: Simulation) -> None:
    name, since = sim.service(), now()
    with sim.ends.under(fails("connection refused")):
        await sim.process.kill()
        async with sim.nothing_written():
            sim.process.start()
            await sim.passes_between(20, 60)
        sim.expect_hold("source-unknown", since)
        victim = sim.member(name)
        sim.truth.becomes(victim, Reach.REFUSES)
        await sim.passes_between(17, 30)
        sim.expect(sim.published(name).get(victim) is False, "what was adopted is not judged")
    sim.loses(name, victim)


@row(mixes=False)
async def test_row_03_empty_for_a_while(sim: Simulation) -> None:
    with sim.ends.under(says(lambda _: ())):
        await sim.passes_between(10.5, 27)


@row(Size(bound_s=CONFIRMED_S))
async def test_row_03_really_empty(sim: Simulation) -> None:
    name = sim.service()
    for address in sorted(sim.truth.listed(name)):
        sim.loses(name, address)
    await sim.passes(25)
    sim.expect(sim.published(name), "it was emptied without being asked again")


@row(Size(backends=5, bound_s=CONFIRMED_S))
async def test_row_04_more_than_half_for_a_while(sim: Simulation) -> None:
    name = sim.service()
    with sim.ends.under(says(lambda members: members[3:])):
        added = sim.gains(name)
        await sim.passes_between(11, 27)
        sim.expect(added in sim.published(name), "an addition waited for the removals")


@row(Size(backends=12, bound_s=CONFIRMED_S))
async def test_row_04_a_third_of_a_dozen_for_a_while(sim: Simulation) -> None:
    with sim.ends.under(says(lambda members: members[4:])):
        await sim.passes_between(10.5, 27)


@row(Size(services=3, backends=3))
async def test_row_05_more_than_half_unreachable_at_once(sim: Simulation) -> None:
    """The way to them is broken, not they; one refuses all the same."""
    cut = [a for name in sorted(sim.truth.services) for a in sorted(sim.truth.listed(name))[:2]]
    refusing = sim.member("web0", besides=cut)
    sim.truth.cut_off(cut, off=True)
    sim.truth.becomes(refusing, Reach.REFUSES)
    await sim.passes_between(25, 60)
    sim.expect(sim.published("web0")[refusing] is False, "a refusal counts in any case")
    sim.truth.cut_off(cut, off=False)
    sim.truth.becomes(refusing, Reach.SERVES)


@row(Size(services=3, backends=3))
async def test_row_05_a_rack_is_really_lost(sim: Simulation) -> None:
    """Nobody can tell that from a fault of ours; so the hold is bounded."""
    lost = [a for name in sorted(sim.truth.services) for a in sorted(sim.truth.listed(name))[:2]]
    for address in lost:
        sim.truth.becomes(address, Reach.SILENT)
    async with sim.nothing_written():
        await sim.passes(120)
    await sim.passes(3 * 6 + 7)
    sim.expect(not any(sim.published(f"web{a[3]}")[a] for a in lost), "it has no bound")


@row(Size(backends=4, check=QUICK))
async def test_row_06_backends_flap(sim: Simulation) -> None:
    """With rise and fall of 1 every check may change something: writes are paced nevertheless."""
    name, since = sim.service(), now()
    for _ in range(25):
        for address in sorted(sim.truth.listed(name)):
            sim.truth.becomes(address, sim.rng.choice([Reach.SERVES, Reach.REFUSES]))
        await sim.passes_between(0.2, 0.6)
    for address in sorted(sim.truth.listed(name)):
        sim.truth.becomes(address, Reach.SERVES)
    times = [c.seconds for c in sim.written(since) if c.resource == "endpointslices"]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    sim.expect(len(gaps) > 3, "it did not flap")
    sim.expect(min(gaps) > 0.95, f"two writes within {min(gaps):.3f} s")


@row(mixes=True)
async def test_row_06_short_failures_change_nothing(sim: Simulation) -> None:
    """Two checks in a row fail at most, where three take a backend down."""
    victim = sim.member(sim.service())
    async with sim.nothing_written():
        for _ in range(3):
            sim.truth.becomes(victim, Reach.RESETS)
            await sim.passes_between(1, 9.5)
            sim.truth.becomes(victim, Reach.SERVES)
            await sim.passes_between(10, 15)


@row(Size(services=2, sources=2))
async def test_row_07_a_source_hangs(sim: Simulation) -> None:
    """What another source says is published as soon as ever."""
    with sim.ends.under(hangs()):
        for _ in range(4):
            await sim.passes_between(1, 12)
            added = sim.gains("web1")
            await sim.passes(10 + 0.3 + 1)  # a poll, its answer, the first check and the write
            sim.expect(sim.published("web1").get(added), "the other source has to wait")


@row(mixes=True)
async def test_row_08_one_record_is_malformed(sim: Simulation) -> None:
    name = sim.service()
    with sim.ends.under(says(lambda members: members, "10.0.0.300:80")):
        async with sim.nothing_written():
            await sim.passes_between(11, 40)
        added = sim.gains(name)
        await sim.passes(12)
        sim.expect(sim.published(name).get(added), "its neighbours have to wait")


@row(mixes=True)
async def test_row_09_the_whole_answer_is_malformed(sim: Simulation) -> None:
    await unknown(sim, crashes())


@row()
async def test_row_09_no_record_can_be_used(sim: Simulation) -> None:
    await unknown(sim, says(lambda _: (), "10.0.0.300:80"))


@row(Size(backends=12, check=None))
async def test_row_10_ten_times_as_many(sim: Simulation) -> None:
    many = [f"10.8.{n // 200}.{n % 200 + 1}" for n in range(120)]
    sim.truth.lists("racks", "group0", "part0", [*sim.truth.listed("web0"), *many])
    await sim.passes(12)
    sim.expect(len(sim.published("web0")) == 132, "not all are there")


@row(Size(backends=12, check=None, max_backends=100))
async def test_row_10_above_the_cap(sim: Simulation) -> None:
    since, before = now(), sorted(sim.truth.listed("web0"))
    many = [f"10.8.{n // 200}.{n % 200 + 1}" for n in range(120)]
    sim.truth.lists("racks", "group0", "part0", [*before[2:], *many])
    async with sim.nothing_written():
        await sim.passes_between(11, 60)
    sim.expect_hold("too-many-backends", since)
    sim.truth.lists("racks", "group0", "part0", before)


@row()
async def test_row_11_two_sources_give_the_same(sim: Simulation) -> None:
    shared = sim.member("web0")
    await sim.process.kill()
    sim.truth.lists("dns", "more", "part0", [shared, "10.7.0.1"])
    sim.truth.changes("web0", groups=(("racks", "group0"), ("dns", "more")))
    sim.process.start()
    await sim.passes(15)
    said = [one["endpoints"] for one in sim.checker.services["web0"].slices.values()]
    sim.expect(str(said).count(f"'{shared}'") == 1, f"{shared} is not there once: {said}")
    async with sim.nothing_written():
        sim.truth.lists("dns", "more", "part0", ["10.7.0.1"])
        await sim.passes_between(11, 30)
