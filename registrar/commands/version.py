"""`registrar version`: what runs here."""

from __future__ import annotations

import platform

import click
import msgspec

import registrar
from registrar.commands.examples import examples
from registrar.options import output_option
from registrar.output import print_data


class Version(msgspec.Struct, frozen=True):
    """What runs here. `revision` is the commit it was built of, where that is known."""

    version: str
    revision: str | None
    python: str


@click.command(epilog=examples("registrar version", "registrar version -o json"))
@click.option("--revision", envvar="REGISTRAR_REVISION", hidden=True)  # the image sets it
@output_option
def version(revision: str | None, output: str) -> None:
    """Say which version this is, of which commit, and on which Python."""
    found = Version(registrar.__version__, revision, platform.python_version())
    if output != "table":
        print_data(found, output)
        return
    click.echo(f"registrar {found.version}")
    click.echo(f"revision  {found.revision or 'unknown'}")
    click.echo(f"python    {found.python}")
