"""`make chaos`: for as long as one likes, with a seed, or with a bug that must be found."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

import click

from tests.integration.chaos.running import chaos
from tests.simulation.journal import Violation


@click.command()
@click.option("--seconds", default=100.0, show_default=True, help="How long faults come for.")
@click.option("--seed", type=int, help="What is drawn; a new one, if not given.")
@click.option("--bug", default="", help="Have registrar be broken so: see broken.py.")
def main(seconds: float, seed: int | None, bug: str) -> None:
    """Break everything around registrar at random, and look on."""
    seed = SystemRandom().randrange(1_000_000) if seed is None else seed
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        click.echo(chaos(folder, seconds, seed, bug))
    except Violation as error:
        click.echo(str(error))
        sys.exit(1)
    shutil.rmtree(folder)


main()
