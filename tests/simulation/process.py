"""A process of registrar: the real composition, with the world's ends; started, ended, watched.

It must never be told anything by the scenarios but to start, to stop and to die.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from unittest.mock import patch

from registrar.app.app import App
from registrar.app.construction import Ends, Mode
from registrar.app.running import running_with
from registrar.cluster.client import Client
from registrar.cluster.transport import REQUEST_TIMEOUT_S, Reply, Request
from registrar.embedded import ApiServer
from registrar.embedded.store import Change
from registrar.errors import ClusterUnreachable
from registrar.schedule import ClockProofSchedule
from tests.fakes import LoopSchedule
from tests.in_process import InProcessTransport
from tests.simulation.file import PATH, ConfigFile
from tests.simulation.journal import Journal
from tests.simulation.truth import now


class PlainSchedule(LoopSchedule):
    """A schedule without a wall clock."""

    def start(self) -> None:
        return

    def stop(self) -> None:
        return


class Line(InProcessTransport):
    """The way of one process to the API server: once it is dead nothing passes, either way.

    While it `holds` writes, each is on its way: what has been sent nobody can take back.
    """

    is_dead = False
    holds = False

    def __init__(self, api: ApiServer, user_agent: str) -> None:
        super().__init__(api, user_agent)
        self.held: list[Request] = []
        self.given_up: list[float] = []
        """When the process stopped waiting for the answers to them."""

    async def deliver(self) -> None:
        """Have the writes arrive that are on their way, and hold none any more."""
        self.holds = False
        while self.held:
            async with super().send(self.held.pop(0)):
                pass

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncGenerator[Reply]:
        await self._passes()
        if self.holds and request.method != "GET" and "/leases/" not in request.target:
            self.held.append(request)
            try:
                await asyncio.wait_for(asyncio.Event().wait(), REQUEST_TIMEOUT_S)
            except TimeoutError:
                raise ClusterUnreachable(f"{self.server}: no answer in time") from None
            finally:
                self.given_up.append(now())
        async with super().send(request) as reply:
            await self._passes()
            yield reply

    async def _passes(self) -> None:
        if self.is_dead:
            await asyncio.Event().wait()


class Process:
    """At most one process at a time.

    `ends` is asked for what it meets, and the file written, at each start.
    """

    def __init__(
        self,
        api: ApiServer,
        journal: Journal,
        file: ConfigFile,
        ends: Callable[[str], Ends],
        agents: Iterator[str],
    ) -> None:
        self.app: App | None = None
        self.agent = ""
        """The user agent of the process; the next one has another."""
        self._api = api
        self._journal = journal
        self._file = file
        self._ends = ends
        self._agents = agents
        self._line: Line | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._dies_at: Callable[[Change], bool] | None = None

    @property
    def is_dead(self) -> bool:
        return self._line is None or self._line.is_dead

    def start(self) -> None:
        """Start a process that knows of nothing, unless there is one."""
        if not self.is_dead:
            return
        self.agent = next(self._agents)
        self._journal.note(f"{self.agent} starts")
        self._line = Line(self._api, self.agent)
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._run(Client(self._line)))

    @property
    def line(self) -> Line:
        """The way of the process to the API server."""
        assert self._line is not None
        return self._line

    async def stop(self) -> None:
        """End the process as SIGTERM does; return once it has ended."""
        self._journal.note(f"{self.agent} is told to stop")
        self._stop.set()
        if self._task is not None:
            await self._task
        self.line.is_dead = True

    async def kill(self) -> None:
        """End the process as kill -9 would: what is under way is never finished."""
        if self._task is None:
            return
        self._die("at this moment")
        with suppress(asyncio.CancelledError, Exception):
            await self._task

    def dies_at(self, which: Callable[[Change], bool]) -> None:
        """Kill the process as soon as it has had such a change stored, before it hears of it."""
        self._dies_at = which

    def lives(self) -> None:
        """Have it not be killed any more, and start it if it was."""
        self._dies_at = None
        self.start()

    def has_stored(self, change: Change) -> None:
        """Note a change that the process has had stored."""
        if self._dies_at is not None and not self.is_dead and self._dies_at(change):
            self._dies_at = None
            self._die("in the middle of it")

    def _die(self, when: str) -> None:
        # Cancelling lets every task take one more step; a dead process takes none.
        if self._line is not None and self._task is not None and not self._line.is_dead:
            self._journal.note(f"{self.agent} is killed {when}")
            self._line.is_dead = True
            self._task.cancel()

    async def _run(self, client: Client) -> None:
        try:
            config = self._file.write()
            running = running_with(client, config, Mode.STAY, self._ends(self.agent), PATH)
            async with running as self.app:
                await self._stop.wait()
        except Exception as error:
            self._journal.breach(f"the process died: {error!r}")
            raise


@contextmanager
def in_this_world(file: ConfigFile, *, on_apscheduler: bool) -> Generator[None]:
    """Have processes that start within the block live in virtual time, and read this file."""
    schedule = ClockProofSchedule if on_apscheduler else PlainSchedule
    with (
        patch("registrar.app.construction.ClockProofSchedule", schedule),
        patch("registrar.app.construction.Files", lambda: file),
        patch("registrar.app.running.outcomes", lambda *_: file),
    ):
        yield
