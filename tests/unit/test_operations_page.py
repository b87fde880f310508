"""The page on operations names all that the code can emit, and nothing else.

Hold reasons, log events, reasons of Events, exit statuses. Metrics have a page of their own.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from registrar.admin.views import read_page
from registrar.announcements import WITHOUT_EVENT, camel_case
from registrar.model import HoldReason

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
CODE = [*(ROOT / "registrar").rglob("*.py"), *(ROOT / "sources").rglob("*.py")]

LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading of the page."""
    section = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def named(heading: str) -> list[str]:
    """Return what stands in backticks in the first column."""
    return [name for row in rows(heading) for name in re.findall(r"`([^`]+)`", row[0])]


def calls(files: list[Path]) -> Iterator[tuple[Path, str, ast.Call]]:
    """Yield every call in some files, with the file and the last name of what is called."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                function = node.func
                name = getattr(function, "attr", None) or getattr(function, "id", "")
                yield file, str(name), node


def test_every_hold_reason_is_explained() -> None:
    assert sorted(named("Hold reasons")) == sorted(one.value for one in HoldReason)
    # What it means, what to look at, how it ends by itself, how a person ends it.
    assert all(len(row) == 5 and all(row) for row in rows("Hold reasons"))


def test_every_log_event_is_explained() -> None:
    said, unnamed = set(), []
    for file, name, call in calls(CODE):
        is_log = name in LEVELS and isinstance(call.func, ast.Attribute)
        is_of_election = name == "_say" and file.name == "election.py"
        if not (is_log or is_of_election) or not call.args:
            continue
        first = call.args[0]
        if isinstance(first, ast.Constant):
            said.add(str(first.value))
        else:
            unnamed.append((file.name, ast.unparse(call)))
    assert unnamed == []
    listed = named("What it logs")
    assert sorted(listed) == sorted(said)
    assert len(listed) == len(set(listed))


def test_every_reason_of_an_event_is_explained() -> None:
    file = ROOT / "registrar" / "announcements.py"
    made = [call.args[1] for _, name, call in calls([file]) if name == "Announcement"]
    own = {str(one.value) for one in made if isinstance(one, ast.Constant)}
    # All others are a Hold's reason, by one function.
    assert {ast.unparse(one) for one in made if not isinstance(one, ast.Constant)} == {
        "camel_case(held.hold.reason)"
    }
    of_holds = {camel_case(reason) for reason in HoldReason}
    assert set(named("Events")) - of_holds == own
    section = PAGE.read_text().partition("\n## Events\n")[2].partition("\n## ")[0]
    without = section.partition(" have none")[0].rpartition(". ")[2].rpartition("\n`")
    assert set(re.findall(r"`([^`]+)`", without[1] + without[2])) == {
        reason.value for reason in WITHOUT_EVENT
    }


def test_every_exit_status_is_explained() -> None:
    files = [ROOT / "registrar" / "cli.py", *(ROOT / "registrar" / "commands").glob("*.py")]
    found = {0, 2}  # click ends so by itself: all is well, or it was called wrongly
    for file, name, call in calls(files):
        if name == "exit":
            module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
            (status,) = call.args
            found.add(int(eval(ast.unparse(status), vars(module))))  # noqa: S307  our own code
    assert sorted(map(int, named("Exit status"))) == sorted(found)


COLUMNS = ["means", "lookAt", "endsByItself", "endsByPerson"]


def test_the_status_page_explains_them_in_the_same_words() -> None:
    found = rows("Hold reasons")
    written = {row[0].strip("`"): dict(zip(COLUMNS, row[1:], strict=True)) for row in found}
    assert json.loads(read_page()["holds.json"]) == written
