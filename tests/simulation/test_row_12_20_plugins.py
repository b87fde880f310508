"""Rows 12 to 20, and 42: what each kind of source makes of its own faults, as a script has it.

Whether DNS, Consul and Docker sources do make that of them is for their own tests to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.ends import fails, says
from tests.simulation.mappings import Size
from tests.simulation.rows import row
from tests.simulation.simulation import Simulation
from tests.simulation.test_row_01_11_sources import CONFIRMED_S, unknown
from tests.simulation.truth import Reach, now

POLL = Size().poll_s


@row(Size(parts=2), mixes=True)
async def test_row_12_dns_servfail(sim: Simulation) -> None:
    await unknown(sim, fails("SERVFAIL from both servers"), part="part1")


@row(Size(bound_s=CONFIRMED_S))
async def test_row_13_nxdomain_for_a_while(sim: Simulation) -> None:
    """Not knowing for 30 s; then there are none, which is believed once confirmed."""
    with sim.ends.under(fails("NXDOMAIN")):
        async with sim.nothing_written():
            await sim.passes(30)
    with sim.ends.under(says(lambda _: ())):
        await sim.passes_between(10.5, 27)


@row(mixes=True)
async def test_row_14_truncated_over_tcp_too(sim: Simulation) -> None:
    await unknown(sim, fails("the answer is truncated, also over TCP"))


@row(Size(backends=4), mixes=True)
async def test_row_15_cut_short_without_saying(sim: Simulation) -> None:
    """Nobody can tell; so one of four goes, and comes back with the whole answer."""
    name = sim.service()
    missing = sim.member(name)
    with sim.ends.under(says(lambda members: [m for m in members if m != missing])):
        await sim.passes_between(11, 40)


@row(Size(backends=6, window_s=30, bound_s=50))
async def test_row_16_partial_answers_rotate(sim: Simulation) -> None:
    """Each answer has all but one, another one each time: within the window all stay."""
    turn = sim.rng.randrange(6)

    def rotated(members: Sequence[str]) -> Sequence[str]:
        nonlocal turn
        turn += 1
        return [m for n, m in enumerate(members) if n != turn % len(members)]

    with sim.ends.under(says(rotated)):
        async with sim.nothing_written():
            await sim.passes_between(60, 90)
        gone = sim.member("web0")
        sim.loses("web0", gone)
        await sim.passes(30 + POLL + 1)
        sim.expect(gone not in sim.published("web0"), "it stays beyond the window")


@row(Size(watched=True))
async def test_row_17_a_watch_starts_over_again_and_again(sim: Simulation) -> None:
    """An index that goes back ends the watch: it begins again, and is never a busy loop."""
    since = len(sim.ends.asked)
    async with sim.nothing_written():
        for _ in range(8):
            sim.ends.stream_news(broken=True)
            await sim.passes_between(3, 5)
            sim.ends.stream_news()
            await sim.passes_between(0, 1)
    asked = len(sim.ends.asked) - since
    sim.expect(asked < 8 * 2 * 8, f"{asked} questions in 40 s")
    name = sim.service()
    added = sim.gains(name)
    await sim.passes(12)
    sim.expect(added in sim.published(name), "what is new is not heard")


@row(mixes=True)
async def test_row_18_a_source_asks_for_patience(sim: Simulation) -> None:
    with sim.ends.under(fails("429 Too Many Requests", retry_after=40)):
        await sim.passes(POLL + 1)
        before = len(sim.ends.asked)
        async with sim.nothing_written():
            await sim.passes(29)
        sim.expect(len(sim.ends.asked) == before, "it was asked before its time")
    await sim.passes(12)
    sim.gains(sim.service())


@row(mixes=True)
async def test_row_18_a_source_without_a_leader(sim: Simulation) -> None:
    since = len(sim.ends.asked)
    with sim.ends.under(fails("500 No cluster leader")):
        async with sim.nothing_written():
            await sim.passes_between(40, 60)
    asked = len(sim.ends.asked) - since
    sim.expect(asked <= 2 * (4 + 60 / 5), f"{asked} questions in a minute")


@row(mixes=True)
async def test_row_19_results_are_filtered_by_acls(sim: Simulation) -> None:
    await unknown(sim, fails("permission denied: results were filtered by ACLs"))


@row(Size(watched=True))
async def test_row_20_the_daemon_restarts(sim: Simulation) -> None:
    """The event stream breaks and the list fails; its containers die, and come back."""
    name = sim.service()
    victims = sorted(sim.truth.listed(name))
    since = now()
    with sim.ends.under(fails("connection refused")):
        sim.ends.stream_news(broken=True)
        for victim in victims:
            sim.truth.becomes(victim, Reach.REFUSES)
        await sim.passes_between(17, 40)
        sim.expect_hold("source-unknown", since)
        sim.expect(sim.published(name) == dict.fromkeys(victims, False), "something was erased")
    for victim in victims:
        sim.truth.becomes(victim, Reach.SERVES)
    sim.ends.stream_news()


@row(Size(watched=True))
async def test_row_20_the_daemon_restarts_and_containers_live_on(sim: Simulation) -> None:
    with sim.ends.under(fails("connection refused")):
        sim.ends.stream_news(broken=True)
        async with sim.nothing_written():
            await sim.passes_between(5, 60)
    sim.ends.stream_news()


@row(mixes=True)
async def test_row_42_an_answer_of_hundreds_of_megabytes(sim: Simulation) -> None:
    await unknown(sim, fails("the answer is longer than 64 MiB"))
