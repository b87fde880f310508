from __future__ import annotations

from ipaddress import ip_address

from registrar.cluster.forms import Action, Write
from registrar.cluster.objects import Endpoints, EndpointSlice, ObjectMeta
from registrar.difference import Change, Difference, difference
from registrar.model import Address, Desired, Dropped, Endpoint, Hold, HoldReason, Plan
from registrar.standing import Standing
from tests.fakes import KEY, endpoint

META = ObjectMeta(name="web", namespace="shop")


def changes(
    plan: Plan, reasons: dict[tuple[Address, int], str] | None = None, *dropped: Dropped
) -> tuple[Change, ...]:
    standing = Standing(desired=Desired(frozenset(), dropped=dropped), plan=plan)
    return difference(KEY, standing, reasons or {}, takes_over=False).changes


def test_what_comes_what_goes_and_what_changes_each_with_its_reason() -> None:
    plan = Plan(
        adds=frozenset({endpoint("10.0.0.1"), endpoint("10.0.0.2")}),
        removals=frozenset({endpoint("10.0.0.3"), endpoint("10.0.0.4")}),
        changes=frozenset({endpoint("10.0.0.5", ready=False)}),
    )
    reasons: dict[tuple[Address, int], str] = {
        (ip_address("10.0.0.1"), 80): "connected",
        (ip_address("10.0.0.2"), 8080): "of another port",
        (ip_address("10.0.0.5"), 80): "connection refused",
    }
    assert changes(plan, reasons, Dropped("10.0.0.4", "`networks.deny` has it")) == (
        Change("-", "10.0.0.3:80/TCP", "gone", "no source lists it any more"),
        Change("-", "10.0.0.4:80/TCP", "gone", "`networks.deny` has it"),
        Change("+", "10.0.0.1:80/TCP", "ready", "connected"),
        Change("+", "10.0.0.2:80/TCP", "ready", "a source lists it"),
        Change("~", "10.0.0.5:80/TCP", "not ready", "connection refused"),
    )


def test_they_are_in_an_order_that_people_expect() -> None:
    found = frozenset(
        {
            endpoint("10.0.0.10"),
            endpoint("fd00::1"),
            endpoint("10.0.0.9"),
            endpoint("10.0.0.9", port=8),
            endpoint("10.0.0.1", name="http"),
        }
    )
    assert [change.endpoint for change in changes(Plan(adds=found))] == [
        "10.0.0.9:8/TCP",
        "10.0.0.9:80/TCP",
        "10.0.0.10:80/TCP",
        "[fd00::1]:80/TCP",
        "http 10.0.0.1:80/TCP",
    ]


def test_what_drains_is_said_to() -> None:
    draining = Endpoint(endpoint("10.0.0.1").id, ready=False, draining=True)
    (change,) = changes(Plan(changes=frozenset({draining})))
    assert change.state == "draining"


def test_which_objects_would_be_written_and_whose_they_are() -> None:
    writes = (
        Write(Action.CREATE, EndpointSlice(metadata=META)),
        Write(Action.REPLACE, Endpoints(metadata=META)),
        Write(Action.DELETE, EndpointSlice(metadata=META)),
    )
    standing = Standing(writes=writes)
    assert difference(KEY, standing, {}, takes_over=False).writes == (
        "create EndpointSlice web",
        "replace Endpoints web",
        "delete EndpointSlice web",
    )
    taken = difference(KEY, standing, {}, takes_over=True).writes
    assert taken[1] == "replace Endpoints web (written by somebody else)"
    assert taken[0] == "create EndpointSlice web"


def test_in_place_is_what_neither_differs_nor_is_held() -> None:
    hold = Hold(HoldReason.SOURCE_UNKNOWN, "connection refused")
    write = Write(Action.CREATE, Endpoints(metadata=META))
    for standing, expected in (
        (Standing(), True),
        (Standing(hold), False),
        (Standing(desired=Desired(frozenset(), (hold,))), False),
        (Standing(writes=(write,)), False),
    ):
        found = difference(KEY, standing, {}, takes_over=False)
        assert found.is_in_place is expected
    held = difference(KEY, Standing(hold), {}, takes_over=False)
    assert held == Difference("shop/web", (), (), ("source-unknown: connection refused",))
