"""The page on faults has every row of the matrix, and names all of their tests, which exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "faults.md"
ROWS = re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
SCENARIOS = {
    name
    for file in (TESTS / "simulation").glob("test_row_*.py")
    for name in re.findall(r"^async def (test_row_\d\d_\w+)", file.read_text(), re.MULTILINE)
}


def test_every_row_is_there() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 47))


def test_the_rows_name_the_scenarios_that_exist() -> None:
    named = {name for *_, tests in ROWS for name in re.findall(r"`(row_\d\d)`", tests)}
    assert named == {name[len("test_") :][: len("row_00")] for name in SCENARIOS}
    for number, *_, tests in ROWS:
        assert set(re.findall(r"`row_(\d\d)`", tests)) <= {f"{int(number):02}"}


def test_every_row_has_a_test() -> None:
    for number, *_, tests in ROWS:
        assert "`" in tests, number


def test_other_tests_that_the_rows_name_exist() -> None:
    for *_, tests in ROWS:
        for folder, file in re.findall(r"(unit|decide|integration|sources) `(\w+)`", tests):
            assert (TESTS / folder / f"{file}.py").is_file(), file
