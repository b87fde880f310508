"""What holds of the guard whatever a source says and when."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from registrar.decide.guard import Missing, guard, is_drastic
from registrar.model import Confirm, EndpointId
from tests.fakes import QUERY

ids = st.integers(1, 12).map(lambda n: EndpointId("", "TCP", IPv4Address(f"10.0.0.{n}"), 80))
sets = st.frozensets(ids, max_size=12)
steps = st.lists(st.tuples(st.floats(0.1, 40), sets, st.booleans()), min_size=1, max_size=12)
confirms = st.builds(Confirm, st.integers(1, 4), st.floats(0, 60))


@given(sets, steps, confirms)
def test_nothing_goes_in_a_drastic_step_before_it_is_confirmed(
    published: frozenset[EndpointId],
    history: list[tuple[float, frozenset[EndpointId], bool]],
    confirm: Confirm,
) -> None:
    now, answers = 0.0, 0
    missing: dict[EndpointId, Missing] = {}
    gone_since: dict[EndpointId, tuple[float, int]] = {}
    for wait, found, answered in history:
        now += wait
        answers += answered
        result = guard(published, found, {(QUERY, "a"): answers}, confirm, missing, now)
        gone = published - found
        gone_since = {one: gone_since.get(one, (now, answers)) for one in gone}
        assert result.kept <= gone
        if is_drastic(len(gone), len(published)):
            for one in gone - result.kept:
                since, count = gone_since[one]
                assert now - since >= confirm.seconds
                assert answers - count + 1 >= confirm.answers
        else:
            assert not result.kept
        assert (result.look_after is not None) is bool(result.kept)
        assert result.look_after is None or result.look_after > 0
        published, missing = found | result.kept, dict(result.missing)


@given(sets, sets, confirms)
def test_what_stays_away_goes_in_the_end(
    published: frozenset[EndpointId], found: frozenset[EndpointId], confirm: Confirm
) -> None:
    missing: dict[EndpointId, Missing] = {}
    now = 0.0
    for answers in range(1, confirm.answers + 3):
        result = guard(published, found, {(QUERY, "a"): answers}, confirm, missing, now)
        published, missing = found | result.kept, dict(result.missing)
        now += max(confirm.seconds / confirm.answers, 1.0)
    last = guard(published, found, {(QUERY, "a"): 99}, confirm, missing, confirm.seconds + now)
    assert not last.kept
