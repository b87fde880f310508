"""`registrar render`, `validate` and `schema`: what can be said without a cluster."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click

from registrar.app.offline import rendered, warnings
from registrar.commands.examples import examples
from registrar.config import read_config
from registrar.model import Hold
from registrar.options import config_option
from registrar.output import complain, print_manifests
from registrar.schema import config_schema

HELD = 1
PATIENCE_S = 30.0


@click.command(epilog=examples("registrar render --config registrar.yaml | kubectl apply -f -"))
@config_option
def render(config_file: Path) -> None:
    """Print what would be published, as manifests. Needs no cluster, and checks no backend."""
    found = asyncio.run(rendered(read_config(config_file), PATIENCE_S))
    held = {key: item for key, item in found.items() if isinstance(item, Hold)}
    for key, hold in sorted(held.items()):
        complain(f"registrar: {key}: {hold}")
    for _, item in sorted(found.items()):
        if not isinstance(item, Hold):
            print_manifests(item)
    if held:
        sys.exit(HELD)


@click.command(epilog=examples("registrar validate --config registrar.yaml"))
@config_option
def validate(config_file: Path) -> None:
    """Check the configuration, and the files that it names. Needs no cluster."""
    config = read_config(config_file)
    for warning in asyncio.run(warnings(config)):
        complain(f"warning: {warning}")
    click.echo(f"{config_file}: valid, {len(config.mappings)} mapping(s)")


@click.command(epilog=examples("registrar schema > registrar.schema.json"))
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    click.echo(json.dumps(config_schema(), indent=2))
