"""The far ends as registrar meets them: sources and backends that answer from the truth, or fail.

They must never know more than the truth and the fault in force, nor tell registrar which it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from random import Random

from registrar.errors import SourceError
from registrar.model import Answer, Backend, CheckResult, Dropped, Outcome, Target
from registrar.source import Options, Part, Query, Source, Text
from tests.simulation.truth import Reach, Truth

PORT = 8080

Script = Callable[[Sequence[str]], Awaitable[Answer]]
"""What a source does in place of telling the truth, given that."""


class SimulatedOptions(Options):
    name: Text


class SimulatedQuery(Query):
    group: Text


class SimulatedSource(Source[SimulatedOptions, SimulatedQuery]):
    """A source of whatever kind: it lists what the truth has, unless a script is in force."""

    options_class = SimulatedOptions
    query_class = SimulatedQuery
    ends: Ends
    """Set on a subclass of each world's own."""

    def parts(self, query: SimulatedQuery) -> None:
        """None: the list of them may fail as well."""
        del query

    async def split(self, query: SimulatedQuery) -> Sequence[Part[SimulatedQuery]]:
        await self.ends.may_fail(self.options.name, "split")
        group = self.ends.truth.groups[self.options.name, query.group]
        return [Part(query, name) for name in group]

    async def discover(self, part: Part[SimulatedQuery]) -> Answer:
        return await self.ends.ask(self.options.name, part.query.group, part.name)

    def watch(self, part: Part[SimulatedQuery]) -> AsyncGenerator[Answer | SourceError] | None:
        if self.options.name not in self.ends.watched:
            return None
        return self.ends.tell(self.options.name, part.query.group, part.name)


class Ends:
    """All sources and all backends, and the faults they are under."""

    def __init__(self, truth: Truth, rng: Random, noted: Callable[[str], None]) -> None:
        class OfThisWorld(SimulatedSource):
            pass

        OfThisWorld.ends = self
        self.plugin: type[SimulatedSource] = OfThisWorld
        self.truth = truth
        self.asked: list[tuple[float, str, str]] = []
        """Each question: when, of which source and part."""
        self.watched: set[str] = set()
        self.scripts: dict[tuple[str, str], Script] = {}
        """By source and part; the part "" stands for all of the source's, "split" for the list."""
        self.window_s = 0.0
        self.is_own_network_dead = False
        self.has_descriptors = True
        self._rng = rng
        self._noted = noted
        self._news = asyncio.Event()
        self._is_broken = False

    # --- sources -------------------------------------------------------------------------------

    @contextmanager
    def under(self, script: Script, source: str = "racks", part: str = "") -> Generator[None]:
        """Have a source, or a part of it, do so within the block."""
        self.scripts[source, part] = script
        try:
            yield
        finally:
            if self.scripts.get((source, part)) is script:  # another may have come meanwhile
                del self.scripts[source, part]

    async def may_fail(self, source: str, part: str) -> None:
        if script := self.scripts.get((source, part)):
            await script(())

    async def ask(self, source: str, group: str, part: str) -> Answer:
        self.asked.append((asyncio.get_running_loop().time(), source, part))
        await asyncio.sleep(self._rng.uniform(0.001, 0.3))
        return await self._answer(source, group, part)

    async def tell(
        self, source: str, group: str, part: str
    ) -> AsyncGenerator[Answer | SourceError]:
        while True:
            self.asked.append((asyncio.get_running_loop().time(), source, f"{part} (watch)"))
            if self._is_broken:
                raise SourceError("the stream broke")
            yield await self._answer(source, group, part)
            await self._news.wait()

    def stream_news(self, *, broken: bool = False) -> None:
        """Have watches say what is new, or break and stay broken."""
        self._is_broken = broken
        self._news.set()
        self._news = asyncio.Event()

    async def _answer(self, source: str, group: str, part: str) -> Answer:
        members = tuple(self.truth.groups[source, group][part].members)
        script = self.scripts.get((source, part)) or self.scripts.get((source, ""))
        try:
            said = await script(members) if script else answer(members)
            said = replace(said, window=self.window_s)
        except (SourceError, ValueError) as error:
            self._noted(f"{source}/{group}/{part} fails: {error}")
            raise
        addresses = [str(backend.address) for backend in said.backends]
        self.truth.answered(source, group, part, addresses)
        if set(addresses) != set(members):
            self._noted(f"{source}/{group}/{part} lies: {', '.join(addresses) or 'empty'}"[:200])
        return said

    # --- backends ------------------------------------------------------------------------------

    async def check(self, target: Target) -> CheckResult:
        """Run one check as the truth has it."""
        if not self.has_descriptors:
            return CheckResult(Outcome.UNKNOWN, "too many open files")
        backend = self.truth.backends.get(str(target.address))
        if backend is None or backend.is_cut_off or self.is_own_network_dead:
            reach = Reach.SILENT
        else:
            reach = backend.reach
        if reach is Reach.SERVES:
            await asyncio.sleep(0)
            return CheckResult(Outcome.PASSED, "connected")
        if reach is Reach.SILENT:
            await asyncio.sleep(target.check.timeout)
            return CheckResult(Outcome.SILENT, "timed out")
        return CheckResult(Outcome.FAILED, f"connection {reach.value}")


def answer(addresses: Sequence[str], *dropped: str) -> Answer:
    return Answer(
        tuple(Backend(ip_address(one), PORT) for one in addresses),
        tuple(Dropped(one, "malformed") for one in dropped),
    )


# --- what sources do instead -------------------------------------------------------------------


def fails(words: str, *, retry_after: float | None = None) -> Script:
    async def script(_: Sequence[str]) -> Answer:
        raise SourceError(words, retry_after=retry_after)

    return script


def crashes() -> Script:
    async def script(_: Sequence[str]) -> Answer:
        raise ValueError("unexpected end of JSON")

    return script


def hangs() -> Script:
    async def script(_: Sequence[str]) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError

    return script


def says(change: Callable[[Sequence[str]], Sequence[str]], *dropped: str) -> Script:
    """Answer with success, and with what `change` makes of the truth."""

    async def script(members: Sequence[str]) -> Answer:
        return answer(change(members), *dropped)

    return script
