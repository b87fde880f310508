from __future__ import annotations

from random import Random

import pytest

from registrar.backoff import Backoff
from tests.fakes import Steady


def test_delays_double_up_to_the_most_and_begin_again_after_a_success() -> None:
    backoff = Backoff(1, 10, Steady())
    assert [backoff.next() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    backoff.reset()
    assert backoff.next() == 1


@pytest.mark.parametrize("failures", [1, 4, 10_000])
def test_delays_lie_between_half_and_all_and_differ(failures: int) -> None:
    def last(seed: int) -> float:
        backoff = Backoff(1, 8, Random(seed))  # noqa: S311  a seed, to repeat it
        return [backoff.next() for _ in range(failures)][-1]

    full = min(8, 2 ** (failures - 1)) if failures < 100 else 8
    delays = {last(seed) for seed in range(20)}
    assert all(full / 2 <= delay <= full for delay in delays)
    assert len(delays) == 20


def test_what_the_other_side_asks_for_is_the_least_even_above_the_most() -> None:
    backoff = Backoff(1, 10, Steady())
    assert backoff.next(at_least=60) == 60
    assert backoff.next(at_least=0.5) == 2
