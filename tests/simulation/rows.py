"""Makes a test of a scenario: as many seeds as asked for, and the command that replays one.

SEEDS is how many (default 20), SEED the one to replay. It must never let a failing seed go unsaid.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from random import Random

import pytest

from tests.simulation.clock import VirtualLoop
from tests.simulation.journal import Violation
from tests.simulation.mappings import Size
from tests.simulation.process import in_this_world
from tests.simulation.simulation import Simulation

Scenario = Callable[[Simulation], Awaitable[None]]

SEEDS = int(os.environ.get("SEEDS") or "20")
SEED = os.environ.get("SEED")

WARM_UP_S = 25.0
HUNG_S = 20_000.0

MIXED: dict[str, Scenario] = {}
"""Scenarios that others may go on beside of, by name."""


USUAL = Size()


def row(size: Size = USUAL, *, mixes: bool = False) -> Callable[[Scenario], Callable[[], None]]:
    """Make a test of a scenario. `mixes`: it needs no world of its own, nor to be alone in it."""

    def make(scenario: Scenario) -> Callable[[], None]:
        name = scenario.__name__
        if mixes:
            MIXED[name] = scenario

        def test() -> None:
            __tracebackhide__ = True
            simulate(name, [scenario], size)

        test.__name__ = test.__qualname__ = name
        test.__module__ = scenario.__module__
        test.__doc__ = scenario.__doc__
        return test

    return make


def simulate(name: str, scenarios: Iterable[Scenario], size: Size) -> None:
    """Run scenarios beside each other for each seed. Fail with a short trace for the first."""
    __tracebackhide__ = True
    for seed in seeds():
        if said := outcome(name, seed, list(scenarios), size):
            pytest.fail(said, pytrace=False)


def seeds() -> Sequence[int]:
    """Return the seeds that are asked for."""
    return [int(SEED)] if SEED else range(SEEDS)


def outcome(name: str, seed: int, scenarios: list[Scenario], size: Size) -> str | None:
    """Return what is wrong with one seed, None if nothing is."""
    rng = Random(f"{name} {seed}")  # noqa: S311  it makes a world, not a secret
    replay = f"replay with: make simulate SEED={seed} ROW={name.removeprefix('test_')}"
    size = replace(size, bound_s=size.bound_s * len(scenarios))
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(_run(rng, scenarios, size))
    except Violation as error:
        return f"{name}, seed {seed}: {error}\n  {replay}"
    except Exception as error:  # the simulation itself is wrong
        error.add_note(replay)
        raise
    return None


async def _run(rng: Random, scenarios: list[Scenario], size: Size) -> None:
    sim = Simulation(rng, size, alone=len(scenarios) == 1)
    world = in_this_world(sim.file, on_apscheduler=size.on_apscheduler)
    with sim.wall.in_force(), sim.journal.listening(), world:
        try:
            async with asyncio.timeout(HUNG_S):
                for replica in sim.replicas:
                    replica.start()
                await sim.settles(WARM_UP_S, "it has just begun")
                await sim.passes_between(21.0, 30.0)  # until invariant 2 holds of all
                await asyncio.gather(*(scenario(sim) for scenario in scenarios))
                for replica in sim.replicas:
                    replica.lives()
                await sim.ends_well(size.bound_s)
        finally:
            for replica in sim.replicas:
                await replica.kill()
