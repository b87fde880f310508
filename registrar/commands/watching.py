"""What `registrar status --watch` shows: a live screen on a terminal, elsewhere a line a change."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator

import click
import msgspec
from rich.live import Live

from registrar.commands.overview import line_of, name_of, overview
from registrar.output import console, print_data
from registrar.status import ServiceStatus, Status

LOOK_S = 1.0


def looks(look: Callable[[], Status], seconds: float | None) -> Iterator[Status]:
    """Yield what a look shows, one after the other, until the time is over or Ctrl-C."""
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        while deadline is None or time.monotonic() < deadline:
            time.sleep(LOOK_S)
            yield look()
    except KeyboardInterrupt:
        return


def live(found: Status, looks: Iterable[Status], *, is_detailed: bool) -> Status:
    """Show it on a terminal, anew with each look; return the last."""
    shown = overview(found, is_detailed=is_detailed)
    with Live(shown, console=console(), auto_refresh=False) as screen:
        for found in looks:  # noqa: PLR1704  the last one is what counts
            screen.update(overview(found, is_detailed=is_detailed), refresh=True)
    return found


def lines(found: Status, looks: Iterable[Status], output: str) -> Status:
    """Print a line for each Service, and one whenever it changes."""
    said: dict[str, str] = {}

    def say(found: Status) -> None:
        for one in found.services:
            name, line = name_of(one), line_of(one)
            if said.get(name) != line:
                said[name] = line
                _print_line(found, one, line, output)

    say(found)
    for found in looks:  # noqa: PLR1704  the last one is what counts
        say(found)
    return found


def _print_line(found: Status, one: ServiceStatus, line: str, output: str) -> None:
    """Print one change: for people with the time, for programs as an object or a document."""
    if output == "table":
        click.echo(f"{found.taken_at} {line}")
    elif output == "json":
        click.echo(json.dumps(msgspec.to_builtins(one)))
    else:
        click.echo("---")
        print_data(one, output)
