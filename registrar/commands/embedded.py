"""`registrar demo`, and `registrar run --embedded`: with an API server of its own, in memory."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import tempfile
from collections.abc import Generator
from pathlib import Path

import click
from rich.console import Console

from registrar.app.construction import EngineMaker
from registrar.app.demo import demo as demonstration
from registrar.app.demo import demo_site, embedded_cluster
from registrar.commands.examples import examples
from registrar.commands.serving import serve, stop_at_signals
from registrar.config import read_config
from registrar.logs import configure_logs
from registrar.options import for_option, port_option
from registrar.probe.engine import CheckEngine


@click.command("demo", epilog=examples("registrar demo", "registrar demo --for 20s"))
@for_option
@port_option
def demo(seconds: float | None, port: int) -> None:
    """Show the main job on this machine alone: a backend dies and comes back while you watch."""
    configure_logs(level="warning")
    asyncio.run(_demo(seconds, port))


async def _demo(seconds: float | None, port: int) -> None:
    stop = stop_at_signals()
    with _port_taken(port):
        await demonstration(seconds, port, stop, Console(highlight=False))


async def run_embedded(file: Path | None, port: int) -> None:
    """Serve what a configuration says, or else the demo's backends, until told to stop."""
    with tempfile.TemporaryDirectory(prefix="registrar-") as name, _port_taken(port):
        folder = Path(name)
        async with contextlib.AsyncExitStack() as stack:
            engine: EngineMaker = CheckEngine
            if file is None:
                site = await stack.enter_async_context(demo_site(folder))
                file, engine = site.file, site.engine
                click.echo(f"the backends stand in {folder / 'backends.yaml'}", err=True)
            config = read_config(file)
            cluster = await stack.enter_async_context(
                embedded_cluster(folder, config.mappings, port)
            )
            click.echo(f"kubectl --server={cluster.url} get services -A", err=True)
            await serve(file, config, cluster.options, engine)


@contextlib.contextmanager
def _port_taken(port: int) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise click.UsageError(f"port {port} is taken; name another with --port") from None
