from __future__ import annotations

import pytest

from registrar.decide.orphans import too_many


@pytest.mark.parametrize(
    ("orphans", "mapped", "expected"),
    [
        (1, 0, False),
        (9, 0, False),
        (10, 0, True),
        (3, 7, False),  # 30 % of ten
        (4, 6, True),
        (40, 60, True),
        (30, 70, False),
        (0, 100, False),
    ],
)
def test_a_third_of_ten_or_more_is_too_many(
    orphans: int,
    mapped: int,
    expected: bool,  # noqa: FBT001  a parameter
) -> None:
    assert too_many(range(orphans), range(mapped)) is expected
