"""From a seed to a verdict, in words that say how to replay it."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path

from tests.integration.chaos.suite import Suite
from tests.integration.chaos.world import World
from tests.simulation.journal import Violation


def chaos(
    folder: Path, seconds: float, seed: int, bug: str = "", *, latest: float = math.inf
) -> str:
    """Have faults come for so long; return what there was. Raise Violation with a short trace.

    They end at `latest` seconds from now, however long the beginning took.
    """
    began = time.monotonic()
    replay = (
        f"replay with: make chaos SECONDS={seconds:g} SEED={seed}{f' BUG={bug}' if bug else ''}"
    )
    with World.begun(folder, bug) as world:
        suite = Suite(world, seed)
        try:
            suite.run(seconds, began + latest)
        except Violation as error:
            kept = f"the replicas' logs are kept in {_keep(world, folder)}"
            said = f"chaos, seed {seed}: {error}"
            raise Violation("\n  ".join([said, _summary(world, suite), kept, replay])) from None
        except BaseException as error:
            error.add_note("\n".join([*world.journal.trace, replay]))
            raise
        return f"seed {seed}: {_summary(world, suite)}"


def _keep(world: World, folder: Path) -> Path:
    for replica in world.replicas:
        if replica.process.log.exists():
            shutil.copy(replica.process.log, folder / f"replica-{replica.name}.log")
    return folder


def _summary(world: World, suite: Suite) -> str:
    recorder = world.recorder
    faults = ", ".join(f"{count} x {name}" for name, count in suite.counts.most_common())
    by = ", ".join(f"{n} by {who or 'controllers'}" for who, n in recorder.writes.most_common())
    return (
        f"after {world.clock():.0f} s: {suite.counts.total()} faults ({faults}); "
        f"{recorder.changes} changes ({by}), {recorder.guesses} of them by inference; "
        f"{len(recorder.leaders)} changes of leader; {suite.requests} requests answered"
    )
