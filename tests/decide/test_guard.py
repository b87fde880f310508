from __future__ import annotations

from ipaddress import ip_address

import pytest

from registrar.decide.guard import Heard, Missing, Removals, guard, heard, is_drastic
from registrar.model import Confirm, EndpointId, Observation, PartState, QueryRef
from tests.fakes import QUERY, answer

CONFIRM = Confirm(answers=3, seconds=30.0)
PLACE = (QUERY, "a")


def ids(*numbers: int) -> frozenset[EndpointId]:
    return frozenset(EndpointId("", "TCP", ip_address(f"10.0.0.{n}"), 80) for n in numbers)


class Story:
    """What one port of a Service goes through: answers at certain times, and the guard's word."""

    def __init__(self, published: frozenset[EndpointId], confirm: Confirm | None = CONFIRM) -> None:
        self.published = published
        self.confirm = confirm
        self.answers: dict[tuple[QueryRef, str], int] = {PLACE: 0}
        self.last = Removals(frozenset(), {})

    def look(
        self, now: float, found: frozenset[EndpointId], *, answered: bool = True
    ) -> frozenset[EndpointId]:
        if answered:
            self.answers = {place: count + 1 for place, count in self.answers.items()}
        self.last = guard(self.published, found, self.answers, self.confirm, self.last.missing, now)
        self.published = found | self.last.kept
        return self.last.kept


@pytest.mark.parametrize(
    ("removed", "published", "expected"),
    [
        (1, 1, True),
        (1, 2, False),
        (2, 2, True),
        (1, 3, False),
        (2, 3, True),
        (4, 8, False),
        (5, 8, True),
        (3, 10, False),
        (4, 10, True),
        (30, 100, False),
        (31, 100, True),
    ],
)
def test_what_is_drastic(removed: int, published: int, expected: bool) -> None:  # noqa: FBT001  a parameter
    assert is_drastic(removed, published) is expected


def test_a_small_removal_is_believed_at_once() -> None:
    story = Story(ids(1, 2, 3))
    assert story.look(0, ids(1, 2)) == frozenset()


def test_an_empty_answer_is_believed_after_so_many_answers_over_so_long() -> None:
    story = Story(ids(1, 2))
    assert story.look(0, ids()) == ids(1, 2)
    assert story.look(10, ids()) == ids(1, 2)
    assert story.look(20, ids()) == ids(1, 2)  # enough answers, too soon
    assert story.last.look_after == 10
    assert story.look(30, ids()) == frozenset()
    assert story.last.look_after is None


def test_time_alone_does_not_confirm() -> None:
    story = Story(ids(1, 2))
    story.look(0, ids())
    assert story.look(1000, ids(), answered=False) == ids(1, 2)
    assert story.last.look_after == 10
    assert story.look(1001, ids()) == ids(1, 2)
    assert story.look(1002, ids()) == frozenset()


def test_the_next_look_comes_when_the_time_is_over() -> None:
    story = Story(ids(1, 2))
    story.look(0, ids())
    story.look(27, ids())
    assert story.last.look_after == 3


def test_what_comes_back_begins_anew() -> None:
    story = Story(ids(1, 2, 3, 4, 5))
    story.look(0, ids(1))
    story.look(15, ids(1, 2))
    assert story.look(40, ids(1)) == ids(2)  # the others are confirmed, it was there in between


def test_the_missing_are_remembered_also_while_few_are() -> None:
    story = Story(ids(*range(10)))
    assert story.look(0, ids(*range(1, 10))) == frozenset()
    assert set(story.last.missing) == ids(0)


def test_each_part_has_to_say_it_and_one_that_came_later_as_well() -> None:
    story = Story(ids(1, 2))
    other = (QUERY, "b")
    story.look(0, ids())
    story.answers = {**story.answers, other: 0}
    assert story.look(30, ids()) == ids(1, 2)
    assert story.look(40, ids()) == ids(1, 2)  # the third of a, the second of b
    assert story.look(50, ids()) == frozenset()


def test_without_any_answer_nothing_is_confirmed() -> None:
    removals = guard(ids(1), ids(), {}, CONFIRM, {one: Missing(0, {}) for one in ids(1)}, 1e6)
    assert removals.kept == ids(1)


def test_where_nothing_needs_to_be_confirmed_all_goes_at_once() -> None:
    story = Story(ids(1, 2), confirm=None)
    assert story.look(0, ids()) == frozenset()


def test_what_was_heard_is_counted_by_part() -> None:
    parts = (PartState("a", answer("10.0.0.1"), 1.0, None, 4), PartState("b"))
    expected: Heard = {(QUERY, "a"): 4, (QUERY, "b"): 0}
    assert heard({QUERY: Observation(parts)}) == expected
