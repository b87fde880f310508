"""What a reload may take away: never much unless a person has accepted just that."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from registrar.decide.reload import digest, to_accept
from registrar.model import ServiceKey

KEYS = st.builds(
    ServiceKey, st.sampled_from(("shop", "office")), st.sampled_from([f"s{n}" for n in range(12)])
)
SETS = st.frozensets(KEYS)


@given(SETS, SETS)
def test_what_is_applied_unasked_takes_little_away(
    before: frozenset[ServiceKey], after: frozenset[ServiceKey]
) -> None:
    removal = to_accept(before, after, None)
    gone = before - after
    if removal is None:
        assert len(before) < 10 or 10 * len(gone) <= 3 * len(before)
    else:
        assert (removal.keys, removal.of) == (gone, len(before))
        assert len(before) >= 10
        assert 10 * len(gone) > 3 * len(before)


@given(SETS, SETS, SETS)
def test_what_is_added_neither_hides_a_removal_nor_makes_one(
    before: frozenset[ServiceKey], after: frozenset[ServiceKey], added: frozenset[ServiceKey]
) -> None:
    new = added - before
    assert to_accept(before, after | new, None) == to_accept(before, after - new, None)


@given(SETS, SETS, SETS)
def test_a_digest_accepts_the_removal_that_it_names_and_no_other(
    before: frozenset[ServiceKey], after: frozenset[ServiceKey], other: frozenset[ServiceKey]
) -> None:
    gone = before - after
    assert to_accept(before, after, digest(gone)) is None
    if other != gone:
        assert to_accept(before, after, digest(other)) == to_accept(before, after, None)


@given(SETS)
def test_yaml_reads_a_digest_as_it_is_written(keys: frozenset[ServiceKey]) -> None:
    assert yaml.safe_load(f"acceptRemoved: {digest(keys)}") == {"acceptRemoved": digest(keys)}
