"""`registrar health`: whether the registrar that runs here answers. For a container's check."""

from __future__ import annotations

from pathlib import Path

import click

from registrar.admin.local import Local
from registrar.commands.examples import examples
from registrar.options import socket_option


@click.command(epilog=examples("registrar health"))
@socket_option
def health(socket: Path) -> None:
    """Say whether the registrar that runs here answers. Ends with 3 if it doesn't.

    It may answer and hold Services: `registrar status` tells.
    """
    Local(socket).check()
    click.echo("ok")
