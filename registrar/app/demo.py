"""The demo, and the embedded API server that it and `run --embedded` use in place of a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml
from rich.console import Console

from registrar.app.app import App
from registrar.app.construction import EngineMaker, Mode
from registrar.app.running import ClusterOptions, running
from registrar.cluster.forms import published
from registrar.config import Config, read_config
from registrar.demo import files, story
from registrar.demo.backends import DemoBackend, whereabouts
from registrar.demo.screen import Row, Screen
from registrar.embedded import ApiServer, Request, serve
from registrar.embedded.values import Json
from registrar.model import ServiceMapping, Verdict
from registrar.probe.engine import CheckEngine


@dataclass(frozen=True, slots=True)
class EmbeddedCluster:
    """An API server in this process; `kubeconfig` is how others reach it."""

    url: str
    kubeconfig: Path

    @property
    def options(self) -> ClusterOptions:
        """How registrar itself reaches it: as any other cluster."""
        return ClusterOptions(str(self.kubeconfig), is_own=True)


@contextlib.asynccontextmanager
async def embedded_cluster(
    folder: Path, mappings: Iterable[ServiceMapping], port: int
) -> AsyncGenerator[EmbeddedCluster]:
    """Run an API server within the block, with the namespaces and Services that mappings name.

    `port` is one of 127.0.0.1, any free one for 0. Raise OSError if it is taken.
    """
    server = ApiServer(controllers=True)
    for mapping in mappings:
        await _make(server, "/api/v1/namespaces", {"metadata": {"name": mapping.key.namespace}})
        if mapping.create is None:
            path = f"/api/v1/namespaces/{mapping.key.namespace}/services"
            await _make(server, path, _service(mapping))
    async with serve(server, port) as url:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(_kubeconfig(url)))
        yield EmbeddedCluster(url, kubeconfig)


@dataclass(frozen=True, slots=True)
class Site:
    """The demo's configuration, and its backends; `hero` is the one that dies and comes back."""

    file: Path
    config: Config
    engine: EngineMaker
    hero: DemoBackend


@contextlib.asynccontextmanager
async def demo_site(folder: Path) -> AsyncGenerator[Site]:
    """Run the demo's backends within the block, with a configuration for them in `folder`."""
    web, mysql, spare = _backends(11, 3), _backends(21, 2), DemoBackend(19)
    everyone = [*web, *mysql, spare]
    file = files.write(folder, web, mysql, spare)
    config = read_config(file)
    async with contextlib.AsyncExitStack() as stack:
        for backend in everyone:
            await backend.start()
            stack.push_async_callback(backend.stop)
        yield Site(file, config, partial(CheckEngine, whereabouts=whereabouts(everyone)), web[1])


async def demo(seconds: float | None, port: int, stop: asyncio.Event, console: Console) -> None:
    """Show the main job until `stop` is set, for `seconds` at most; leave nothing behind."""
    async with contextlib.AsyncExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="registrar-demo-"))
        folder = Path(name)
        site = await stack.enter_async_context(demo_site(folder))
        mappings = site.config.mappings
        cluster = await stack.enter_async_context(embedded_cluster(folder, mappings, port))
        app = await stack.enter_async_context(
            running(site.config, cluster.options, Mode.STAY, site.engine, site.file)
        )
        screen = Screen(lambda: rows(app), _heading(folder, cluster, site.hero), console)
        tasks = [asyncio.create_task(t) for t in (screen.run(), story.tell(site.hero))]
        stack.push_async_callback(_end, tasks)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


def rows(app: App) -> Sequence[Row]:
    """Return a row for each backend of each Service that is wanted or published."""
    found: list[Row] = []
    for mapping in app.config.mappings:
        key = mapping.key
        held = published(app.view.held(key), app.config.instance)
        states = {(e.id.address, e.id.port): e.ready for e in held.endpoints} if held else {}
        verdicts = {(t.address, t.port): v for t, v in app.checks.verdicts(key).items()}
        reasons = app.checks.reasons(key)
        for place in sorted({*states, *verdicts}, key=lambda p: (p[0].version, int(p[0]), p[1])):
            said = states.get(place)
            found.append(
                Row(
                    str(key),
                    f"{place[0]}:{place[1]}",
                    verdicts.get(place, Verdict.UNKNOWN).value,
                    reasons.get(place, ""),
                    "-" if said is None else "ready" if said else "not ready",
                )
            )
    return found


def _backends(first: int, count: int) -> list[DemoBackend]:
    return [DemoBackend(number) for number in range(first, first + count)]


def _heading(folder: Path, cluster: EmbeddedCluster, hero: DemoBackend) -> list[str]:
    return [
        "An API server in memory, and backends on this machine that stand for hosts elsewhere.",
        f"One of them, {hero.address}, dies and comes back.",
        "",
        f"  look:  kubectl --server={cluster.url} get endpointslices,endpoints -n shop -w",
        f"  edit:  {folder / 'backends.yaml'}",
        "  end:   Ctrl-C",
        "",
    ]


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _make(server: ApiServer, path: str, item: Json) -> None:
    await server.handle(Request.to("POST", path, item))  # one that is there already stays


def _service(mapping: ServiceMapping) -> Json:
    ports: list[Json] = [
        {"port": port.port or 80, **({"name": port.name} if port.name else {})}
        for port in mapping.ports
    ]
    return {"metadata": {"name": mapping.key.name}, "spec": {"ports": ports}}


def _kubeconfig(url: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "embedded", "cluster": {"server": url}}],
        "users": [{"name": "embedded", "user": {}}],
        "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "embedded"}}],
        "current-context": "embedded",
    }
