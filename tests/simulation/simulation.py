"""One world with registrar in it: the truth, the far ends, the API server, a process, the checker.

Scenarios act on it. It must never reach into registrar: that is started, killed and watched only.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager, suppress
from random import Random

from structlog.typing import EventDict

from registrar.app.construction import Ends as AppEnds
from registrar.cluster.lease import LeaseTerms
from registrar.config import Config
from registrar.embedded import ApiServer, Deaf, Fault, Rule, Seen, Silence
from registrar.embedded.store import Change
from registrar.embedded.values import text_at
from registrar.model import NetworkRules, ServiceKey
from tests.simulated_engine import played
from tests.simulation import ending
from tests.simulation.checker import KINDS, REGISTRAR, SURE_S, Checker
from tests.simulation.clock import Wall
from tests.simulation.cluster import CORE, NAMESPACE, SLICES, Hands, Mirror, addresses_of
from tests.simulation.ends import Ends
from tests.simulation.file import ConfigFile
from tests.simulation.journal import Journal
from tests.simulation.mappings import CANARY, Size, config_of
from tests.simulation.process import Process
from tests.simulation.truth import ServiceTruth, Truth, now

QUIET_S = 21.0
"""So long nothing more may be written in the end: two polls, four checks of each backend."""
LOOK_S = 1.0
LEASE = "registrar"


class Simulation:
    """A world from one seed.

    `alone`: a single row's faults are in it, so it can be told what must not happen meanwhile.
    """

    def __init__(self, rng: Random, size: Size, *, alone: bool = True) -> None:
        self.rng, self.size, self.alone = rng, size, alone
        self.journal = Journal()
        self.truth = Truth(self._world_changed)
        self.checker = Checker(self.truth, self.journal.breach)
        self.ends = Ends(self.truth, rng, self.journal.note)
        self.wall = Wall()
        self.api = ApiServer(now=self.wall.now, rng=_branch(rng), controllers=True)
        self.api.listen(self._stored)
        self.hands = Hands(self.api)
        self.mirror = Mirror(self.hands, lambda: rng.uniform(0.008, 0.5))
        self.missing: Collection[str] = ()
        """Services that the file lacks by mistake."""
        self.accept_removed: str | None = None
        self.file = ConfigFile(self._config)
        agents = (f"{REGISTRAR}{number:02}" for number in itertools.count(1))
        self.replicas = [
            Process(self.api, self.journal, self.file, self._ends_of, agents)
            for _ in range(size.replicas)
        ]
        self.process = self.replicas[0]
        self._last_write = 0.0
        self._elected = asyncio.Event()
        self._populate()

    def _populate(self) -> None:
        size = self.size
        if size.check is not None:
            self.checker.sure_s = max(SURE_S, 4 * size.check.interval)
        if size.canary:
            self.truth.exists([CANARY])
        self.ends.window_s = size.window_s
        if size.watched:
            self.ends.watched |= {"racks", "dns"}
        self.hands.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        for index in range(size.services):
            name, group = f"web{index}", f"group{index}"
            source = ("racks", "dns")[index % size.sources]
            self.truth.services[name] = ServiceTruth(
                name, ((source, group),), size.publish, size.adopt, size.check is not None
            )
            for part in range(size.parts):
                members = [f"10.{index}.{part}.{n}" for n in range(1, size.backends + 1)]
                self.rng.shuffle(members)
                self.truth.lists(source, group, f"part{part}", members)
            self.hands.service(name)

    def _ends_of(self, agent: str) -> AppEnds:
        is_alone = self.size.replicas == 1
        lease = None if is_alone else LeaseTerms(NAMESPACE, LEASE, agent)
        return AppEnds(played(self.ends.check), self.wall.now, _branch(self.rng), lease)

    def _config(self) -> Config:
        services = {n: s for n, s in self.truth.services.items() if n not in self.missing}
        rules = NetworkRules(tuple(self.checker.allowed))
        return config_of(services, self.size, self.ends, rules, self.accept_removed)

    # --- what scenarios do -----------------------------------------------------------------------

    def fault(
        self, fault: Fault, verb: str = "", resource: str = "", *, name: str = "", times: int = -1
    ) -> Rule:
        """Have requests of registrar, and nobody else's, meet a fault."""
        self.journal.note(f"API server: {fault} for {verb or 'all'} {resource} {name}")
        return self.api.faults.add(
            fault,
            verb=verb,
            resource=resource,
            name=name,
            user_agent=REGISTRAR,
            times=None if times < 0 else times,
        )

    def gains(self, name: str, address: str = "") -> str:
        """Have a Service's source list one more backend, which serves; return its address."""
        (source, group), *_ = self.truth.services[name].groups
        address = address or f"10.9.{self.rng.randrange(250)}.{self.rng.randrange(1, 250)}"
        part, there = self.rng.choice(sorted(self.truth.groups[source, group].items()))
        self.truth.lists(source, group, part, [*there.members, address])
        return address

    def loses(self, name: str, address: str) -> None:
        """Have a Service's sources list a backend no more."""
        for source, group in self.truth.services[name].groups:
            for part, there in self.truth.groups[source, group].items():
                left = [one for one in there.members if one != address]
                self.truth.lists(source, group, part, left)

    @property
    def leader(self) -> Process:
        """The replica that leads, by what the Lease says."""
        return next(one for one in self.replicas if one.agent == self.leader_agent)

    @property
    def leader_agent(self) -> str:
        """Its user agent; it may have died since."""
        return self.checker.leader or ""

    async def takes_over(self, former: str, within: float) -> None:
        """Let time pass until another replica leads; raise Violation if that takes too long."""
        until = now() + within
        while self.leader_agent == former and now() < until:
            self._elected.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(until - now()):
                    await self._elected.wait()
        self.expect(self.leader_agent != former, f"nobody has taken over within {within:g} s")

    def cut_off(self, replica: Process, *, applied: bool = False) -> list[Rule]:
        """Have a replica not hear from the API server, which with `applied` hears from it."""
        self.journal.note(f"{replica.agent} is cut off")
        faults: list[Fault] = [Silence(applied=applied), Deaf()]
        return [self.api.faults.add(one, user_agent=replica.agent) for one in faults]

    def look_again(self, name: str) -> None:
        """Have registrar look at a Service, as any event may."""
        if self.process.app is not None:
            self.process.app.due.mark(ServiceKey(NAMESPACE, name))

    def reload(self) -> None:
        """Have the file say what it ought to by now, which the running process sees."""
        self.journal.note("the file is written")
        self.file.write()

    def spoil_file(self) -> None:
        """Have the file say something that is wrong."""
        self.journal.note("the file is spoilt")
        self.file.spoil("services: nonsense")

    def service(self) -> str:
        """Return the name of some Service."""
        return self.rng.choice(sorted(self.truth.services))

    def member(self, name: str, besides: Collection[str] = ()) -> str:
        """Return the address of some backend of a Service."""
        found = sorted(self.truth.listed(name).difference(besides))
        return self.rng.choice(found) if found else self.gains(name)

    # --- time ------------------------------------------------------------------------------------

    async def passes(self, seconds: float) -> None:
        """Let time pass; raise Violation if something breaks meanwhile."""
        await asyncio.sleep(seconds)
        self.checker.looked()
        self.journal.raise_if_violated()

    async def passes_between(self, least: float, most: float) -> None:
        await self.passes(self.rng.uniform(least, most))

    async def settles(self, bound: float, what: str) -> None:
        """Let time pass until all is as it ought to be; raise Violation if that takes too long."""
        until = now() + bound
        while left := ending.differences(self.checker):
            if now() >= until:
                late = f"invariant 5: {what}, and after {bound:.0f} s {'; '.join(left)}"
                self.journal.breach(late)
            await self.passes(LOOK_S)

    async def ends_well(self, bound: float) -> None:
        """Hold the world to invariant 5, all faults being over."""
        self.journal.note("all faults are over")
        until = now() + bound
        while True:
            await self.settles(until - now(), "all faults are over")
            # What is under way when the last difference goes (Endpoints after slices) may end.
            await self.passes(LOOK_S)
            before = self._last_write
            await self.passes(QUIET_S)
            if self._last_write == before:
                break
            if self._last_write > until:
                words = "invariant 5: all was as it ought to be, and more is written"
                self.journal.breach(words)
                self.journal.raise_if_violated()
        await self.settles(0, "it has been right already")

    # --- what scenarios hold it to ---------------------------------------------------------------

    @asynccontextmanager
    async def nothing_written(self) -> AsyncGenerator[None]:
        """Hold registrar to writing nothing within the block, if nothing else goes on."""
        before = self._last_write
        yield
        self.expect(
            self._last_write == before, f"it wrote at {self._last_write:.1f} s, where all is held"
        )

    def expect(self, holds: object, words: str) -> None:
        """Raise Violation unless so. In a mixture of faults nothing can be told in advance."""
        if self.alone and not holds:
            self.journal.breach(words)
        self.journal.raise_if_violated()

    def expect_hold(self, reason: str, since: float) -> None:
        said = [why for when, why in self.journal.holds if when >= since]
        self.expect(reason in said, f"no hold says {reason}: {said}")

    def expect_logged(self, event: str, since: float) -> EventDict:
        """Return what registrar has logged of an event since then; raise Violation if nothing."""
        said = [one for when, one in self.journal.logged if when >= since]
        found = [one for one in said if one["event"] == event]
        self.expect(found, f"{event} was not logged")
        return found[-1] if found else {}

    def published(self, name: str) -> dict[str, bool]:
        return self.checker.services[name].published

    def endpoints(self, name: str) -> dict[str, bool] | None:
        found = self.checker.services[name].endpoints
        return None if found is None else addresses_of(found)

    def written(self, since: float = 0.0) -> list[Change]:
        """Return what registrar has had stored, besides Events: those publish nothing."""
        return [c for c in self.api.history if _publishes(c) and c.seconds >= since]

    def requests(self, verbs: frozenset[str]) -> list[Seen]:
        """Return what registrar has asked the API server, granted or not."""
        asked = self.api.requests
        return [r for r in asked if r.user_agent.startswith(REGISTRAR) and r.verb in verbs]

    @property
    def lease_path(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}"

    def path(self, resource: str, name: str) -> str:
        return f"{SLICES if resource == 'endpointslices' else f'{CORE}/{resource}'}/{name}"

    # --- every step ------------------------------------------------------------------------------

    def _world_changed(self, words: str) -> None:
        self.journal.note(words)
        self.checker.looked()

    def _stored(self, change: Change) -> None:
        said = addresses_of(change.object)
        shown = [f"{a}{'' if ready else ' (not ready)'}" for a, ready in sorted(said.items())]
        what = f"{change.type} {change.resource} {change.name} [{', '.join(shown[:8])}]"
        if not _is_renewal(change):
            self.journal.note(f"{change.by or 'controllers'}: {what}")
        if change.by.startswith(REGISTRAR):
            if _publishes(change):
                self._last_write = change.seconds
            for replica in self.replicas:
                if change.by == replica.agent:
                    replica.has_stored(change)
            if change.resource == "leases" and text_at(change.object, "spec", "holderIdentity"):
                self.checker.leader = change.by
                self._elected.set()
        self.checker.stored(change)


def _publishes(change: Change) -> bool:
    return change.by.startswith(REGISTRAR) and change.resource in KINDS


def _is_renewal(change: Change) -> bool:
    if change.resource != "leases" or change.before is None:
        return False
    before, after = (text_at(o, "spec", "holderIdentity") for o in (change.before, change.object))
    return before == after


def _branch(rng: Random) -> Random:
    return Random(rng.random())  # noqa: S311  it makes a world, not a secret
