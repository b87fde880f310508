"""The checker is proved: for each invariant a registrar that breaks it is caught."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address
from random import Random

import pytest

from registrar import deciding as loop
from registrar import drains
from registrar.decide.candidates import candidates
from registrar.decide.policy import decide
from registrar.embedded.values import Json, metadata, objects_at
from registrar.model import Desired, Endpoint, Hold, NetworkRules
from tests.simulation import ending
from tests.simulation.clock import VirtualLoop
from tests.simulation.cluster import HANDS, SLICES, is_ours
from tests.simulation.ends import fails
from tests.simulation.journal import Violation
from tests.simulation.mappings import Size
from tests.simulation.rows import outcome
from tests.simulation.simulation import Simulation

Decide = Callable[..., Desired | Hold]


def said_of(scenario: Callable[[Simulation], Awaitable[None]], size: Size | None = None) -> str:
    return outcome("test_checker", 1, [scenario], size or Size()) or "nothing is wrong"


async def nothing(sim: Simulation) -> None:
    await sim.passes(1)


async def gains(sim: Simulation) -> None:
    sim.gains("web0")
    await sim.passes(15)


def deciding(monkeypatch: pytest.MonkeyPatch, broken: Callable[[Desired], Desired]) -> None:
    """Have registrar publish what `broken` makes of what it ought to."""

    def decided(*args: object) -> Desired | Hold:
        found = whole(*args)
        return broken(found) if isinstance(found, Desired) else found

    whole: Decide = decide
    monkeypatch.setattr(drains, "decide", decided)


def test_a_registrar_as_it_is_passes() -> None:
    assert said_of(gains) == "nothing is wrong"


# --- invariant 1 ---------------------------------------------------------------------------------


def test_1_an_address_that_no_network_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    def anywhere(*args: object) -> object:
        return whole(*(NetworkRules() if isinstance(a, NetworkRules) else a for a in args))

    whole: Callable[..., object] = candidates
    monkeypatch.setattr(loop, "candidates", anywhere)

    async def outside(sim: Simulation) -> None:
        sim.gains("web0", "192.0.2.1")
        await sim.passes(15)

    assert "invariant 1: 192.0.2.1 is published" in said_of(outside)


def test_1_an_address_that_stays_after_the_networks_were_narrowed() -> None:
    async def narrowed(sim: Simulation) -> None:
        sim.checker.narrow("10.1.0.0/16")
        await sim.passes(5)

    assert "invariant 1: web0 still publishes" in said_of(narrowed)


# --- invariant 2 ---------------------------------------------------------------------------------


def test_2_a_healthy_backend_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped = ip_address("10.0.0.2")

    def without(desired: Desired) -> Desired:
        if loop_time() < 40:
            return desired
        left = {e for e in desired.endpoints if e.id.address != dropped}
        return replace(desired, endpoints=frozenset(left))

    deciding(monkeypatch, without)
    assert "invariant 2: 10.0.0.2 of web0 was removed" in said_of(later(gains))


def test_2_a_healthy_backend_is_made_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    def unready(desired: Desired) -> Desired:
        if loop_time() < 40:
            return desired
        return replace(desired, endpoints=frozenset(_down(e) for e in desired.endpoints))

    deciding(monkeypatch, unready)
    assert "of web0 was made not ready" in said_of(later(gains))


def test_2_an_error_taken_for_an_empty_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake that registrar exists to avoid."""

    def erased(desired: Desired) -> Desired:
        return replace(desired, endpoints=frozenset()) if desired.holds else desired

    async def source_fails(sim: Simulation) -> None:
        with sim.ends.under(fails("connection refused")):
            await sim.passes(30)

    deciding(monkeypatch, erased)
    assert "invariant 2" in said_of(source_fails)


@pytest.mark.parametrize("who", ["registrar/1", HANDS])
def test_2_an_endpoint_is_deleted_by_registrars_own_client_or_by_a_hand(who: str) -> None:
    async def robbed(sim: Simulation) -> None:
        name, item = next(iter(sim.checker.services["web0"].slices.items()))
        left: list[Json] = [*objects_at(item, "endpoints")[1:]]
        sim.hands.ask("PUT", f"{SLICES}/{name}", {**item, "endpoints": left}, by=who)
        await sim.passes(10)

    caught = "invariant 2: 10.0.0." in said_of(robbed)
    assert caught == (who != HANDS), "a hand is no registrar, and what it does is put right"


# --- invariant 3 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_3_an_object_of_somebody_else(method: str) -> None:
    async def touched(sim: Simulation) -> None:
        sim.hands.slice("by-hand", "web0", {}, "somebody")
        item = dict(sim.checker.services["web0"].slices["by-hand"])
        assert not is_ours("endpointslices", item)
        body = {**item, "endpoints": []} if method == "PUT" else None
        if body is not None:
            body["metadata"] = {"name": "by-hand", "labels": {"mine": "now"}}
        sim.hands.ask(method, f"{SLICES}/by-hand", body, by="registrar/1")
        await sim.passes(1)

    assert "invariant 3: endpointslices by-hand is not ours" in said_of(touched)


