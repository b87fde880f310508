from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network

import pytest

from registrar.decide import candidates as candidates_module
from registrar.decide import policy
from registrar.decide.candidates import Candidates
from registrar.decide.withdrawal import withdrawal
from registrar.model import (
    Answer,
    Confirm,
    Desired,
    Dropped,
    Endpoint,
    Hold,
    HoldReason,
    NetworkRules,
    Observation,
    PartState,
    PortMapping,
    Publish,
    Published,
    QueryRef,
    ServiceMapping,
    ServicePort,
    ServiceState,
    Target,
    Verdict,
    Withdrawn,
)
from tests.fakes import CHECK, KEY, QUERY, answer, backend, endpoint, mapping, service, target

OTHER = QueryRef("racks", "other")
UP = {target(f"10.0.0.{n}"): Verdict.UP for n in range(1, 10)}


def heard(*answers: Answer | str) -> Observation:
    """Return an observation of parts: an answer each, or an error."""
    return Observation(
        tuple(
            PartState(f"part-{n}", error=said)
            if isinstance(said, str)
            else PartState(f"part-{n}", said, 1.0)
            for n, said in enumerate(answers)
        ),
        None,
    )


def published(*endpoints: Endpoint) -> Published:
    return Published(frozenset(endpoints))


def candidates(
    asks: ServiceMapping,
    of: ServiceState | None,
    before: Published | None,
    observations: Mapping[QueryRef, Observation],
    rules: NetworkRules,
) -> Candidates | Hold:
    return candidates_module.candidates(asks, of, before, observations, rules, {}, 0.0)


def find(
    observation: Observation | None,
    before: Published | None = None,
    *,
    asks: ServiceMapping | None = None,
    of: ServiceState | None = None,
    rules: NetworkRules | None = None,
) -> Candidates | Hold:
    return candidates(
        asks or mapping(),
        of or service(),
        before,
        {} if observation is None else {QUERY: observation},
        rules or NetworkRules(),
    )


def found(observation: Observation | None, before: Published | None = None) -> Candidates:
    result = find(observation, before)
    assert isinstance(result, Candidates)
    return result


def decide(
    seen: Candidates,
    before: Published | None,
    verdicts: Mapping[Target, Verdict],
    asks: ServiceMapping | None = None,
) -> Desired | Hold:
    return policy.decide(asks or mapping(), seen, before, verdicts)


def reason(result: object) -> HoldReason:
    assert isinstance(result, Hold), result
    return result.reason


# --- health --------------------------------------------------------------------------------------


def test_up_is_ready_down_is_not_ready_and_unknown_stays_out_while_it_is_new() -> None:
    seen = found(heard(answer("10.0.0.1", "10.0.0.2", "10.0.0.3")))
    verdicts = {target("10.0.0.1"): Verdict.UP, target("10.0.0.2"): Verdict.DOWN}
    desired = decide(seen, None, verdicts)
    assert isinstance(desired, Desired)
    assert desired.endpoints == {endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False)}


@pytest.mark.parametrize("ready", [True, False])
def test_unknown_keeps_what_is_published(ready: bool) -> None:  # noqa: FBT001  a parameter
    before = published(endpoint("10.0.0.1", ready=ready))
    desired = decide(found(heard(answer("10.0.0.1")), before), before, {})
    assert isinstance(desired, Desired)
    assert desired.endpoints == before.endpoints


def test_new_backends_of_which_nothing_is_known_are_not_published_as_nothing() -> None:
    assert reason(decide(found(heard(answer("10.0.0.1"))), None, {})) is HoldReason.WAITING


def test_a_port_without_a_check_is_up() -> None:
    unchecked = mapping(PortMapping(None, (QUERY,), None, None))
    seen = find(heard(answer("10.0.0.1")), asks=unchecked)
    assert isinstance(seen, Candidates)
    assert decide(seen, None, {}) == Desired(frozenset({endpoint("10.0.0.1")}))


# --- what is not known changes nothing -----------------------------------------------------------


