"""`registrar status`: says what the running registrar knows and does, once or as it changes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click
from msgspec.structs import replace

from registrar.admin.local import Local
from registrar.commands.arguments import services_argument
from registrar.commands.examples import examples
from registrar.commands.overview import name_of, overview
from registrar.commands.watching import lines, live, looks
from registrar.options import for_option, output_option, socket_option
from registrar.output import console, print_data
from registrar.status import ServiceStatus, Status

NOT_IN_PLACE = 1


@click.command(
    epilog=examples(
        "registrar status                     all Services and sources",
        "registrar status shop/web            its backends, and why they are so",
        "registrar status --watch             as it changes, until Ctrl-C",
        "registrar status -o json                 for programs",
    )
)
@services_argument
@click.option("--watch", is_flag=True, help="Go on, and show what changes.")
@for_option
@socket_option
@output_option
def status(
    services: tuple[str, ...], socket: Path, output: str, seconds: float | None, *, watch: bool
) -> None:
    """Say where each Service stands. A Service that is named is shown with its backends.

    SERVICE is NAMESPACE/NAME. Asks the registrar that runs here. Ends with 1 if something differs
    or is held, with 3 if none runs.
    """

    def look() -> Status:
        return _chosen(Local(socket).status(), services)

    is_detailed = bool(services)
    found = look()
    if not watch:
        _print(found, output, is_detailed=is_detailed)
    elif output == "table" and console().is_terminal:
        found = live(found, looks(look, seconds), is_detailed=is_detailed)
    else:
        found = lines(found, looks(look, seconds), output)
    if any(one.state != "in-place" for one in found.services):
        sys.exit(NOT_IN_PLACE)


def _chosen(found: Status, services: tuple[str, ...]) -> Status:
    """Return the Status of these Services and of their sources alone; none named: of all."""
    if not services:
        return found
    known = {name_of(one): one for one in found.services}
    for name in services:
        if name not in known:
            raise click.UsageError(f"no mapping of the configuration names {name}; {_those(known)}")
    chosen = tuple(one for name, one in known.items() if name in services)
    asked = {source for one in chosen for source in one.sources}
    sources = tuple(one for one in found.sources if one.name in asked)
    return replace(found, services=chosen, sources=sources)


def _those(known: Mapping[str, ServiceStatus]) -> str:
    return f"there are {', '.join(sorted(known)[:10])}" if known else "there is none"


def _print(found: Status, output: str, *, is_detailed: bool) -> None:
    if output != "table":
        print_data(found, output)
    else:
        console().print(overview(found, is_detailed=is_detailed))
