"""The options that commands share, each defined once."""

from __future__ import annotations

from pathlib import Path

import click

from registrar.logs import FORMATS, LEVELS
from registrar.settings import duration

DEFAULT_SOCKET = Path("/run/registrar/registrar.sock")
"""Where the program is to be found, if the directory is there."""

DEFAULT_CONFIG = Path("/etc/registrar/registrar.yaml")

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar="REGISTRAR_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    show_envvar=True,
    metavar="FILE",
    help="The configuration.",
)
kubeconfig_option = click.option(
    "--kubeconfig",
    envvar="KUBECONFIG",
    show_envvar=True,
    metavar="FILE",
    help="The cluster's kubeconfig; default ~/.kube/config, then the pod's service account.",
)
context_option = click.option("--context", metavar="NAME", help="The kubeconfig's context.")
output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="For people, or for programs.",
)


port_option = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="PORT",
    help="Where the embedded API server listens, on the loopback address; default any free port.",
)


def _read_duration(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    if value is None:
        return None
    try:
        return duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


log_format_option = click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    envvar="REGISTRAR_LOG_FORMAT",
    show_envvar=True,
    help="How to log on standard error; default console on a terminal, else json.",
)
log_level_option = click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    envvar="REGISTRAR_LOG_LEVEL",
    default="info",
    show_default=True,
    show_envvar=True,
    help="The least that is logged.",
)
socket_option = click.option(
    "--socket",
    type=click.Path(path_type=Path),
    envvar="REGISTRAR_SOCKET",
    default=DEFAULT_SOCKET,
    show_default=True,
    show_envvar=True,
    metavar="FILE",
    help="The unix socket of the registrar that runs here.",
)
timeout_option = click.option(
    "--timeout",
    callback=_read_duration,
    default="60s",
    show_default=True,
    metavar="DURATION",
    help="Wait for so long, as 20s or 2m.",
)
wait_option = click.option(
    "--wait",
    callback=_read_duration,
    default="5s",
    show_default=True,
    metavar="DURATION",
    help="What is over within that is no difference.",
)
for_option = click.option(
    "--for",
    "seconds",
    callback=_read_duration,
    metavar="DURATION",
    help="End by itself after that, as 20s or 2m.",
)
