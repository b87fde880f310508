"""`registrar run`: run until told to stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from registrar.app.running import ClusterOptions
from registrar.commands.examples import examples
from registrar.commands.serving import serve
from registrar.config import read_config
from registrar.logs import configure_logs
from registrar.options import (
    DEFAULT_CONFIG,
    config_option,
    context_option,
    kubeconfig_option,
    log_format_option,
    log_level_option,
    port_option,
)


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
        asyncio.run(serve(config_file, config, ClusterOptions(kubeconfig, context)))
        return
    from registrar.commands.embedded import run_embedded  # noqa: PLC0415  a pod has no use for it

    is_there = config_file != DEFAULT_CONFIG or config_file.exists()
    asyncio.run(run_embedded(config_file if is_there else None, port))
