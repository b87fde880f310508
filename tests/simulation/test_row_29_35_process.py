"""Rows 29 to 35, and 45: what happens to the process, its host and its own objects."""

from __future__ import annotations

from registrar.embedded.store import Change
from registrar.embedded.values import Object, objects_at
from tests.simulation.mappings import Size
from tests.simulation.rows import row
from tests.simulation.simulation import Simulation
from tests.simulation.truth import Reach, now

CONTESTED_S = 65.0
"""Corrections come a minute apart at most, whatever the fight was like."""


@row(Size(on_apscheduler=True))
async def test_row_29_the_clock_jumps(sim: Simulation) -> None:
    for _ in range(2):
        sim.wall.ahead += sim.rng.choice([-1, 1]) * sim.rng.uniform(60, 3600)
        before = len(sim.ends.asked)
        async with sim.nothing_written():
            await sim.passes(2 * (10 + 1))  # two polls, each late by the watchdog at most
        asked = len(sim.ends.asked) - before
        sim.expect(2 <= asked <= 6, f"{asked} questions in two intervals")
        added = sim.gains("web0")
        await sim.passes(10 + 1 + 1)  # a poll, the watchdog, the first check and the write
        sim.expect(sim.published("web0").get(added), "a poll is late")


@row(mixes=True)
async def test_row_30_killed_at_any_time(sim: Simulation) -> None:
    for _ in range(2):
        name = sim.service()
        victim = sim.member(name)
        sim.truth.becomes(victim, sim.rng.choice([Reach.REFUSES, Reach.SILENT]))
        added = sim.gains(name)
        await sim.passes_between(0, 20)
        await sim.process.kill()
        await sim.passes_between(0, 20)
        sim.truth.becomes(victim, Reach.SERVES)
        sim.loses(name, added)
        sim.process.start()
        await sim.passes_between(0, 15)


@row(Size(services=2), mixes=True)
async def test_row_30_killed_between_write_and_answer(sim: Simulation) -> None:
    left = sim.rng.randint(1, 4)

    def is_the_one(_: Change) -> bool:
        nonlocal left
        left -= 1
        return left == 0

    sim.process.dies_at(is_the_one)
    for name in sorted(sim.truth.services):
        sim.gains(name)
    await sim.passes(15)
    sim.expect(sim.process.is_dead, "it lives on")
    await sim.process.kill()
    sim.process.start()


@row(mixes=True)
async def test_row_30_started_again_where_nothing_differs(sim: Simulation) -> None:
    sim.truth.becomes(sim.member(sim.service()), sim.rng.choice([Reach.SILENT, Reach.REFUSES]))
    await sim.passes(25)
    async with sim.nothing_written():
        for _ in range(2):
            await sim.process.kill()
            await sim.passes_between(0, 5)
            sim.process.start()
            await sim.passes_between(0, 40)


@row(Size(services=3, canary=True))
async def test_row_33_our_own_network_is_dead(sim: Simulation) -> None:
    async with sim.nothing_written():
        sim.ends.is_own_network_dead = True
        await sim.passes_between(25, 250)  # a silent canary has no bound
        sim.ends.is_own_network_dead = False
        await sim.passes(10)


@row(mixes=True)
async def test_row_34_no_file_descriptors_are_left(sim: Simulation) -> None:
    async with sim.nothing_written():
        sim.ends.has_descriptors = False
        await sim.passes_between(20, 90)
        sim.ends.has_descriptors = True


@row(Size(bound_s=CONTESTED_S), mixes=True)
async def test_row_35_somebody_edits_our_objects(sim: Simulation) -> None:
    name = sim.service()
    for _ in range(3):
        meddle(sim, name)
        await sim.passes(1)
        sim.expect(sim.published(name) == sim.endpoints(name), "it is not put right at once")
        sim.expect(set(sim.published(name)) == sim.truth.listed(name), "what others added stays")
        await sim.passes_between(0, 3)


@row(Size(bound_s=CONTESTED_S))
async def test_row_35_somebody_fights(sim: Simulation) -> None:
    since = now()
    for _ in range(150):
        meddle(sim, "web0")
        await sim.passes_between(0.3, 0.9)
    corrections = {round(c.seconds, 1) for c in sim.written(since)}
    sim.expect(3 <= len(corrections) <= 3 + 2 * 9, f"{len(corrections)} corrections in 90 s")
    sim.expect_hold("contested", since)


@row(mixes=True)
async def test_row_45_killed_between_slices_and_endpoints(sim: Simulation) -> None:
    sim.process.dies_at(lambda change: change.resource == "endpointslices")
    name = sim.service()
    added = sim.gains(name)
    await sim.passes(15)
    sim.expect(sim.process.is_dead, "it lives on")
    sim.expect(added not in (sim.endpoints(name) or {}), "Endpoints came first")
    await sim.process.kill()
    sim.process.start()
    await sim.passes(2)
    sim.expect(added in (sim.endpoints(name) or {}), "Endpoints do not follow")


def meddle(sim: Simulation, name: str) -> None:
    """Do to an object of ours what somebody might."""
    seen = sim.checker.services[name]
    there = sorted(seen.slices)
    what = sim.rng.randrange(5)
    if what == 0 and seen.endpoints is not None:
        sim.hands.delete(sim.path("endpoints", name))
    elif what == 1 and seen.endpoints is not None:
        sim.hands.edit("endpoints", name, _redirected)
    elif there and what == 2:
        sim.hands.delete(sim.path("endpointslices", there[0]))
    elif there:
        sim.hands.edit("endpointslices", there[0], _unready if what == 3 else _robbed)


def _unready(item: Object) -> None:
    for said in objects_at(item, "endpoints"):
        said["conditions"] = {"ready": False}


def _robbed(item: Object) -> None:
    item["endpoints"] = [*objects_at(item, "endpoints")[1:]]


def _redirected(item: Object) -> None:
    for subset in objects_at(item, "subsets"):
        subset["addresses"] = [{"ip": "10.66.6.6"}]