def test_3_an_object_for_a_service_that_is_gone() -> None:
    async def late(sim: Simulation) -> None:
        name, item = next(iter(sim.checker.services["web0"].slices.items()))
        sim.hands.delete(sim.path("services", "web0"))
        sim.hands.delete(f"{SLICES}/{name}")
        await sim.passes(2)
        meta = metadata(item)
        kept: dict[str, Json] = {key: meta[key] for key in ("name", "labels", "annotations")}
        kept["ownerReferences"] = meta["ownerReferences"]
        sim.hands.ask("POST", SLICES, {**item, "metadata": kept}, by="registrar/1")
        await sim.passes(1)

    assert "invariant 3: it was made for web0, a Service that is gone" in said_of(late)


# --- invariant 4 ---------------------------------------------------------------------------------


def test_4_a_former_leader_replaces_what_is_newer() -> None:
    async def two(sim: Simulation) -> None:
        sim.checker.leader = sim.process.agent
        await gains(sim)
        rewrite(sim, by="registrar/00")
        await sim.passes(1)

    assert "invariant 4: registrar/00 replaced what registrar/01 wrote" in said_of(two)


@pytest.mark.parametrize("put_right", [True, False])
def test_4_what_a_former_leader_wrote_is_put_right(*, put_right: bool) -> None:
    async def two(sim: Simulation) -> None:
        await sim.process.kill()
        sim.checker.leader = "registrar/02"
        rewrite(sim, by="registrar/00")
        if put_right:
            sim.process.start()
        await sim.passes(3)
        sim.process.start()

    expected = "nothing is wrong" if put_right else "invariant 4: registrar/00 no longer led"
    assert expected in said_of(two)


def test_4_what_a_former_leader_deleted_is_missed() -> None:
    async def two(sim: Simulation) -> None:
        await sim.process.kill()
        sim.checker.leader = "registrar/02"
        sim.hands.ask("DELETE", sim.path("endpoints", "web0"), by="registrar/0")
        await sim.passes(3)

    assert "invariant 4: registrar/0 no longer led" in said_of(two)


# --- invariant 5 ---------------------------------------------------------------------------------


def test_5_what_is_published_is_not_what_ought_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(desired: Desired) -> Desired:
        known = {e for e in desired.endpoints if str(e.id.address).startswith("10.0.")}
        return replace(desired, endpoints=frozenset(known))

    deciding(monkeypatch, stuck)
    assert "invariant 5: all faults are over, and after 25 s web0: slices say" in said_of(gains)


def test_5_more_is_written_than_ever_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def restless(desired: Desired) -> Desired:
        zone = f"zone-{int(loop_time() / 10)}"
        return replace(
            desired, endpoints=frozenset(replace(e, zone=zone) for e in desired.endpoints)
        )

    deciding(monkeypatch, restless)

    async def looked_at(sim: Simulation) -> None:
        for seconds in range(10, 100, 10):
            asyncio.get_running_loop().call_later(seconds, sim.look_again, "web0")
        await sim.passes(1)

    expected = "invariant 5: all was as it ought to be, and more is written"
    assert expected in said_of(looked_at)


def test_5_an_empty_history_is_no_success() -> None:
    async def silent() -> list[str]:
        sim = Simulation(Random(1), Size(services=0))  # noqa: S311  nothing is drawn from it
        await asyncio.sleep(60)
        with pytest.raises(Violation, match="the history is empty"):
            await sim.ends_well(10)
        return ending.differences(sim.checker)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(silent()) == [
            "the history is empty: registrar has written nothing at all"
        ]


def test_a_defect_in_registrar_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Desired) -> Desired:
        raise KeyError("a defect")

    deciding(monkeypatch, fail)
    assert "registrar logs an error" in said_of(nothing)


def test_a_failure_says_how_to_replay_it(monkeypatch: pytest.MonkeyPatch) -> None:
    deciding(monkeypatch, lambda desired: replace(desired, endpoints=frozenset()))
    assert "replay with: make simulate SEED=1 ROW=checker" in said_of(nothing)


def test_a_seed_is_the_same_world_each_time() -> None:
    traces = []

    async def told(sim: Simulation) -> None:
        await gains(sim)
        traces.append(list(sim.journal.trace))

    said_of(told)
    said_of(told)
    assert traces[0] == traces[1] != []


def later(
    scenario: Callable[[Simulation], Awaitable[None]],
) -> Callable[[Simulation], Awaitable[None]]:
    async def waits(sim: Simulation) -> None:
        await sim.passes(20)
        await scenario(sim)

    return waits


def rewrite(sim: Simulation, *, by: str) -> None:
    """Have a replica write something else over a slice that is there."""
    name, item = next(iter(sim.checker.services["web0"].slices.items()))
    more: list[Json] = [*objects_at(item, "endpoints"), {"addresses": ["10.3.3.3"]}]
    sim.hands.ask("PUT", f"{SLICES}/{name}", {**item, "endpoints": more}, by=by)


def loop_time() -> float:
    return asyncio.get_running_loop().time()


def _down(endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, ready=False)
