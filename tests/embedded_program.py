"""registrar as a whole, in this process, on an API server of its own and with its admin socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from registrar.app.app import App
from registrar.app.construction import EngineMaker, Mode
from registrar.app.demo import embedded_cluster
from registrar.app.running import running
from registrar.config import read_config
from registrar.model import CheckResult, Outcome, Target
from tests.simulated_engine import played

# Else looptime's plugin makes an event loop for the first plain test, and nobody closes it.
asyncio.set_event_loop(None)

PATIENCE_S = 30.0
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class EmbeddedProgram:
    """The running program, and how it is asked from outside: through its unix socket."""

    app: App
    client: httpx.AsyncClient

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Return what it answers."""
        return (await self.client.get(path, headers=headers)).raise_for_status()

    async def metrics(self) -> dict[str, float]:
        """Return every sample, by name and labels as Prometheus writes them."""
        return samples((await self.get("/metrics")).text)

    async def wait_for_sample(self, name: str, least: float = 1) -> dict[str, float]:
        """Return the metrics once a sample is there and is at least so much."""
        found: dict[str, float] = {}

        async def is_there() -> bool:
            found.update(await self.metrics())
            return found.get(name, float("-inf")) >= least

        await wait_until(is_there, f"{name} >= {least}")
        return found


def samples(text: str) -> dict[str, float]:
    """Return every sample of a page of metrics, by name and labels as Prometheus writes them."""
    pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


@asynccontextmanager
async def embedded_program(
    folder: Path, configuration: str, engine: EngineMaker
) -> AsyncIterator[EmbeddedProgram]:
    """Run a configuration, which is written to registrar.yaml in a folder, within the block."""
    file = folder / "registrar.yaml"
    file.write_text(f"{configuration}\nadmin: {{socket: admin.sock}}\n")
    config = read_config(file)
    async with (
        embedded_cluster(folder, config.mappings, 0) as cluster,
        running(config, cluster.options, Mode.STAY, engine, file) as app,
        httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(folder / "admin.sock")),
            base_url="http://registrar",
            timeout=PATIENCE_S,
        ) as client,
    ):
        await app.heard(PATIENCE_S)
        yield EmbeddedProgram(app, client)


async def wait_until(
    look: Callable[[], Awaitable[bool]], what: str, patience: float = PATIENCE_S
) -> None:
    """Look again and again until it is so; fail after so many seconds."""
    try:
        async with asyncio.timeout(patience):
            while not await look():  # noqa: ASYNC110  what is looked at tells nobody
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise AssertionError(f"not within {patience:g} s: {what}") from None


def checked(outcome_of: Callable[[Target], Outcome]) -> EngineMaker:
    """Return what makes an engine whose checks end as the test says, without a network."""

    async def run(target: Target) -> CheckResult:
        await asyncio.sleep(0)
        return CheckResult(outcome_of(target), "as the test says")

    return played(run)
