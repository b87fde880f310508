"""Shows Services and backends as they change: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

LOOK_S = 0.1

_STYLES = {"up": "green", "down": "red", "ready": "green", "not ready": "red"}


@dataclass(frozen=True, slots=True)
class Row:
    """One backend of one Service: what its check says, and what the API server holds for it."""

    service: str
    backend: str
    verdict: str
    reason: str
    published: str


class Screen:
    """Shows the rows that `look` returns, until cancelled. `heading` is what to know beforehand."""

    def __init__(
        self, look: Callable[[], Sequence[Row]], heading: Sequence[str], console: Console
    ) -> None:
        self._look = look
        self._heading = heading
        self._console = console
        self._began = time.monotonic()
        self._known: dict[tuple[str, str], Row] = {}

    async def run(self) -> None:
        """Show until cancelled."""
        for line in self._heading:
            self._console.print(Text(line), soft_wrap=True)  # to be copied as one line
        if not self._console.is_terminal:
            await self._follow(lambda rows: self._console.print(_table(rows)), lambda _: None)
        with Live(_table(()), console=self._console, auto_refresh=False) as live:

            def refresh(rows: Sequence[Row]) -> None:
                live.update(_table(rows), refresh=True)

            await self._follow(refresh, refresh)

    async def _follow(
        self, first: Callable[[Sequence[Row]], None], again: Callable[[Sequence[Row]], None]
    ) -> None:
        shown: Sequence[Row] = ()
        while True:
            rows = self._look()
            is_worth_it = bool(shown) or (rows and all(row.published != "-" for row in rows))
            if rows != shown and is_worth_it:
                self._tell(rows)
                (again if shown else first)(rows)
                shown = rows
            await asyncio.sleep(LOOK_S)

    def _tell(self, rows: Sequence[Row]) -> None:
        now = {(row.service, row.backend): row for row in rows}
        if self._known:
            for key in self._known.keys() - now.keys():
                self._say(*key, "is listed no more", "")
        for key, row in now.items():
            before = self._known.get(key)
            if before is None or before.verdict != row.verdict:
                self._say(*key, row.verdict, row.reason)
            if before is not None and before.published != row.published:
                self._say(*key, "published as " + row.published, "")
        self._known = now

    def _say(self, service: str, backend: str, what: str, why: str) -> None:
        seconds = time.monotonic() - self._began
        text = Text(f"{seconds:6.1f} s  {service}  {backend}  ")
        text.append(what, style=_STYLES.get(what.removeprefix("published as "), ""))
        self._console.print(text.append(f"  ({why})" if why else ""))


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title="Services and their backends", title_justify="left")
    for heading in ("SERVICE", "BACKEND", "CHECK", "WHY", "PUBLISHED"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(
            row.service,
            row.backend,
            Text(row.verdict, style=_STYLES.get(row.verdict, "")),
            row.reason,
            Text(row.published, style=_STYLES.get(row.published, "")),
        )
    return table
