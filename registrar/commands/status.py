"""`registrar status`: says what the running registrar knows and does, once or as it changes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import msgspec
from msgspec.structs import replace
from rich.live import Live

from registrar.admin.local import Local
from registrar.commands.arguments import services_argument
from registrar.commands.examples import examples
from registrar.commands.overview import line_of, name_of, overview
from registrar.options import for_option, output_option, socket_option
from registrar.output import console, print_data
from registrar.status import ServiceStatus, Status

NOT_IN_PLACE = 1
LOOK_S = 1.0


@click.command(
    epilog=examples(
        "registrar status                     all Services and sources",
        "registrar status shop/web            and its backends, why they are so, for how long",
        "registrar status --watch             as it changes, until Ctrl-C",
        "registrar status -o json | jq '.services[] | select(.state == \"held\")'",
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
        found = _live(found, _looks(look, seconds), is_detailed=is_detailed)
    else:
        found = _lines(found, _looks(look, seconds), output)
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


def _looks(look: Callable[[], Status], seconds: float | None) -> Iterator[Status]:
    """Yield what a look shows, one after the other, until the time is over or Ctrl-C."""
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        while deadline is None or time.monotonic() < deadline:
            time.sleep(LOOK_S)
            yield look()
    except KeyboardInterrupt:
        return


def _live(found: Status, looks: Iterator[Status], *, is_detailed: bool) -> Status:
    shown = overview(found, is_detailed=is_detailed)
    with Live(shown, console=console(), auto_refresh=False) as live:
        for found in looks:  # noqa: PLR1704  the last one is what counts
            live.update(overview(found, is_detailed=is_detailed), refresh=True)
    return found


def _lines(found: Status, looks: Iterator[Status], output: str) -> Status:
    """Print a line for each Service, and one whenever it changes."""
    said: dict[str, str] = {}

    def say(found: Status) -> None:
        for one in found.services:
            name, line = name_of(one), line_of(one)
            if said.get(name) != line:
                said[name] = line
                print_line(found, one, line, output)

    say(found)
    for found in looks:  # noqa: PLR1704  the last one is what counts
        say(found)
    return found


def print_line(found: Status, one: ServiceStatus, line: str, output: str) -> None:
    """Print one change: for people with the time, for programs as an object or a document."""
    if output == "table":
        click.echo(f"{found.taken_at} {line}")
    elif output == "json":
        click.echo(msgspec.json.encode(one))
    else:
        click.echo("---")
        print_data(one, output)


def _print(found: Status, output: str, *, is_detailed: bool) -> None:
    if output != "table":
        print_data(found, output)
    else:
        console().print(overview(found, is_detailed=is_detailed))
