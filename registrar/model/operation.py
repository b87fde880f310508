"""How the running program is reached, and when it looks at everything by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Admin:
    """Where to serve: `listen` is an address (empty: all) and a port, `socket` a unix socket.

    `hosts` are names by which browsers may come, beside addresses and the cluster's own names.
    `token_file` holds the token of whoever may order something over HTTP; None: nobody may.
    """

    listen: tuple[str, int] | None = None
    token_file: Path | None = None
    socket: Path | None = None
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Periodic:
    """When to look at everything: every so many seconds, or as a line of cron says (UTC)."""

    every: float | None = None
    cron: str | None = None
