"""One world with registrar in it: the truth, the far ends, the API server, a process, the checker.

Scenarios act on it. It must never reach into registrar: that is started, killed and watched only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest.mock import patch

import structlog
from structlog.typing import EventDict, WrappedLogger

from registrar.app import Ends as AppEnds
from registrar.app import App, Mode, running_with
from registrar.cluster.client import Client
from registrar.cluster.transport import Reply, Request
from registrar.config import Config, SourceConfig
from registrar.embedded import ApiServer, Fault, Rule, Seen
from registrar.embedded.store import Change
from registrar.model import (
    HealthCheck,
    NetworkRules,
    PortMapping,
    Publish,
    QueryRef,
    ServiceKey,
    ServiceMapping,
    TcpProbe,
)
from registrar.schedule import ClockProofSchedule
from tests.fakes import LoopSchedule
from tests.in_process import InProcessTransport
from tests.simulation import ending
from tests.simulation.checker import REGISTRAR, SURE_S, Checker
from tests.simulation.clock import Wall
from tests.simulation.cluster import CORE, INSTANCE, NAMESPACE, SLICES, Hands, Mirror, addresses_of
from tests.simulation.ends import Ends, SimulatedOptions, SimulatedQuery, SimulatedSource
from tests.simulation.truth import ServiceTruth, Truth, now

CHECK = HealthCheck(TcpProbe(), interval=5.0, timeout=1.0, rise=2, fall=3)
POLL_S = 10.0
TRACE = 30
QUIET_S = 21.0
"""So long nothing more may be written in the end: two polls, four checks of each backend."""
LOOK_S = 1.0


class PlainSchedule(LoopSchedule):
    """A schedule without a wall clock."""

    def start(self) -> None:
        return

    def stop(self) -> None:
        return


class Line(InProcessTransport):
    """The way of one process to the API server: once it is dead nothing passes, either way."""

    is_dead = False

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncGenerator[Reply]:
        await self._passes()
        async with super().send(request) as reply:
            await self._passes()
            yield reply

    async def _passes(self) -> None:
        if self.is_dead:
            await asyncio.Event().wait()


class Violation(AssertionError):
    """An invariant, or what a row promises, does not hold."""


class NotYet(Exception):
    """What a row needs that registrar doesn't have yet."""


@dataclass(frozen=True)
class Size:
    """How large a world is, and what its times are."""

    services: int = 1
    backends: int = 3
    parts: int = 1
    sources: int = 1
    watched: bool = False
    publish: str = "both"
    adopt: bool = False
    checked: bool = True
    check: HealthCheck = CHECK
    poll_s: float = POLL_S
    max_backends: int = 5000
    on_apscheduler: bool = False
    """Run polls on APScheduler, as in earnest; else on the event loop, which is far cheaper."""
    bound_s: float = 25.0
    """Invariant 5's bound: the longest backoff or poll, and the checks that follow."""


