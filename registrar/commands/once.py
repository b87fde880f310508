"""`registrar once` and `registrar plan`: one look at everything, with or without writing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from registrar.app.app import App
from registrar.app.construction import Mode
from registrar.app.running import ClusterOptions, running
from registrar.commands.examples import examples
from registrar.commands.progress import with_progress
from registrar.config import Config, read_config
from registrar.difference import Difference
from registrar.logs import configure_logs
from registrar.model import ServiceKey
from registrar.options import config_option, context_option, kubeconfig_option, output_option
from registrar.output import print_differences, print_standings
from registrar.standing import Standing

DIFFERS = HELD = 1
PATIENCE_S = 30.0


@click.command(
    epilog=examples(
        "registrar once --config registrar.yaml",
        "registrar once -o json | jq '.[] | select(.state == \"held\")'",
    )
)
@config_option
@kubeconfig_option
@context_option
@output_option
def once(config_file: Path, kubeconfig: str | None, context: str | None, output: str) -> None:
    """Do one pass, and say where each Service stands. Takes 30 s at most."""
    standings = asyncio.run(_once(read_config(config_file), ClusterOptions(kubeconfig, context)))
    print_standings(standings, output)
    if any(standing.holds for standing in standings.values()):
        sys.exit(HELD)


@click.command(
    epilog=examples(
        "registrar plan --config registrar.yaml   before a new configuration is used",
        "registrar plan -o yaml",
    )
)
@config_option
@kubeconfig_option
@context_option
@output_option
def plan(config_file: Path, kubeconfig: str | None, context: str | None, output: str) -> None:
    """Say what would change, and why. Writes nothing. Takes 30 s at most."""
    configure_logs(level="warning")
    found = asyncio.run(_plan(read_config(config_file), ClusterOptions(kubeconfig, context)))
    print_differences(found, output)
    if not all(one.is_in_place for one in found):
        sys.exit(DIFFERS)


async def _once(config: Config, cluster: ClusterOptions) -> Mapping[ServiceKey, Standing]:
    async with running(config, cluster, Mode.PASS) as app:
        return await with_progress(app.waits_for, _settled(app))


async def _plan(config: Config, cluster: ClusterOptions) -> list[Difference]:
    async with running(config, cluster, Mode.PLAN) as app:
        await with_progress(app.waits_for, _settled(app))
        return app.differences()


async def _settled(app: App) -> Mapping[ServiceKey, Standing]:
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    await app.heard(PATIENCE_S)
    return await app.settle(deadline - asyncio.get_running_loop().time())