def test_a_source_that_never_answered_holds_where_nothing_is_published() -> None:
    assert reason(find(None)) is HoldReason.WAITING
    assert reason(find(heard("refused"))) is HoldReason.SOURCE_UNKNOWN
    assert reason(find(Observation((PartState("a"),), None))) is HoldReason.WAITING
    assert reason(find(heard(Answer(()), "refused"))) is HoldReason.SOURCE_UNKNOWN


def test_after_a_restart_what_is_published_stands_in_for_a_source_that_has_not_answered() -> None:
    before = published(endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False))
    desired = decide(found(heard("refused"), before), before, {})
    assert isinstance(desired, Desired)
    assert desired.endpoints == before.endpoints
    assert [hold.reason for hold in desired.holds] == [HoldReason.SOURCE_UNKNOWN]


def test_what_is_adopted_keeps_its_name_and_zone_and_speaks_what_the_port_says() -> None:
    known = replace(endpoint("10.0.0.1", hostname="a"), zone="z")
    speaks = service(ServicePort("", app_protocol="kubernetes.io/h2c"))
    before = published(known)
    seen = find(heard("refused"), before, of=speaks)
    assert isinstance(seen, Candidates)
    desired = decide(seen, before, {})
    assert isinstance(desired, Desired)
    assert desired.endpoints == {replace(known, app_protocol="kubernetes.io/h2c")}


def test_a_backend_has_the_name_that_its_source_gives_and_speaks_what_the_port_says() -> None:
    named = Answer((replace(backend("10.0.0.1"), hostname="a"),))
    speaks = service(ServicePort("", app_protocol="kubernetes.io/h2c"))
    seen = find(heard(named), of=speaks)
    assert isinstance(seen, Candidates)
    desired = decide(seen, None, UP)
    assert isinstance(desired, Desired)
    expected = replace(endpoint("10.0.0.1", hostname="a"), app_protocol="kubernetes.io/h2c")
    assert desired.endpoints == {expected}


def test_an_adopted_backend_goes_only_when_all_parts_have_answered_without_it() -> None:
    before = published(endpoint("10.0.0.1"), endpoint("10.0.0.9"))
    some = decide(found(heard(answer("10.0.0.2"), "refused"), before), before, UP)
    assert isinstance(some, Desired)
    assert {str(e.id.address) for e in some.endpoints} == {"10.0.0.1", "10.0.0.2", "10.0.0.9"}
    every = decide(found(heard(answer("10.0.0.2"), answer("10.0.0.1")), before), before, UP)
    assert isinstance(every, Desired)
    assert {str(e.id.address) for e in every.endpoints} == {"10.0.0.1", "10.0.0.2"}


def test_a_part_that_fails_later_keeps_its_last_good_answer() -> None:
    stale = Observation((PartState("a", answer("10.0.0.1"), 1.0, error="refused"),), None)
    desired = decide(found(stale), None, UP)
    assert isinstance(desired, Desired)
    assert desired.endpoints == {endpoint("10.0.0.1")}
    assert desired.holds == (Hold(HoldReason.SOURCE_UNKNOWN, "refused"),)


def test_an_empty_answer_is_an_answer() -> None:
    before = published(endpoint("10.0.0.1"))
    assert decide(found(heard(Answer(())), before), before, UP) == Desired(frozenset())


# --- addresses that must not be published --------------------------------------------------------


def test_one_bad_address_costs_nothing_but_itself() -> None:
    seen = found(heard(answer("10.0.0.1", "127.0.0.1", "10.0.0.2")))
    desired = decide(seen, None, UP)
    assert isinstance(desired, Desired)
    assert desired.endpoints == {endpoint("10.0.0.1"), endpoint("10.0.0.2")}
    assert desired.dropped == (Dropped("127.0.0.1", "a loopback address is never published"),)


