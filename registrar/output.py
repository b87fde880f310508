"""What the commands print: tables and diffs for people, JSON and YAML for programs.

Much of it others have said: a source, a backend, the API server. It must never move a cursor.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import click
import msgspec
import yaml
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from registrar.difference import Difference
from registrar.logs import visible
from registrar.model import ServiceKey
from registrar.render import Manifest
from registrar.standing import Standing

_COLOURS = {"+": "green", "-": "red", "~": "yellow"}


def print_data(value: object, output: str) -> None:
    """Print a value as `json` or `yaml`, for programs."""
    plain = msgspec.to_builtins(value)
    if output == "yaml":
        click.echo(yaml.safe_dump(plain, sort_keys=False), nl=False)
    else:
        click.echo(json.dumps(plain, indent=2))


def console(*, soft_wrap: bool = False) -> Console:
    """Return standard output, as it is for people: what is said is no markup."""
    return _Tame(markup=False, highlight=False, soft_wrap=soft_wrap)


def complain(text: str) -> None:
    """Print lines on standard error, for people."""
    click.echo("\n".join(map(visible, text.split("\n"))), err=True)


class _Tame(Console):
    """A console that passes on no control characters but its own."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            is_said = control is None and not text.isprintable()
            tamed = "\n".join(map(visible, text.split("\n"))) if is_said else text
            yield Segment(tamed, style, control)


def table_of(*headings: str) -> Table:
    """Return a table to be filled; what is too wide for a terminal is folded."""
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def print_standings(standings: Mapping[ServiceKey, Standing], output: str) -> None:
    """Print where each Service stands."""
    ordered = sorted(standings.items())
    if output != "table":
        print_data([_row(key, standing) for key, standing in ordered], output)
        return
    table = table_of("SERVICE", "STATE", "READY", "DETAIL")
    for key, standing in ordered:
        row = _row(key, standing)
        detail = "; ".join(map(str, standing.holds))
        table.add_row(str(key), str(row["state"]), f"{row['ready']}/{row['endpoints']}", detail)
    console().print(table)


def print_differences(found: Sequence[Difference], output: str) -> None:
    """Print what would change, Service by Service."""
    if output != "table":
        print_data([asdict(one) for one in found], output)
        return
    out = console(soft_wrap=True)
    for one in found:
        out.print(Text(f"{one.service}: {_summary(one)}", style="bold"))
        for change in one.changes:
            line = f"  {change.sign} {change.endpoint}  {change.state}  ({change.why})"
            out.print(Text(line, style=_COLOURS[change.sign]))
        for write in one.writes:
            out.print(Text(f"    {write}", style="dim"))
        for hold in one.holds:
            out.print(Text(f"  ! {hold}", style="magenta"))


def print_manifests(manifests: Iterable[Manifest]) -> None:
    """Print objects as YAML documents, ready to be applied."""
    documents = [msgspec.to_builtins(one) for one in manifests]
    if documents:
        click.echo(yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True), nl=False)


def _row(key: ServiceKey, standing: Standing) -> dict[str, object]:
    endpoints = standing.desired.endpoints if standing.desired else frozenset()
    return {
        "service": str(key),
        "state": "held" if standing.holds else "in place",
        "ready": sum(endpoint.ready for endpoint in endpoints),
        "endpoints": len(endpoints),
        "writes": standing.written,
        "holds": [{"reason": hold.reason.value, "detail": hold.detail} for hold in standing.holds],
    }


def _summary(one: Difference) -> str:
    if one.is_in_place:
        return "in place"
    counts = [
        f"{sum(change.sign == sign for change in one.changes)} {words}"
        for sign, words in (("+", "to add"), ("-", "to remove"), ("~", "to change"))
        if any(change.sign == sign for change in one.changes)
    ]
    if one.writes and not counts:
        counts = ["the same endpoints in another form"]
    return ", ".join([*counts, *(["held"] if one.holds else [])])
