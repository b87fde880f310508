"""The commands. Each says what it did in words, and by its exit status.

0 all in place, 1 something differs or is held, 2 configuration or usage, 3 cluster unreachable,
70 a defect of registrar. A defect is said in one line; where standard error is no terminal, the
log record before that line holds the traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import signal
import sys
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path

import click
import structlog
from rich.console import Console

import registrar
from registrar.admin.local import NotRunning
from registrar.app import (
    ClusterOptions,
    Mode,
    demo,
    demo_site,
    embedded_cluster,
    rendered,
    running,
    warnings,
)
from registrar.commands import resync
from registrar.config import Config, read_config
from registrar.difference import Difference
from registrar.errors import (
    ClusterError,
    ClusterUnreachable,
    ConfigError,
    Forbidden,
    LeaseForbidden,
    RangesForbidden,
    Unauthorized,
)
from registrar.logs import configure_logs, in_one_line
from registrar.model import Hold, ServiceKey
from registrar.options import (
    DEFAULT_CONFIG,
    config_option,
    context_option,
    for_option,
    kubeconfig_option,
    log_format_option,
    log_level_option,
    output_option,
    port_option,
)
from registrar.output import print_differences, print_manifests, print_standings
from registrar.probe.engine import Check, check
from registrar.resync import Order
from registrar.schema import config_schema
from registrar.standing import Standing

DIFFERS = HELD = 1
BAD_CONFIGURATION, NO_CLUSTER, DEFECT = 2, 3, 70
PATIENCE_S = 30.0

_REMEDIES: dict[type[ClusterError], str] = {
    ClusterUnreachable: "; check the server in the kubeconfig, and the way to it",
    Unauthorized: "; check the credentials in the kubeconfig",
    Forbidden: "; grant what config/rbac.yaml lists, in each namespace of a mapping",
}

log = structlog.get_logger()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(registrar.__version__, prog_name="registrar")
def cli() -> None:
    """Keep Kubernetes Services without a selector pointed at backends outside the cluster."""


cli.add_command(resync)


@cli.command()
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


@cli.command("demo")
@for_option
@port_option
def demo_(seconds: float | None, port: int) -> None:
    """Show the main job on this machine alone: a backend dies and comes back while you watch."""
    configure_logs(level="warning")
    asyncio.run(_demo(seconds, port))


@cli.command()
@config_option
@kubeconfig_option
@context_option
@output_option
def once(config_file: Path, kubeconfig: str | None, context: str | None, output: str) -> None:
    """Do one pass, and say where each Service stands. Takes 30 s at most."""
    standings = asyncio.run(_once(read_config(config_file), ClusterOptions(kubeconfig, context)))
    print_standings(standings, as_json=output == "json")
    if any(standing.holds for standing in standings.values()):
        sys.exit(HELD)


@cli.command()
@config_option
@kubeconfig_option
@context_option
@output_option
def plan(config_file: Path, kubeconfig: str | None, context: str | None, output: str) -> None:
    """Say what would change, and why. Writes nothing. Takes 30 s at most."""
    configure_logs(level="warning")
    found = asyncio.run(_plan(read_config(config_file), ClusterOptions(kubeconfig, context)))
    print_differences(found, as_json=output == "json")
    if not all(one.is_in_place for one in found):
        sys.exit(DIFFERS)


@cli.command()
@config_option
def render(config_file: Path) -> None:
    """Print what would be published, as manifests. Needs no cluster, and checks no backend."""
    found = asyncio.run(rendered(read_config(config_file), PATIENCE_S))
    held = {key: item for key, item in found.items() if isinstance(item, Hold)}
    for key, hold in sorted(held.items()):
        click.echo(f"registrar: {key}: {hold}", err=True)
    for _, item in sorted(found.items()):
        if not isinstance(item, Hold):
            print_manifests(item)
    if held:
        sys.exit(HELD)


@cli.command()
@config_option
def validate(config_file: Path) -> None:
    """Check the configuration, and the files that it names. Needs no cluster."""
    config = read_config(config_file)
    for warning in asyncio.run(warnings(config)):
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{config_file}: valid, {len(config.mappings)} mapping(s)")


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    click.echo(json.dumps(config_schema(), indent=2))


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


async def _once(config: Config, cluster: ClusterOptions) -> Mapping[ServiceKey, Standing]:
    async with running(config, cluster, Mode.PASS) as app:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        await app.heard(PATIENCE_S)
        return await app.settle(deadline - loop.time())


async def _plan(config: Config, cluster: ClusterOptions) -> list[Difference]:
    async with running(config, cluster, Mode.PLAN) as app:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        await app.heard(PATIENCE_S)
        await app.settle(deadline - loop.time())
        return app.differences()


def main() -> None:
    """Run the command line, and turn whatever it raises into words and a status."""
    configure_logs()
    try:
        cli(prog_name="registrar")
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(BAD_CONFIGURATION)
    except (RangesForbidden, LeaseForbidden) as error:
        click.echo(f"registrar: {error}", err=True)
        sys.exit(BAD_CONFIGURATION)
    except NotRunning as error:
        click.echo(f"registrar: {error}", err=True)
        sys.exit(NO_CLUSTER)
    except ClusterError as error:
        remedy = next((text for kind, text in _REMEDIES.items() if isinstance(error, kind)), "")
        click.echo(f"registrar: {error}{remedy}", err=True)
        sys.exit(NO_CLUSTER)
    except Exception as error:  # a traceback on the screen helps nobody who uses registrar
        remedy = "report it, with the log"
        if sys.stderr.isatty():
            remedy += " that the same command with 2>registrar.log leaves"
        else:
            log.critical("internal-error", exc_info=error)
        click.echo(f"registrar: internal error: {in_one_line(error)}; {remedy}", err=True)
        sys.exit(DEFECT)
