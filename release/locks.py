"""Reads the lock files: what is locked, at which version, with which hashes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK, DEV_LOCK = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
_ENTRY = re.compile(r"^(?P<name>\S+?)==(?P<version>[^\s;]+).*?(?=^\S|\Z)", re.DOTALL | re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})\b")


@dataclass(frozen=True)
class Locked:
    """One package of a lock file; `text` is its entry as it stands there."""

    name: str
    version: str
    hashes: frozenset[str]
    text: str


def locked(file: Path = LOCK) -> dict[str, Locked]:
    """Return the packages of a lock file by name."""
    found = _ENTRY.finditer(file.read_text())
    entries = (
        Locked(one["name"], one["version"], frozenset(_HASH.findall(one[0])), one[0])
        for one in found
    )
    return {entry.name: entry for entry in entries}
