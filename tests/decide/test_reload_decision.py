from __future__ import annotations

import pytest

from registrar.decide.reload import digest, to_accept
from registrar.model import ServiceKey


def keys(*numbers: int) -> frozenset[ServiceKey]:
    return frozenset(ServiceKey("shop", f"web-{number}") for number in numbers)


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        (range(100), range(60), True),
        (range(100), range(70), False),  # 30 %, and no more
        (range(10), range(7), False),
        (range(10), range(6), True),
        (range(9), range(0), False),  # few: an afternoon's work, not an accident
        (range(10), range(100, 200), True),  # what is new stands for nothing that goes
        (range(10), range(100), False),
        (range(0), range(100), False),
        (range(10), range(10), False),
    ],
)
def test_much_that_goes_at_once_is_for_a_person_to_accept(
    before: range,
    after: range,
    held: bool,  # noqa: FBT001  a parameter
) -> None:
    removal = to_accept(keys(*before), keys(*after), None)
    assert (removal is not None) is held
    if removal is not None:
        assert removal.keys == keys(*before) - keys(*after)
        assert removal.of == len(before)


def test_the_digest_accepts_just_this_removal() -> None:
    everything = keys(*range(12))
    removal = to_accept(everything, keys(*range(7)), None)
    assert removal is not None
    assert to_accept(everything, keys(*range(7)), removal.digest) is None
    for other in (range(8), range(6), range(1, 8)):
        assert to_accept(everything, keys(*other), removal.digest) is not None


def test_a_digest_is_the_same_in_every_process() -> None:
    assert digest(keys(1, 2)) == digest(keys(2, 1)) == "ciaeibfpihmj"