def test_a_published_address_that_must_not_be_is_withdrawn_though_no_source_answers() -> None:
    rules = NetworkRules(deny=(ip_network("10.0.0.0/24"),))
    before = published(endpoint("10.0.0.1"))
    seen = find(heard("refused"), before, rules=rules)
    assert isinstance(seen, Candidates)
    desired = decide(seen, before, UP)
    assert isinstance(desired, Desired)
    assert desired.endpoints == frozenset()


def test_one_that_its_source_does_not_list_any_more_is_withdrawn_too() -> None:
    rules = NetworkRules(deny=(ip_network("10.0.0.0/24"),))
    before = published(endpoint("10.0.0.1"), endpoint("10.0.1.1"))
    seen = find(heard(answer("10.0.1.1")), before, rules=rules)
    assert isinstance(seen, Candidates)
    reason = "networks.deny covers it (10.0.0.0/24)"
    assert seen.withdrawn == (Withdrawn(endpoint("10.0.0.1").id, reason),)
    assert seen.dropped == (Dropped("10.0.0.1", reason),)


def test_whatever_holds_an_address_that_must_not_be_goes() -> None:
    rules = NetworkRules(deny=(ip_network("10.0.0.0/24"),))
    before = published(endpoint("10.0.0.1"), endpoint("10.0.1.1", ready=False))
    hold = Hold(HoldReason.NO_PORT, "no number")
    left = withdrawal(service(), before, rules, hold)
    assert left is not None
    assert left.endpoints == {endpoint("10.0.1.1", ready=False)}
    assert left.holds == (hold,)
    assert [one.id.address for one in left.withdrawn] == [endpoint("10.0.0.1").id.address]
    assert withdrawal(service(), before, NetworkRules(), hold) is None


def test_what_is_not_ours_is_not_withdrawn() -> None:
    rules = NetworkRules(deny=(ip_network("10.0.0.0/24"),))
    before, hold = published(endpoint("10.0.0.1")), Hold(HoldReason.NO_PORT, "no number")
    for of in (
        None,
        replace(service(), has_selector=True),
        replace(service(), is_external_name=True),
    ):
        assert withdrawal(of, before, rules, hold) is None
    assert withdrawal(service(), None, rules, hold) is None
    assert withdrawal(service(), replace(before, ours=False), rules, hold) is None


def test_an_address_of_a_family_that_the_service_lacks_is_left_out() -> None:
    seen = find(heard(answer("10.0.0.1", "2001:db8::1")), of=service(families=[4]))
    assert isinstance(seen, Candidates)
    assert [str(c.id.address) for c in seen.all] == ["10.0.0.1"]
    assert seen.dropped[0].reason == "the Service has no IPv6 among its ipFamilies"


def test_what_the_source_dropped_is_passed_on() -> None:
    drop = Dropped("x", "not an IP address")
    seen = found(heard(Answer((), (drop,))))
    assert seen.dropped == (drop,)


# --- the Service and its ports -------------------------------------------------------------------


def test_services_that_are_not_for_registrar_are_held() -> None:
    good = heard(answer("10.0.0.1"))
    assert candidates(mapping(), None, None, {QUERY: good}, NetworkRules()) == Hold(
        HoldReason.SERVICE_MISSING, "there is no Service shop/web"
    )
    selects = replace(service(), has_selector=True)
    assert reason(find(good, of=selects)) is HoldReason.SERVICE_HAS_SELECTOR
    external = replace(service(), is_external_name=True)
    assert reason(find(good, of=external)) is HoldReason.EXTERNAL_NAME
    foreign = Published(frozenset(), ours=False)
    assert reason(find(good, foreign)) is HoldReason.NOT_OURS


def test_a_port_comes_from_the_backend_else_the_mapping_else_the_target_port() -> None:
    def port(of_backend: int | None, of_mapping: int | None, of_service: int | None) -> object:
        seen = find(
            heard(answer("10.0.0.1", port=of_backend)),
            asks=mapping(PortMapping(None, (QUERY,), of_mapping, CHECK)),
            of=service(ServicePort("", target_port=of_service)),
        )
        return seen.all[0].id.port if isinstance(seen, Candidates) else seen

    assert port(1, 2, 3) == 1
    assert port(None, 2, 3) == 2
    assert port(None, None, 3) == 3
    assert port(None, None, None) == Hold(
        HoldReason.NO_PORT,
        "Service shop/web has no number for its port: give one to the backends "
        "(10.0.0.1 has none), to the mapping (`port`), or as targetPort",
    )


