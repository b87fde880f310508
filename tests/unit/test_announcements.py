from __future__ import annotations

from ipaddress import ip_address

import pytest

from registrar.announcements import BURST, GATHER_S, RESERVED, Announcement, Announcements
from registrar.model import EndpointId, Hold, HoldReason, ServiceKey, Withdrawn
from registrar.transitions import (
    Adopted,
    BackendsWithdrawn,
    HoldBegan,
    HoldEnded,
    LetGo,
    Published,
    ServiceCreated,
    Transition,
)
from tests.fakes import KEY

LOST = Hold(HoldReason.SOURCE_UNKNOWN, "no such file", "racks")
SELECTOR = Hold(HoldReason.SERVICE_HAS_SELECTOR, "it has a selector")


def service(number: int) -> ServiceKey:
    return ServiceKey("shop", f"web-{number}")


def published(key: ServiceKey = KEY, *, added: int = 1, ready: int = 1) -> Published:
    return Published(key, ready, ready + 1, added, 0, 0)


def told(*transitions: Transition, now: float = 0.0) -> Announcements:
    made = Announcements()
    for transition in transitions:
        made.tell(transition, now)
    return made


def words(found: tuple[Announcement, ...]) -> list[tuple[str, str]]:
    return [(one.reason, one.message) for one in found]


def test_an_outage_of_a_source_is_one_event_however_many_services_see_it() -> None:
    made = told(*(HoldBegan(service(n), LOST) for n in range(10_000)))
    assert made.due(0.5) == ()
    (began,) = made.due(GATHER_S)
    assert began == Announcement(
        service(0),
        "SourceUnknown",
        "source racks: no such file; 10000 Services are concerned",
        is_warning=True,
    )
    late = service(10_001)
    made.tell(HoldBegan(late, LOST), 5)
    assert made.due(60) == ()
    for key in (*(service(n) for n in range(10_000)), late):
        assert made.due(61) == ()
        made.tell(HoldEnded(key, LOST), 61)
    assert words(made.due(61)) == [
        ("HoldEnded", "no longer source-unknown (source racks); 10001 Services are concerned")
    ]


def test_other_words_of_the_same_source_are_the_same_outage() -> None:
    made = told(HoldBegan(KEY, LOST))
    assert len(made.due(1)) == 1
    other = Hold(HoldReason.SOURCE_UNKNOWN, "not readable", "racks")
    made.tell(HoldBegan(KEY, other), 2)
    made.tell(HoldEnded(KEY, LOST), 2)
    assert made.due(10) == ()
    made.tell(HoldEnded(KEY, other), 11)
    assert words(made.due(11)) == [("HoldEnded", "no longer source-unknown (source racks)")]


def test_two_sources_are_two_outages() -> None:
    made = told(HoldBegan(KEY, LOST), HoldBegan(KEY, Hold(LOST.reason, LOST.detail, "consul")))
    assert len(made.due(1)) == 2


def test_what_concerns_a_service_alone_is_an_event_on_it() -> None:
    made = told(HoldBegan(service(1), SELECTOR), HoldBegan(service(2), SELECTOR))
    found = made.due(1)
    assert [one.key for one in found] == [service(1), service(2)]
    assert words(found)[0] == ("ServiceHasSelector", "it has a selector")


def test_what_the_api_server_refuses_is_said_once() -> None:
    refused = Hold(HoldReason.FORBIDDEN, "endpoints is forbidden")
    made = told(HoldBegan(service(1), refused), HoldBegan(service(2), refused))
    assert len(made.due(1)) == 1


def test_what_everything_passes_through_is_no_event() -> None:
    waiting = Hold(HoldReason.WAITING, "for its sources")
    made = told(HoldBegan(KEY, waiting), HoldEnded(KEY, waiting))
    assert made.due(100) == ()
    assert made.next(100) is None


def test_what_is_over_within_a_moment_is_no_event() -> None:
    made = told(HoldBegan(KEY, SELECTOR), HoldEnded(KEY, SELECTOR))
    assert made.due(100) == ()


def test_publications_of_a_minute_are_one_event() -> None:
    made = told(published(ready=1))
    assert words(made.due(0)) == [("Published", "1 of 2 ready; 1 added, 0 removed, 0 changed")]
    made.tell(published(added=2, ready=3), 10)
    made.tell(published(added=3, ready=6), 20)
    assert made.next(20) == 40
    assert made.due(59) == ()
    assert words(made.due(60)) == [("Published", "6 of 7 ready; 5 added, 0 removed, 0 changed")]


def test_what_is_withdrawn_is_listed_with_its_reasons() -> None:
    gone = tuple(
        Withdrawn(EndpointId("", "TCP", ip_address(f"10.0.0.{n}"), 80), "denied") for n in range(7)
    )
    (found,) = told(BackendsWithdrawn(KEY, gone)).due(0)
    assert (found.reason, found.is_warning) == ("BackendWithdrawn", True)
    assert found.message.startswith(
        "no longer published, for it must not be: 10.0.0.0 port 80: denied; "
    )
    assert found.message.endswith("10.0.0.4 port 80: denied; and 2 more")


@pytest.mark.parametrize(
    ("transition", "reason"),
    [
        (ServiceCreated(KEY), "ServiceCreated"),
        (LetGo(KEY, 2), "LetGo"),
        (Adopted(KEY), "Adopted"),
    ],
)
def test_what_happens_once_is_said_at_once(transition: Transition, reason: str) -> None:
    made = told(transition)
    assert made.next(0) == 0
    assert [one.reason for one in made.due(0)] == [reason]
    assert made.next(0) is None


def test_too_many_are_counted_not_kept_and_what_went_wrong_comes_first() -> None:
    made = told(*(published(service(n)) for n in range(100)))
    assert len(made.due(0)) == BURST - RESERVED
    assert made.dropped == 100 - (BURST - RESERVED)
    for n in range(100):
        made.tell(BackendsWithdrawn(service(n), ()), 0)
    assert len(made.due(0)) == RESERVED
    for n in range(100):
        made.tell(BackendsWithdrawn(service(n), ()), 60)
    assert len(made.due(60)) == 10  # a minute later
    assert made.due(61) == ()


def test_warnings_come_before_the_rest() -> None:
    found = told(published(), BackendsWithdrawn(KEY, ())).due(0)
    assert [one.is_warning for one in found] == [True, False]


def test_at_the_end_nothing_is_waited_for() -> None:
    made = told(published(), HoldBegan(KEY, SELECTOR))
    made.due(0)
    made.tell(published(), 0.1)
    assert sorted(one.reason for one in made.rest(0.2)) == ["Published", "ServiceHasSelector"]
