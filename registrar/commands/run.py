"""`registrar run` and `registrar demo`: run until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path

import click
import structlog
from rich.console import Console

import registrar
from registrar.app import ClusterOptions, Mode, demo, demo_site, embedded_cluster, running
from registrar.commands.examples import examples
from registrar.config import Config, read_config
from registrar.logs import configure_logs
from registrar.options import (
    DEFAULT_CONFIG,
    config_option,
    context_option,
    for_option,
    kubeconfig_option,
    log_format_option,
    log_level_option,
    port_option,
)
from registrar.probe.engine import Check, check
from registrar.resync import Order

PATIENCE_S = 30.0

log = structlog.get_logger()


@click.command(
    epilog=examples(
        "registrar run --config registrar.yaml",
        "registrar run --embedded                 with an API server in memory",
    )
)
@config_option
@kubeconfig_option
@context_option
@click.option("--embedded", is_flag=True, help="Run an API server of its own, in memory.")
@port_option
@log_format_option
@log_level_option
def run(
    config_file: Path,
    kubeconfig: str | None,
    context: str | None,
    *,
    embedded: bool,
    port: int,
    log_format: str | None,
    log_level: str,
) -> None:
    """Run until told to stop (SIGTERM, Ctrl-C). Takes nothing away when it stops.

    A valid change of the configuration is applied as it runs. With --embedded and no configuration
    at all it serves the demo's backends.
    """
    configure_logs(form=log_format, level=log_level)
    if not embedded:
        config = read_config(config_file)
        asyncio.run(_run(config_file, config, ClusterOptions(kubeconfig, context)))
    elif config_file == DEFAULT_CONFIG and not config_file.exists():
        asyncio.run(_run_embedded(None, port))
    else:
        asyncio.run(_run_embedded(config_file, port))


@click.command("demo", epilog=examples("registrar demo", "registrar demo --for 20s"))
@for_option
@port_option
def demo_(seconds: float | None, port: int) -> None:
    """Show the main job on this machine alone: a backend dies and comes back while you watch."""
    configure_logs(level="warning")
    asyncio.run(_demo(seconds, port))


def _stop_at_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _demo(seconds: float | None, port: int) -> None:
    stop = _stop_at_signals()
    with _port_taken(port):
        await demo(seconds, port, stop, Console(highlight=False))


async def _run_embedded(file: Path | None, port: int) -> None:
    with tempfile.TemporaryDirectory(prefix="registrar-") as name, _port_taken(port):
        folder = Path(name)
        async with contextlib.AsyncExitStack() as stack:
            run_check = check
            if file is None:
                site = await stack.enter_async_context(demo_site(folder))
                file, run_check = site.file, site.checker
                click.echo(f"the backends stand in {folder / 'backends.yaml'}", err=True)
            config = read_config(file)
            cluster = await stack.enter_async_context(
                embedded_cluster(folder, config.mappings, port)
            )
            click.echo(f"kubectl --server={cluster.url} get services -A", err=True)
            await _run(file, config, cluster.options, run_check)


@contextlib.contextmanager
def _port_taken(port: int) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise click.UsageError(f"port {port} is taken; name another with --port") from None


async def _run(
    file: Path, config: Config, cluster: ClusterOptions, run_check: Check = check
) -> None:
    stop = _stop_at_signals()
    async with (
        running(config, cluster, Mode.STAY, run_check, file) as app,
        asyncio.TaskGroup() as group,
    ):

        def resync_all() -> None:
            group.create_task(app.resync(Order("SIGUSR1")))

        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, resync_all)
        heard = asyncio.create_task(app.heard(PATIENCE_S))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({heard, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if heard.done():
            heard.result()
            log.info("running", mappings=len(config.mappings), version=registrar.__version__)
        heard.cancel()
        await stopped
        log.info("stopping")
