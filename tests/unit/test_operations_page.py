"""The page on operations names every Hold reason, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from registrar.model import HoldReason

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_every_hold_reason_is_explained() -> None:
    section = PAGE.read_text().partition("## Hold reasons")[2]
    explained = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    assert sorted(explained) == sorted(reason.value for reason in HoldReason)