def test_one_backend_without_a_port_costs_nothing_but_itself() -> None:
    mixed = Answer((*answer("10.0.0.1").backends, *answer("10.0.0.2", port=None).backends))
    seen = found(heard(mixed))
    assert [str(c.id.address) for c in seen.all] == ["10.0.0.1"]
    assert seen.dropped == (Dropped("10.0.0.2", "it has no port"),)


def test_several_ports_need_names_that_the_service_has() -> None:
    two = service(ServicePort("http", target_port=80), ServicePort("admin", target_port=90))
    good = heard(answer("10.0.0.1", port=None))
    assert find(good, of=two) == Hold(
        HoldReason.PORT_NAME_MISSING,
        "Service shop/web has 2 ports (http, admin); "
        "give the mapping a `ports` section that names them",
    )
    wrong = mapping(PortMapping("htpp", (QUERY,), None, CHECK))
    assert find(good, asks=wrong, of=two) == Hold(
        HoldReason.PORT_NAME_UNKNOWN,
        "Service shop/web has no port named 'htpp'; its ports: http, admin",
    )


def test_ports_of_a_service_are_separate() -> None:
    two = service(ServicePort("http"), ServicePort("admin"))
    asks = mapping(
        PortMapping("http", (QUERY,), None, CHECK), PortMapping("admin", (OTHER,), 9000, None)
    )
    before = published(
        endpoint("10.0.0.5", name="admin", port=9000), endpoint("10.0.0.6", name="http")
    )
    seen = candidates(asks, two, before, {QUERY: heard(answer("10.0.0.1"))}, NetworkRules())
    assert isinstance(seen, Candidates)
    ids = {(c.id.port_name, str(c.id.address), c.id.port) for c in seen.all}
    # http has answered, without 10.0.0.6; admin has not, and keeps what is published.
    assert ids == {("http", "10.0.0.1", 80), ("admin", "10.0.0.5", 9000)}


def test_two_queries_that_give_one_backend_are_one_endpoint_and_the_first_query_names_it() -> None:
    first = Answer((replace(answer("10.0.0.1").backends[0], hostname="a"),))
    second = Answer((replace(answer("10.0.0.1").backends[0], hostname="b"),))
    asks = mapping(PortMapping(None, (QUERY, OTHER), None, CHECK))
    seen = candidates(
        asks, service(), None, {QUERY: heard(first), OTHER: heard(second)}, NetworkRules()
    )
    assert isinstance(seen, Candidates)
    assert [c.hostname for c in seen.all] == ["a"]


def test_more_backends_than_the_cap_are_held_whole() -> None:
    few = replace(mapping(PortMapping(None, (QUERY,), None, None)), max_backends=2)
    two = find(heard(answer("10.0.0.1", "10.0.0.2")), asks=few)
    three = find(heard(answer("10.0.0.1", "10.0.0.2", "10.0.0.3")), asks=few)
    assert isinstance(two, Candidates)
    assert isinstance(three, Candidates)
    assert isinstance(decide(two, None, {}, few), Desired)
    assert reason(decide(three, None, {}, few)) is HoldReason.TOO_MANY_BACKENDS


def test_a_paused_mapping_keeps_what_is_published_but_what_must_not_be() -> None:
    paused = replace(mapping(), paused=True)
    here, down = endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False)
    before = published(here, down, endpoint("10.9.0.1"))
    rules = NetworkRules(deny=(ip_network("10.9.0.0/24"),))
    seen = find(heard(answer("10.0.0.7")), before, asks=paused, rules=rules)
    assert isinstance(seen, Candidates)
    desired = decide(seen, before, {target("10.0.0.1"): Verdict.DOWN}, paused)
    assert isinstance(desired, Desired)
    assert desired.endpoints == {here, down}
    assert [hold.reason for hold in desired.holds] == [HoldReason.PAUSED]


