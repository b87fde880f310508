"""The page on operations explains every Hold reason, and the status page in the same words."""

from __future__ import annotations

import json
from pathlib import Path

from registrar.admin.views import read_page
from registrar.model import HoldReason

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


COLUMNS = ["means", "lookAt", "endsByItself", "endsByPerson"]


def rows() -> list[list[str]]:
    section = PAGE.read_text().partition("## Hold reasons")[2]
    return [
        line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")
    ]


def test_every_hold_reason_is_explained() -> None:
    assert sorted(row[0].strip("`") for row in rows()) == sorted(one.value for one in HoldReason)
    # What it means, what to look at, how it ends by itself, how a person ends it.
    assert all(len(row) == 5 and all(row) for row in rows())


def test_the_status_page_explains_them_in_the_same_words() -> None:
    written = {row[0].strip("`"): dict(zip(COLUMNS, row[1:], strict=True)) for row in rows()}
    assert json.loads(read_page()["holds.json"]) == written
