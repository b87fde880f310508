"""The state of everything for people: as what `registrar status` shows it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from registrar.output import table_of
from registrar.status import BackendStatus, ServiceStatus, SourceStatus, Status

_STYLES = {
    "in-place": "green",
    "changing": "yellow",
    "held": "magenta",
    "ready": "green",
    "draining": "yellow",
    "not-ready": "red",
    "up": "green",
    "down": "red",
}
MOST_DROPPED = 5


def overview(found: Status, *, is_detailed: bool) -> RenderableType:
    """Return what is shown: a table of all Services; `is_detailed`: each with its backends."""
    parts: list[RenderableType] = [_head(found), ""]
    if is_detailed:
        for one in found.services:
            parts += [*_detailed(one), ""]
    else:
        parts += [_services(found.services), ""]
    parts.append(_sources(found.sources))
    return Group(*parts)


def name_of(one: ServiceStatus) -> str:
    """Return a Service as people write it."""
    return f"{one.namespace}/{one.name}"


def line_of(one: ServiceStatus) -> str:
    """Return where a Service stands in one line, without ages: it changes when that does."""
    held = f" ({', '.join(hold.reason for hold in one.holds)})" if one.holds else ""
    return f"{name_of(one)} {one.state} {one.ready}/{one.endpoints}{held}"


def age(seconds: float | None) -> str:
    """Return how long ago something was, in its largest whole unit."""
    if seconds is None:
        return "never"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def _head(found: Status) -> Text:
    leads = "leads" if found.leads else f"stands by; {found.leader or 'nobody'} leads"
    text = Text(f"registrar {found.version}, instance {found.instance}: {leads}", style="bold")
    if found.self_preservation:
        text.append("; the silence of backends is doubted (self-preservation)")
    return text


def _services(services: tuple[ServiceStatus, ...]) -> RenderableType:
    table = table_of("SERVICE", "STATE", "READY", "CHANGED", "HELD BY")
    for one in services:
        held = ", ".join(dict.fromkeys(hold.reason for hold in one.holds))
        ready = f"{one.ready}/{one.endpoints}"
        table.add_row(name_of(one), _styled(one.state), ready, age(one.changed), held)
    return table


def _detailed(one: ServiceStatus) -> Iterator[RenderableType]:
    yield Text.assemble(
        (f"{name_of(one)}: ", "bold"),
        _styled(one.state),
        f", {one.ready} of {one.endpoints} ready, as {one.publish}, changed {age(one.changed)}",
        "" if one.changed is None else " ago",
    )
    for hold in one.holds:
        yield _indented(f"held: {hold.reason}: {hold.detail}")
    for notice in one.notices:
        yield _indented(f"notice: {notice}")
    for dropped in one.dropped[:MOST_DROPPED]:
        yield _indented(f"dropped: {dropped}")
    if len(one.dropped) > MOST_DROPPED:
        yield _indented(f"dropped: {len(one.dropped) - MOST_DROPPED} more")
    if one.backends:
        table = table_of("BACKEND", "PUBLISHED", "VERDICT", "FOR", "REASON")
        for backend in one.backends:
            table.add_row(*_backend(backend))
        yield Padding(table, (0, 0, 0, 2))


def _backend(one: BackendStatus) -> Iterator[RenderableType]:
    address = f"[{one.address}]" if ":" in one.address else one.address
    port = f"{one.port_name} " if one.port_name else ""
    yield Text(f"{port}{address}:{one.port}")
    published = _styled(one.published)
    yield published.append(" (drained)") if one.drained else published
    yield _styled(one.verdict)
    yield age(one.turns[-1].age) if one.turns else ""
    yield Text(one.reason)


def _sources(sources: tuple[SourceStatus, ...]) -> RenderableType:
    table = table_of("SOURCE", "PART", "ANSWERED", "BACKENDS", "ERROR")
    for one in sources:
        if one.error is not None:
            table.add_row(one.name, "", "", "", Text(one.error, style="red"))
        for part in one.parts:
            answered = age(part.answered) + ("" if part.answered is None else " ago")
            error = Text(part.error or "", style="red")
            table.add_row(one.name, Text(part.name), answered, str(part.backends), error)
    return table


def _indented(words: str) -> RenderableType:
    return Padding(Text(words), (0, 0, 0, 2))


def _styled(word: str) -> Text:
    return Text(word, style=_STYLES.get(word, ""))