@pytest.mark.parametrize(("up", "expected"), [(0, 4), (1, 4), (2, 2), (4, 4)])
def test_when_too_few_are_ready_all_are_published_as_ready(up: int, expected: int) -> None:
    panics = replace(mapping(), panic_threshold=0.5)
    addresses = [f"10.0.0.{n}" for n in range(1, 5)]
    verdicts = {target(a): Verdict.UP if n < up else Verdict.DOWN for n, a in enumerate(addresses)}
    desired = decide(found(heard(answer(*addresses))), None, verdicts, panics)
    assert isinstance(desired, Desired)
    assert sum(e.ready for e in desired.endpoints) == expected


def test_by_default_none_is_published_as_ready_that_is_down() -> None:
    desired = decide(found(heard(answer("10.0.0.1"))), None, {target("10.0.0.1"): Verdict.DOWN})
    assert isinstance(desired, Desired)
    assert desired.endpoints == {endpoint("10.0.0.1", ready=False)}


def test_silence_that_is_doubted_is_said() -> None:
    seen = found(heard(answer("10.0.0.1", "10.0.0.2")))
    desired = policy.decide(mapping(), seen, None, UP, {target("10.0.0.2")})
    assert isinstance(desired, Desired)
    assert [hold.reason for hold in desired.holds] == [HoldReason.SELF_PRESERVATION]
    calm = policy.decide(mapping(), seen, None, UP, {target("10.0.0.9")})
    assert isinstance(calm, Desired)
    assert calm.holds == ()


def test_a_large_removal_waits_to_be_confirmed_and_what_is_new_goes_ahead() -> None:
    careful = mapping(PortMapping(None, (QUERY,), None, CHECK, Confirm()))
    before = published(endpoint("10.0.0.1"), endpoint("10.0.0.2"))
    seen = find(heard(answer("10.0.0.3")), before, asks=careful)
    assert isinstance(seen, Candidates)
    desired = decide(seen, before, UP, careful)
    assert isinstance(desired, Desired)
    assert desired.endpoints == {endpoint(f"10.0.0.{n}") for n in (1, 2, 3)}
    assert desired.holds == (
        Hold(
            HoldReason.REMOVALS_UNCONFIRMED,
            "the sources no longer list 2 of the 2 backends that are published; "
            "that is believed after 3 answers over 30 s",
        ),
    )
    assert seen.look_after == 10
    assert set(seen.missing) == {endpoint("10.0.0.1").id, endpoint("10.0.0.2").id}
    # Whoever stays for now goes on being judged.
    assert target("10.0.0.1") in {candidate.target for candidate in seen.all}


def test_a_withdrawal_needs_no_confirmation() -> None:
    careful = mapping(PortMapping(None, (QUERY,), None, CHECK, Confirm()))
    rules = NetworkRules(deny=(ip_network("10.0.0.0/24"),))
    before = published(endpoint("10.0.0.1"))
    seen = find(heard(Answer(())), before, asks=careful, rules=rules)
    assert isinstance(seen, Candidates)
    desired = decide(seen, before, UP, careful)
    assert isinstance(desired, Desired)
    assert desired.endpoints == frozenset()


def test_a_service_that_wants_every_address_gets_all_as_ready() -> None:
    every = replace(service(), publish_not_ready=True)
    leaving = Answer((replace(backend("10.0.0.3"), draining=True),))
    seen = find(heard(answer("10.0.0.1", "10.0.0.2"), leaving), of=every)
    assert isinstance(seen, Candidates)
    desired = decide(seen, None, {target("10.0.0.2"): Verdict.DOWN})
    assert isinstance(desired, Desired)
    assert desired.endpoints == {endpoint(f"10.0.0.{n}") for n in (1, 2, 3)}


