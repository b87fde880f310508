"""Nothing in docs/security.md lacks its test: each row names some, and they are there to be run."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
PAGE = (ROOT / "docs" / "security.md").read_text()
CONTRACT = ROOT / "registrar" / "testing" / "contract.py"
THREATS = PAGE.partition("\n## Threats\n")[2].partition("\n## ")[0]
SECTIONS = dict(re.findall(r"^### (.+)\n\n((?:(?!###).*\n)*)", THREATS, re.MULTILINE))
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
    for section in SECTIONS.values()
    for line in section.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| threat"))
]
NAMED = re.findall(r"`([a-z]+/[\w/]+\.py::[^`]+)`", THREATS)


@cache
def defined(file: Path) -> dict[str, frozenset[str]]:
    """Return the tests of a file: its own under "", those of each class, with the contract's."""
    found: dict[str, frozenset[str]] = {}
    tree = ast.parse(file.read_text())
    holders: list[ast.Module | ast.ClassDef] = [tree]
    holders += [node for node in tree.body if isinstance(node, ast.ClassDef)]
    for holder in holders:
        names = frozenset(
            node.name
            for node in holder.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name.startswith("test_")
        )
        if isinstance(holder, ast.ClassDef):
            for base in map(ast.unparse, holder.bases):
                if base == "SourceContract":
                    names |= defined(CONTRACT)[base]
                names |= found.get(base, frozenset())
            found[holder.name] = names
        else:
            found[""] = names
    return found


def test_every_threat_has_a_defence_and_a_test() -> None:
    assert len(SECTIONS) > 10
    for name, section in SECTIONS.items():
        assert re.search(r"^\| threat", section, re.MULTILINE), name
    assert len(ROWS) > 40
    for row in ROWS:
        assert len(row) == 3, row
        assert all(row), row
        assert "::test_" in row[2], row


@pytest.mark.parametrize("name", sorted(set(NAMED)))
def test_a_test_that_is_named_is_there(name: str) -> None:
    where, *classes, last = name.split("::")
    function, _, example = last.partition("[")
    file = TESTS / where
    assert file.is_file(), where
    assert file.name.startswith("test_"), where
    assert function in defined(file)["".join(classes)], function
    if example:
        assert f'"{example.removesuffix("]")}"' in file.read_text(), example


def test_all_that_is_named_is_looked_for() -> None:
    proofs = "".join(row[2] for row in ROWS)
    assert len(re.findall(r"::test_", proofs)) == len(re.findall(r"`[^`]+::test_[^`]+`", proofs))
    assert set(re.findall(r"`([^`]+::test_[^`]+)`", THREATS)) == set(NAMED)
