from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from registrar.decide.pace import wait


def test_the_first_change_is_not_late_and_the_next_comes_a_second_later() -> None:
    assert wait(None, 5.0) == 0
    assert wait(5.0, 5.25) == 0.75
    assert wait(5.0, 6.0) == 0
    assert wait(5.0, 60.0) == 0


@given(st.lists(st.floats(0.0, 3.0), min_size=2, max_size=30))
def test_however_it_flaps_there_is_a_second_between_two_changes(gaps: list[float]) -> None:
    now, last = 0.0, None
    for gap in gaps:
        now += gap
        written = now + wait(last, now)
        assert last is None or written >= last + 1 - 1e-9
        assert written - now <= 1 + 1e-9
        last = now = written
