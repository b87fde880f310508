"""The page on operations names every Hold reason, and no other."""

from __future__ import annotations

from pathlib import Path

from registrar.model import HoldReason

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_every_hold_reason_is_explained() -> None:
    section = PAGE.read_text().partition("## Hold reasons")[2]
    rows = [
        line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")
    ]
    assert sorted(row[0].strip("`") for row in rows) == sorted(one.value for one in HoldReason)
    # What it means, what to look at, how it ends by itself, how a person ends it.
    assert all(len(row) == 5 and all(row) for row in rows)