class Simulation:
    """A world from one seed. `alone`: a single row's faults are in it, so it can be told what
    must not happen meanwhile."""

    def __init__(self, rng: Random, size: Size, *, alone: bool = True) -> None:
        self.rng, self.size, self.alone = rng, size, alone
        self.trace: deque[str] = deque(maxlen=TRACE)
        self.violation: str | None = None
        self.holds: list[tuple[float, str]] = []
        """Each hold that registrar has logged: when, and its reason."""
        self.truth = Truth(self._world_changed)
        self.checker = Checker(self.truth, self.breach)
        self.ends = Ends(self.truth, rng, self._note)
        self.wall = Wall()
        self.api = ApiServer(now=self.wall.now, rng=Random(rng.random()), controllers=True)
        self.api.listen(self._stored)
        self.hands = Hands(self.api)
        self.hands.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self.mirror = Mirror(self.hands, lambda: rng.uniform(0.008, 0.5))
        self.checker.sure_s = max(SURE_S, 4 * size.check.interval)
        if size.watched:
            self.ends.watched |= {"racks", "dns"}
        self.app: App | None = None
        self._line: Line | None = None
        self._process: asyncio.Task[None] | None = None
        self._starts = 0
        self._last_write = 0.0
        self._dies_at: Callable[[Change], bool] | None = None
        self._populate()

    def _populate(self) -> None:
        size, rng = self.size, self.rng
        for index in range(size.services):
            name, group = f"web{index}", f"group{index}"
            source = ("racks", "dns")[index % size.sources]
            self.truth.services[name] = ServiceTruth(
                name, ((source, group),), size.publish, size.adopt, size.checked
            )
            for part in range(size.parts):
                members = [f"10.{index}.{part}.{n}" for n in range(1, size.backends + 1)]
                rng.shuffle(members)
                self.truth.lists(source, group, f"part{part}", members)
            self.hands.service(name)

    # --- the process -----------------------------------------------------------------------------

    def config(self) -> Config:
        class OfThisWorld(SimulatedSource):
            ends = self.ends

        sources = sorted({g[0] for s in self.truth.services.values() for g in s.groups})
        options = [
            SimulatedOptions.model_validate(
                {"name": name, "interval": f"{self.size.poll_s:g}s", "timeout": "5s"}
            )
            for name in sources
        ]
        return Config(
            Path(),
            INSTANCE,
            NetworkRules(tuple(self.checker.allowed)),
            tuple(SourceConfig(o.name, OfThisWorld, o) for o in options),
            tuple(self._mapping(service) for service in self.truth.services.values()),
        )

    def _mapping(self, service: ServiceTruth) -> ServiceMapping:
        queries = tuple(
            QueryRef(source, SimulatedQuery.model_validate({"group": group}))
            for source, group in service.groups
        )
        port = PortMapping(None, queries, None, self.size.check if service.checked else None)
        return ServiceMapping(
            ServiceKey(NAMESPACE, service.name),
            (port,),
            Publish(service.publish),
            service.adopt,
            max_backends=self.size.max_backends,
        )

    def start(self) -> None:
        """Start a process of registrar that knows of nothing, unless there is one."""
        if not self.is_dead:
            return
        self._starts += 1
        agent = f"{REGISTRAR}{self._starts}"
        self._note(f"{agent} starts")
        self._line = Line(self.api, agent)
        self._process = asyncio.create_task(self._run(Client(self._line)))

    async def _run(self, client: Client) -> None:
        ends = AppEnds(self.ends.check, self.wall.now, Random(self.rng.random()))
        schedule = ClockProofSchedule if self.size.on_apscheduler else PlainSchedule
        try:
            with patch("registrar.app.running.ClockProofSchedule", schedule):
                async with running_with(client, self.config(), Mode.STAY, ends) as self.app:
                    await asyncio.Event().wait()
        except Exception as error:  # whatever it is, the process has ended by itself
            self.breach(f"the process died: {error!r}")
            raise

    async def kill(self) -> None:
        """End the process as kill -9 would: what is under way is never finished."""
        if self._process is not None:
            self._note("registrar is killed")
            self._die()
            with suppress(asyncio.CancelledError, Exception):
                await self._process
            self._process = None

    def _die(self) -> None:
        # Cancelling lets every task take one more step; a dead process takes none.
        if self._line is not None and self._process is not None:
            self._line.is_dead = True
            self._process.cancel()

    def dies_at(self, which: Callable[[Change], bool]) -> None:
        """Kill the process as soon as it has had such a change stored, before it hears of it."""
        self._dies_at = which

    @property
    def is_dead(self) -> bool:
        return self._process is None or self._process.done()

    def look_again(self, name: str) -> None:
        """Have registrar look at a Service, as any event may."""
        if self.app is not None:
            self.app.due.mark(ServiceKey(NAMESPACE, name))

    def reload(self, change: object) -> None:
        """Have the running process take another configuration."""
        raise NotYet(f"reload: {change}")

    # --- faults of the API server ----------------------------------------------------------------

    def fault(
        self, fault: Fault, verb: str = "", resource: str = "", *, name: str = "", times: int = -1
    ) -> Rule:
        """Have requests of registrar, and nobody else's, meet a fault."""
        self._note(f"API server: {fault} for {verb or 'all'} {resource} {name}")
        return self.api.faults.add(
            fault,
            verb=verb,
            resource=resource,
            name=name,
            user_agent=REGISTRAR,
            times=None if times < 0 else times,
        )

    # --- time ------------------------------------------------------------------------------------

    async def passes(self, seconds: float) -> None:
        """Let time pass; raise Violation if something breaks meanwhile."""
        await asyncio.sleep(seconds)
        self.checker.looked()
        self.raise_if_violated()

    async def passes_between(self, least: float, most: float) -> None:
        await self.passes(self.rng.uniform(least, most))

    async def settles(self, bound: float, what: str) -> None:
        """Let time pass until all is as it ought to be; raise Violation if that takes too long."""
        until = now() + bound
        while left := ending.differences(self.checker):
            if now() >= until:
                self.breach(f"invariant 5: {what}, and after {bound:g} s {'; '.join(left)}")
            await self.passes(LOOK_S)

    async def ends_well(self, bound: float) -> None:
        """Hold the world to invariant 5, all faults being over."""
        self._note("all faults are over")
        await self.settles(bound, "all faults are over")
        # What is under way when the last difference goes (Endpoints after slices) may still end.
        await self.passes(LOOK_S)
        before = self._last_write
        await self.passes(QUIET_S)
        if self._last_write != before:
            self.breach("invariant 5: all is as it ought to be, and more is written")
            self.raise_if_violated()
        await self.settles(0, "it has been right already")

    @asynccontextmanager
    async def nothing_written(self) -> AsyncGenerator[None]:
        """Hold registrar to writing nothing within the block, if nothing else goes on."""
        before = self._last_write
        yield
        if self.alone and self._last_write != before:
            self.breach(f"something was written at {self._last_write:.1f} s, in a hold")
        self.raise_if_violated()

    # --- what scenarios hold it to -----------------------------------------------------------------

    def expect(self, holds: object, words: str) -> None:
        """Raise Violation unless so. In a mixture of faults nothing can be told in advance."""
        if self.alone and not holds:
            self.breach(words)
            self.raise_if_violated()

    def expect_hold(self, reason: str, since: float) -> None:
        said = [why for when, why in self.holds if when >= since]
        self.expect(reason in said, f"no hold says {reason}: {said}")

    def published(self, name: str) -> dict[str, bool]:
        return self.checker.services[name].published

    def endpoints(self, name: str) -> dict[str, bool] | None:
        found = self.checker.services[name].endpoints
        return None if found is None else addresses_of(found)

    def written(self, since: float = 0.0) -> list[Change]:
        """Return what registrar has had stored."""
        return [c for c in self.api.history if c.by.startswith(REGISTRAR) and c.seconds >= since]

    def gains(self, name: str, address: str = "") -> str:
        """Have a Service's source list one more backend, which serves; return its address."""
        (source, group), *_ = self.truth.services[name].groups
        address = address or f"10.9.{self.rng.randrange(250)}.{self.rng.randrange(1, 250)}"
        part, there = self.rng.choice(sorted(self.truth.groups[source, group].items()))
        self.truth.lists(source, group, part, [*there.members, address])
        return address

    def loses(self, name: str, address: str) -> None:
        """Have a Service's source list a backend no more."""
        for source, group in self.truth.services[name].groups:
            for part, there in self.truth.groups[source, group].items():
                left = [one for one in there.members if one != address]
                self.truth.lists(source, group, part, left)

    def requests(self, verbs: frozenset[str]) -> list[Seen]:
        """Return what registrar has asked the API server, granted or not."""
        asked = self.api.requests
        return [r for r in asked if r.user_agent.startswith(REGISTRAR) and r.verb in verbs]

    def path(self, resource: str, name: str) -> str:
        return f"{SLICES if resource == 'endpointslices' else f'{CORE}/{resource}'}/{name}"

    def service(self) -> str:
        """Return the name of some Service."""
        return self.rng.choice(sorted(self.truth.services))

    def member(self, name: str, besides: Collection[str] = ()) -> str:
        """Return the address of some backend of a Service."""
        found = sorted(self.truth.listed(name).difference(besides))
        return self.rng.choice(found) if found else self.gains(name)

    # --- what happens ----------------------------------------------------------------------------

    def breach(self, words: str) -> None:
        if self.violation is None:
            self.violation = f"{words}\n" + "\n".join(f"  {line}" for line in self.trace)

    def raise_if_violated(self) -> None:
        if self.violation is not None:
            raise Violation(self.violation)

    def _note(self, words: str) -> None:
        self.trace.append(f"{now():9.3f}  {words}")

    def _world_changed(self, words: str) -> None:
        self._note(words)
        self.checker.looked()

    def _stored(self, change: Change) -> None:
        by = change.by or "controllers"
        said = addresses_of(change.object)
        shown = [f"{a}{'' if ready else ' (not ready)'}" for a, ready in sorted(said.items())]
        what = f"{by}: {change.type} {change.resource} {change.name} [{', '.join(shown[:8])}]"
        self._note(what)
        if change.by.startswith(REGISTRAR):
            self._last_write = change.seconds
            if self._dies_at is not None and self._process is not None and self._dies_at(change):
                self._note("registrar is killed in the middle of it")
                self._dies_at = None
                self._die()
        self.checker.stored(change)

    @contextmanager
    def listening(self) -> Generator[None]:
        """Take what registrar logs into the trace."""

        def take(_: WrappedLogger, level: str, event: EventDict) -> EventDict:
            if event["event"] == "hold":
                self.holds.append((now(), event["reason"]))
            if event["event"] != "published":
                told = {k: v for k, v in event.items() if k not in {"event", "services"}}
                self._note(f"log: {event['event']} {told}"[:240])
            if level == "error":
                self.breach(f"registrar logs an error: {event}")
            raise structlog.DropEvent

        processors = structlog.get_config()["processors"]
        kept = list(processors)
        processors[:] = [take]  # in place: loggers that were bound before hold the same list
        try:
            yield
        finally:
            processors[:] = kept