def test_one_that_drains_is_not_ready_and_still_serves_until_it_is_down() -> None:
    leaving = heard(Answer((replace(backend("10.0.0.1"), draining=True),)))
    drains = replace(endpoint("10.0.0.1", ready=False), draining=True)
    up = decide(found(leaving), None, UP)
    assert isinstance(up, Desired)
    assert up.endpoints == {drains}
    before = published(drains)
    unknown = decide(found(leaving, before), before, {})
    assert isinstance(unknown, Desired)
    assert unknown.endpoints == {drains}
    down = decide(found(leaving, before), before, {target("10.0.0.1"): Verdict.DOWN})
    assert isinstance(down, Desired)
    assert down.endpoints == {endpoint("10.0.0.1", ready=False)}


def test_one_that_drains_no_more_is_ready_again() -> None:
    before = published(replace(endpoint("10.0.0.1", ready=False), draining=True))
    desired = decide(found(heard(answer("10.0.0.1")), before), before, {})
    assert isinstance(desired, Desired)
    assert desired.endpoints == {endpoint("10.0.0.1")}


def test_traffic_that_stays_on_its_node_is_warned_of() -> None:
    local = replace(service(), local_traffic=True)
    seen = find(heard(answer("10.0.0.1")), of=local)
    assert isinstance(seen, Candidates)
    desired = decide(seen, None, UP)
    assert isinstance(desired, Desired)
    (notice,) = desired.notices
    assert "traffic policy Local" in notice


def test_what_others_have_written_is_taken_over_on_request() -> None:
    theirs = Published(frozenset({endpoint("10.0.0.1")}), ours=False)
    adopting = replace(mapping(), adopt=True)
    seen = find(heard("refused"), theirs, asks=adopting)
    assert isinstance(seen, Candidates)
    desired = decide(seen, theirs, {}, adopting)
    assert isinstance(desired, Desired)
    assert desired.endpoints == {endpoint("10.0.0.1")}


def test_a_backend_without_a_port_costs_only_itself() -> None:
    mixed = Answer((backend("10.0.0.1", None), backend("10.0.0.2"), backend("10.0.0.3", None)))
    seen = find(heard(mixed), of=service(ServicePort("")))
    assert isinstance(seen, Candidates)
    assert [str(one.id.address) for one in seen.all] == ["10.0.0.2"]
    assert [drop.record for drop in seen.dropped] == ["10.0.0.1", "10.0.0.3"]


def test_one_that_is_kept_unchecked_counts_as_up() -> None:
    unchecked = mapping(PortMapping(None, (QUERY,), None, None))
    before = published(endpoint("10.0.0.1", ready=False))
    seen = find(heard("refused"), before, asks=unchecked)
    assert isinstance(seen, Candidates)
    desired = decide(seen, before, {}, unchecked)
    assert isinstance(desired, Desired)
    assert desired.endpoints == {endpoint("10.0.0.1")}


def test_the_zone_is_that_of_the_source() -> None:
    zoned = Answer((replace(backend("10.0.0.1"), zone="a"),))
    desired = decide(found(heard(zoned)), None, UP)
    assert isinstance(desired, Desired)
    assert [e.zone for e in desired.endpoints] == ["a"]


def test_more_addresses_than_endpoints_carry_are_held_whole() -> None:
    many = answer(*(f"10.1.{n // 250}.{n % 250 + 1}" for n in range(1001)))
    unchecked = mapping(PortMapping(None, (QUERY,), None, None))
    seen = find(heard(many), asks=unchecked)
    assert isinstance(seen, Candidates)
    assert reason(decide(seen, None, {})) is HoldReason.TOO_MANY_ADDRESSES
    for publish in (Publish.BOTH, Publish.ENDPOINTSLICES):  # these carry all of them in slices
        desired = decide(seen, None, {}, replace(unchecked, publish=publish))
        assert isinstance(desired, Desired)
        assert len(desired.endpoints) == 1001


def test_a_mapping_is_named_as_it_is_written() -> None:
    assert str(KEY) == "shop/web"
