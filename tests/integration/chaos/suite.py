"""Runs chaos from one seed: rounds of faults, and after each all must be as it ought to be.

It must never draw anything but from the seed, nor let what is wrong go unsaid.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from random import Random
from threading import Event, Thread

from tests.integration.chaos.faults import FAULTS, Fault
from tests.integration.chaos.site import BACKENDS, CALM, PORT
from tests.integration.chaos.world import World
from tests.lab import wait_for
from tests.simulation import ending
from tests.simulation.cluster import NAMESPACE

TICK_S = 0.05
ROUND_S = 120.0
LEAST_S = 30.0
AT_A_TIME = 4
PAUSE_S = (0.2, 2.5)
START_S = 60.0
BOUND_S = 75.0
"""Invariant 5's bound: what a hand has done often is put right a minute later."""

QUIET_S = 8.0
"""So long nothing may be written in the end: many rounds of checks, and of asking the sources."""

EVERY_S = 0.2


@dataclass(frozen=True)
class Step:
    """What is drawn for one fault: which, after what pause, on whom, and for how long."""

    fault: Fault
    pause: float
    whom: float
    seconds: float


def steps(seed: int) -> Iterator[Step]:
    """Yield what a seed stands for, without end."""
    rng = Random(seed)  # noqa: S311  it makes a world, not a secret
    weights = [fault.weight for fault in FAULTS]
    while True:
        (fault,) = rng.choices(FAULTS, weights)
        seconds = rng.uniform(fault.least, fault.most)
        yield Step(fault, rng.uniform(*PAUSE_S), rng.random(), seconds)


class Suite:
    """One run. `counts` says how often each fault came."""

    def __init__(self, world: World, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.requests = 0
        self._world = world
        self._steps = steps(seed)
        self._playing: list[Thread] = []
        self._failure: BaseException | None = None

    def run(self, seconds: float, latest: float) -> None:
        """Have faults come for so long. Raise Violation for the first thing that is wrong.

        They end at `latest`, by the monotonic clock, unless they have hardly begun.
        """
        self._wait_until_right(START_S, "the beginning")
        with self._answered():
            began = time.monotonic()
            until = max(began + LEAST_S, min(began + seconds, latest))
            while (left := until - time.monotonic()) > 0:
                self._round(min(left, ROUND_S))

    def _round(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                step = next(self._steps)
                self._pass(step.pause)
                self._begin(step)
        finally:
            self._world.faults_are_over.set()
            for thread in self._playing:
                thread.join()
            self._playing.clear()
            self._world.faults_are_over.clear()
        self._ends_well()

    def _begin(self, step: Step) -> None:
        world = self._world
        self._playing = [thread for thread in self._playing if thread.is_alive()]
        target, name = step.fault.on(world, step.whom)
        if len(self._playing) < AT_A_TIME and world.is_free(name):
            world.begins(name)
            self.counts[step.fault.name] += 1
            thread = Thread(target=self._play, args=(step, target, name))
            self._playing.append(thread)
            thread.start()

    def _play(self, step: Step, target: object, name: str) -> None:
        world, words = self._world, f"{step.fault.name}: {name}"
        try:
            world.journal.note(f"{words}, for {step.seconds:.1f} s")
            with step.fault.begin(world, target):
                world.passes(step.seconds)
            world.journal.note(f"{words}, is over")
        except BaseException as error:  # noqa: BLE001  the suite raises it
            error.add_note(words)
            self._failure = error
        finally:
            world.ends(name, step.fault.rest)

    # --- the end of a round --------------------------------------------------------------------

    def _ends_well(self) -> None:
        """Hold the world to invariant 5, all faults being over."""
        world = self._world
        world.journal.note("all faults are over")
        self._wait_until_heard()
        until = time.monotonic() + BOUND_S
        while True:
            left = until - time.monotonic()
            self._wait_until_right(left, "all faults were over")
            before = world.recorder.last_write
            self._pass(QUIET_S)
            self._wait_until_heard()
            if world.recorder.last_write == before and not ending.differences(world.checker):
                return
            if time.monotonic() > until:
                world.journal.breach("invariant 5: all was as it ought to be, and more is written")
                world.journal.raise_if_violated()

    def _wait_until_heard(self) -> None:
        """Have the recorder hear of all that has been stored by now, or say that it doesn't."""
        world = self._world
        until, stored = time.monotonic() + START_S, self._world.stored()
        while not world.recorder.has_shown(stored):
            if time.monotonic() > until:
                world.journal.breach(f"the history has a gap: nothing tells of revision {stored}")
            self._pass(TICK_S)

    def _wait_until_right(self, seconds: float, after: str) -> None:
        world = self._world
        until = time.monotonic() + seconds
        while left := ending.differences(world.checker):
            if time.monotonic() > until:
                late = f"invariant 5: {seconds:.0f} s after {after}: {'; '.join(left)}"
                world.journal.breach(late)
            self._pass(TICK_S)

    def _pass(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            self._world.look()
            if self._failure is not None:
                raise self._failure
            if time.monotonic() >= until:
                return
            Event().wait(TICK_S)

    # --- the client ----------------------------------------------------------------------------

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Send requests through IPVS all the while; each must be answered."""
        world, node = self._world, self._world.lab.node
        addresses = {one.name: self._cluster_ip(one.name) for one in CALM}
        urls = {name: f"http://{address}:{PORT}/" for name, address in addresses.items()}

        def is_served() -> bool:
            table = node.ipvs()
            return all(
                len(table.get((address, PORT), {})) == BACKENDS["calm"]
                for address in addresses.values()
            )

        def all_answer() -> bool:
            return not any(node.get(url).error for url in urls.values())

        world.node_is_up()
        wait_for(is_served, START_S, "the real servers of what is calm")
        # kube-proxy fills the IPVS table before it makes an address reachable.
        wait_for(all_answer, START_S, "answers of what is calm")
        world.journal.note("requests begin")
        asked = {}
        with ExitStack() as stack:
            for name, url in urls.items():
                asked[name] = stack.enter_context(node.requesting(url, every=EVERY_S))
            yield
        for name, codes in asked.items():
            self.requests += len(codes())
            failed = [f"{n * EVERY_S:.0f} s" for n, code in enumerate(codes()) if code != 200]
            if failed or not codes():
                world.journal.breach(f"requests to {name} failed, some {', '.join(failed)} on")
        world.journal.raise_if_violated()

    def _cluster_ip(self, name: str) -> str:
        found = self._world.lab.api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{name}")
        return str(found.raise_for_status().json()["spec"]["clusterIP"])
