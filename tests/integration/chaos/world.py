"""One world of chaos: a lab, its Services, the replicas, and the checker that looks on.

It must never excuse what registrar does: only the time in which nobody could have done better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from tests.integration.chaos.authors import POLICY, Authors
from tests.integration.chaos.history import AS_JSON, History
from tests.integration.chaos.recorder import Recorder
from tests.integration.chaos.replica import Replica
from tests.integration.chaos.site import Clock, Site
from tests.lab import Lab
from tests.simulation.checker import Checker
from tests.simulation.cluster import NAMESPACE
from tests.simulation.journal import Journal

SURE_S = 30.0
"""Longer than the simulation's: what was sent before a cut may arrive so much later, by TCP."""

CALM_S = 15.0
LONGEST_WAIT_S = 30.0
"""A watch that has failed for a while is tried again after so long at most."""

UNHEARD = {0, 3}
"""Told to stop, or without a way to the API server: a kubelet starts it again."""
GIVEN_UP = {*UNHEARD, 2}
"""An API server that has just begun forbids everything, until it has read its roles."""

MACHINES = (10, 11, 12)


@dataclass
class Trouble:
    """What goes on under one name: whether it does, and until when it is felt."""

    goes_on: bool = False
    since: float = 0.0
    felt_until: float = 0.0
    rests_until: float = 0.0


@dataclass
class World:
    """All of it. Whoever touches the checker holds the site's lock."""

    lab: Lab
    site: Site
    clock: Clock
    journal: Journal
    checker: Checker
    replicas: list[Replica]
    recorder: Recorder
    node_is_up: Callable[[], object]
    """Waits until it is."""
    faults_are_over: Event = field(default_factory=Event)
    troubles: dict[str, Trouble] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def begun(cls, folder: Path, bug: str) -> Iterator[World]:
        """Make a world, with the node and all replicas running."""
        clock = Clock()
        policy = folder / "audit-policy.yaml"
        policy.write_text(POLICY)
        with ExitStack() as stack:
            lab = stack.enter_context(Lab.up(AS_JSON, f"--audit-policy-file={policy}"))
            journal = Journal(clock)
            history = stack.enter_context(History(lab))
            site = Site(lab, folder / "site", journal.note, clock)
            boot = stack.enter_context(ThreadPoolExecutor(1)).submit(lab.boot_node)
            site.build()
            replicas = [
                Replica(lab, name, number, site.folder / "registrar.yaml", bug)
                for name, number in zip("abc", MACHINES, strict=True)
            ]
            by = {replica.user: replica.by for replica in replicas}
            world: World
            recorder = Recorder(
                history,
                Authors(lab.state / "audit.log", by),
                journal,
                clock,
                lambda: world.goes_on("control plane"),
            )
            checker = Checker(site.truth, journal.breach, recorder.now)
            checker.sure_s, checker.calm_s = SURE_S, CALM_S
            world = cls(lab, site, clock, journal, checker, replicas, recorder, boot.result)
            for replica in replicas:
                stack.enter_context(replica.plugged_in()).start()
            yield world

    # --- who is who ----------------------------------------------------------------------------

    def replica(self, draw: float) -> Replica:
        """Return the leader, in half of the draws, or else any replica."""
        leader = self.leader
        if draw < 0.5 and leader is not None:
            return leader
        return self.replicas[int(draw * 1000) % len(self.replicas)]

    @property
    def leader(self) -> Replica | None:
        return next((one for one in self.replicas if one.by == self.checker.leader), None)

    # --- what goes on --------------------------------------------------------------------------

    def goes_on(self, name: str) -> bool:
        """Say whether a fault of that name is in force."""
        return name in self.troubles and self.troubles[name].goes_on

    def is_free(self, name: str) -> bool:
        """Say whether a fault of that name may begin."""
        there = self.troubles.setdefault(name, Trouble())
        return not there.goes_on and self.clock() >= there.rests_until

    def begins(self, name: str) -> None:
        there = self.troubles.setdefault(name, Trouble())
        there.goes_on, there.since = True, self.clock()

    def ends(self, name: str, rest: float) -> None:
        there, now = self.troubles[name], self.clock()
        lasted = now - there.since
        there.goes_on, there.rests_until = False, now + rest
        there.felt_until = now + 5 + min(LONGEST_WAIT_S, 2 * lasted)

    def is_felt(self, name: str) -> bool:
        """Say whether a fault of that name is in force, or may still have consequences."""
        there = self.troubles.get(name)
        return there is not None and (there.goes_on or self.clock() < there.felt_until)

    def stored(self) -> int:
        """Return the revision of what was stored last."""
        asked = f"/api/v1/namespaces/{NAMESPACE}/services"
        listed = self.lab.api.get(asked, params={"limit": 1}).raise_for_status().json()
        return int(listed["metadata"]["resourceVersion"])

    def passes(self, seconds: float) -> None:
        """Let time pass within a fault, unless all faults are to end."""
        self.faults_are_over.wait(seconds)

    # --- every step ----------------------------------------------------------------------------

    def look(self) -> None:
        """Show the checker what is new; raise Violation if something is wrong."""
        with self.site.lock:
            self._excuse()
            self.recorder.pump(self.checker)
        for replica in self.replicas:
            for line in replica.defects():
                self.journal.breach(f"replica {replica.name} logs an error: {line}")
            self._restart_as_a_kubelet_does(replica)
        self.journal.raise_if_violated()

    def _excuse(self) -> None:
        now, leader = self.clock(), self.leader
        is_away = self.is_felt("control plane")
        parts = ("process", "network", "disk")
        if is_away or leader is None or any(self.is_felt(f"{p} {leader.name}") for p in parts):
            self.checker.heard_since = now
        for seen in self.checker.services.values() if is_away else ():
            # Neither registrar nor the mirroring controller can put right what a hand has done.
            if now - max(seen.touched, seen.changed) <= CALM_S:
                seen.touched = now

    def _restart_as_a_kubelet_does(self, replica: Replica) -> None:
        status = replica.process.exit_status
        if status is None or self.goes_on(f"process {replica.name}"):
            return
        self.journal.note(f"replica {replica.name} has ended with {status}")
        if status not in (GIVEN_UP if self.is_felt("control plane") else UNHEARD):
            said = replica.process.log_tail(3)
            self.journal.breach(f"replica {replica.name} has ended with {status}; it said {said}")
        replica.start()
