"""Stand-ins for the ends of registrar, and short ways to write down its values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from random import Random

from registrar.counts import Durations, Tally
from registrar.errors import SourceError
from registrar.metrics.catalogue import CHECK_LATENESS
from registrar.model import (
    Answer,
    Backend,
    Endpoint,
    EndpointId,
    HealthCheck,
    PortMapping,
    Publish,
    QueryRef,
    ServiceKey,
    ServiceMapping,
    ServicePort,
    ServiceState,
    Target,
    TcpProbe,
)
from registrar.source import Options, Part, Query, Source

KEY = ServiceKey("shop", "web")
CHECK = HealthCheck(TcpProbe(), interval=5.0, timeout=1.0, rise=2, fall=3)
QUERY = QueryRef("racks", "web")


def backend(address: str, port: int | None = 80) -> Backend:
    return Backend(ip_address(address), port)


def answer(*addresses: str, port: int | None = 80) -> Answer:
    return Answer(tuple(backend(address, port) for address in addresses))


def endpoint(
    address: str, *, ready: bool = True, port: int = 80, name: str = "", hostname: str | None = None
) -> Endpoint:
    return Endpoint(EndpointId(name, "TCP", ip_address(address), port), ready, hostname)


def target(address: str, port: int = 80, check: HealthCheck = CHECK) -> Target:
    return Target(ip_address(address), port, check)


def mapping(*ports: PortMapping, publish: Publish = Publish.ENDPOINTS) -> ServiceMapping:
    return ServiceMapping(KEY, ports or (PortMapping(None, (QUERY,), None, CHECK),), publish)


def service(*ports: ServicePort, families: Iterable[int] = ()) -> ServiceState:
    return ServiceState("uid-1", ports or (ServicePort(""),), families=frozenset(families))


async def pass_time(seconds: float) -> None:
    """Let virtual time pass, and happen whatever falls due in it."""
    loop = asyncio.get_running_loop()
    assert getattr(loop, "looptime_on", False), "only in a test marked `looptime`"
    passed = asyncio.Event()
    loop.call_later(seconds, passed.set)
    await passed.wait()


class LoopSchedule:
    """A Schedule on the event loop's own clock, which tests may run in virtual time."""

    def after(self, delay: float, work: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay, work)


class NoFiles:
    """A FileWatcher for a world without files."""

    def listen(self, paths: Iterable[Path], changed: Callable[[], None]) -> Callable[[], None]:
        del paths
        return asyncio.get_running_loop().call_soon(changed).cancel


class FakeOptions(Options):
    pass


class FakeQuery(Query):
    pass


class Steady(Random):
    """Chance that always draws the upper end, so that times can be told in advance."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def loop_seconds() -> float:
    """Return the event loop's time; 0 where it doesn't run yet."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return 0.0


Said = Answer | BaseException | None


class ScriptedSource(Source[FakeOptions, FakeQuery]):
    """A source that says what the test told it to: an Answer, an exception, or nothing at all.

    What is put into `streams[part]` is what watching that part tells: None ends it, an exception
    that is no SourceError is raised. A part without a stream can't be watched.
    """

    options_class = FakeOptions
    query_class = FakeQuery

    listed: list[str]
    says: dict[str, Said]

    def script(self, **says: Said) -> None:
        self.says = says
        self.listed = list(says)
        self.asked: list[str] = []
        self.split_error: BaseException | None = None
        self.streams: dict[str, asyncio.Queue[Said]] = {}

    def parts(self, query: FakeQuery) -> None:
        del query

    async def split(self, query: FakeQuery) -> list[Part[FakeQuery]]:
        if self.split_error is not None:
            raise self.split_error
        return [Part(query, name) for name in self.listed]

    async def discover(self, part: Part[FakeQuery]) -> Answer:
        self.asked.append(part.name)
        said = self.says[part.name]
        if said is None:
            await asyncio.Event().wait()
        if isinstance(said, BaseException):
            raise said
        assert said is not None
        return said

    def watch(self, part: Part[FakeQuery]) -> AsyncGenerator[Answer | SourceError] | None:
        stream = self.streams.get(part.name)
        return None if stream is None else self._tell(stream)

    async def _tell(self, stream: asyncio.Queue[Said]) -> AsyncGenerator[Answer | SourceError]:
        while (said := await stream.get()) is not None:
            if isinstance(said, BaseException) and not isinstance(said, SourceError):
                raise said
            yield said


class RecordingEngine:
    """An engine that checks nothing and notes what it was asked to check."""

    def __init__(self) -> None:
        self._added: list[Target] = []
        self.rechecked: list[Target] = []
        self.tells_all = False
        self.tallies: Mapping[str, Tally] = {}
        self.lateness = Durations(CHECK_LATENESS.buckets)

    def add(self, target: Target, durations: Sequence[Durations]) -> None:
        del durations
        self._added.append(target)

    def remove(self, target: Target, durations: Sequence[Durations]) -> None:
        del durations
        self._added.remove(target)

    @property
    def targets(self) -> list[Target]:
        return list(dict.fromkeys(self._added))

    def recheck(self, targets: Iterable[Target]) -> None:
        self.rechecked.extend(targets)

    def tell_all(self, *, is_on: bool) -> None:
        self.tells_all = is_on

    async def renew(self, targets: Iterable[Target]) -> None:
        """Check nothing: the test says how a check ends."""
