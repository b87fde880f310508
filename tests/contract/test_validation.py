"""What is refused, word by word."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.api import Api, place
from tests.contract.objects import endpoints, event, lease, service, slice_, with_subsets

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must"
    " start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'example.com', regex used for"
    r" validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end"
    " with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
    " validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or"
    " '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
RANGE = "must be between 1 and 65535, inclusive"
SUPPORTED = 'supported values: "SCTP", "TCP", "UDP"'


def check(api: Api, ns: str, plural: str, body: dict[str, Any], *problems: str) -> None:
    """Create an object that is refused for these problems, and for nothing else."""
    refused = api.post(place(ns, plural), body)
    assert refused.status == 422, refused.text
    said = refused.json
    assert said["reason"] == "Invalid"
    found = [f"{cause['field']}: {cause['message']}" for cause in said["details"]["causes"]]
    assert found == list(problems)
    group = said["details"].get("group")
    kind = said["details"]["kind"] + (f".{group}" if group else "")
    words = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    assert refused.message == f'{kind} "{body["metadata"]["name"]}" is invalid: {words}'


@pytest.mark.parametrize(
    ("ip", "problem"),
    [
        ("127.0.0.1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("::1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("169.254.1.1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("fe80::1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("224.0.0.5", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ("ff02::1", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ("0.0.0.0", "may not be unspecified (0.0.0.0)"),
        ("::", "may not be unspecified (::)"),
        ("010.1.1.1", "must not have leading 0s"),
        ("::ffff:10.1.1.1", "must not be an IPv4-mapped IPv6 address"),
    ],
)
def test_addresses_that_no_endpoint_may_have(api: Api, ns: str, ip: str, problem: str) -> None:
    path = "subsets[0].addresses[0].ip"
    check(api, ns, "endpoints", endpoints("a", ip), f'{path}: Invalid value: "{ip}": {problem}')


@pytest.mark.parametrize("ip", ["foo", "", "10.1.1", "fe80::1%eth0", "10.1.1.1/32"])
def test_what_is_no_address(api: Api, ns: str, ip: str) -> None:
    before = f'subsets[0].addresses[0].ip: Invalid value: "{ip}": '
    problems = (f"{before}{IP}", f"{before}must be a valid IP address")
    check(api, ns, "endpoints", endpoints("a", ip), *problems)


@pytest.mark.parametrize("ip", ["224.1.1.1", "255.255.255.255", "2001:DB8::1", "ff0e::1"])
def test_addresses_that_are_taken_all_the_same(api: Api, ns: str, ip: str) -> None:
    assert api.post(place(ns, "endpoints"), endpoints("a", ip)).status == 201


def test_a_subset_needs_addresses(api: Api, ns: str) -> None:
    words = "must specify `addresses` or `notReadyAddresses`"
    problem = f"subsets[0]: Required value: {words}"
    check(api, ns, "endpoints", with_subsets("a", [{"ports": [{"port": 80}]}]), problem)


@pytest.mark.parametrize("subsets", [[], None])
def test_endpoints_may_be_empty(api: Api, ns: str, subsets: object) -> None:
    made = api.post(place(ns, "endpoints"), with_subsets("a", subsets))
    assert made.status == 201
    assert "subsets" not in made.json


def test_the_ports_of_endpoints(api: Api, ns: str) -> None:
    ports = [
        {"port": 80},
        {"port": 0, "name": "x"},
        {"port": 65536, "name": "X_", "protocol": "FOO"},
        {"port": 7, "name": "x", "appProtocol": "a b"},
    ]
    subsets = [{"addresses": [{"ip": "10.1.1.1"}], "ports": ports}]
    path = "subsets[0].ports"
    check(
        api,
        ns,
        "endpoints",
        with_subsets("a", subsets),
        f"{path}[0].name: Required value",
        f"{path}[1].port: Invalid value: 0: {RANGE}",
        f'{path}[2].name: Invalid value: "X_": {LABEL}',
        f"{path}[2].port: Invalid value: 65536: {RANGE}",
        f'{path}[2].protocol: Unsupported value: "FOO": {SUPPORTED}',
        f'{path}[3].appProtocol: Invalid value: "a b": {NAME_PART}',
    )


def test_the_names_beside_an_address(api: Api, ns: str) -> None:
    addresses = [
        {"ip": "10.1.1.1", "hostname": "A.b", "nodeName": "N_"},
        {"ip": "10.1.1.2", "hostname": "a.b"},
    ]
    path = "subsets[0].notReadyAddresses"
    check(
        api,
        ns,
        "endpoints",
        with_subsets("a", [{"notReadyAddresses": addresses}]),
        f'{path}[0].hostname: Invalid value: "A.b": {LABEL}',
        f'{path}[0].nodeName: Invalid value: "N_": {SUBDOMAIN}',
        f'{path}[1].hostname: Invalid value: "a.b": must not contain dots',
    )


def test_unchanged_subsets_are_not_looked_at_again(api: Api, ns: str) -> None:
    api.post(place(ns, "endpoints"), endpoints("a"))
    refused = api.put(place(ns, "endpoints", "a"), endpoints("a", "127.0.0.1"))
    assert refused.status == 422


# --- metadata --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Bad_Name", "-a", "a..b"])
def test_the_names_of_endpoints(api: Api, ns: str, name: str) -> None:
    problem = f'metadata.name: Invalid value: "{name}": {SUBDOMAIN}'
    check(api, ns, "endpoints", endpoints(name), problem)


def test_a_name_is_not_too_long(api: Api, ns: str) -> None:
    name = "a" * 254
    problem = f'metadata.name: Invalid value: "{name}": must be no more than 253 characters'
    check(api, ns, "endpoints", endpoints(name), problem)


def test_the_syntax_of_labels_and_annotations(api: Api, ns: str) -> None:
    body = endpoints("a", labels={"a b": "c d"}, annotations={"x y": "anything goes"})
    check(
        api,
        ns,
        "endpoints",
        body,
        f'metadata.labels: Invalid value: "a b": {NAME_PART}',
        f'metadata.labels: Invalid value: "c d": {LABEL_VALUE}',
        f'metadata.annotations: Invalid value: "x y": {NAME_PART}',
    )


def test_the_length_of_labels(api: Api, ns: str) -> None:
    long = "y" * 64
    check(
        api,
        ns,
        "endpoints",
        endpoints("a", labels={long: long}),
        f'metadata.labels: Invalid value: "{long}": name part must be no more than 63 bytes',
        f'metadata.labels: Invalid value: "{long}": must be no more than 63 bytes',
    )


def test_the_size_of_annotations(api: Api, ns: str) -> None:
    problem = "metadata.annotations: Too long: may not be more than 262144 bytes"
    body = endpoints("a", annotations={"a": "c" * 256 * 1024})
    check(api, ns, "endpoints", body, problem)


def test_the_prefix_of_a_label(api: Api, ns: str) -> None:
    before = 'metadata.labels: Invalid value: "/a": '
    body = endpoints("a", labels={"/a": ""})
    check(api, ns, "endpoints", body, f"{before}prefix part must be non-empty")


def test_owners_are_complete(api: Api, ns: str) -> None:
    owner = {"apiVersion": "", "kind": "", "name": "", "uid": ""}
    problems = [
        f"metadata.ownerReferences[0].{key}: Required value: must not be empty" for key in owner
    ]
    check(api, ns, "endpoints", endpoints("a", ownerReferences=[owner]), *problems)


def test_finalizers_are_qualified(api: Api, ns: str) -> None:
    words = "name is neither a standard finalizer name nor is it fully qualified"
    problem = f'metadata.finalizers[0]: Invalid value: "foo": {words}'
    check(api, ns, "endpoints", endpoints("a", finalizers=["foo"]), problem)


# --- slices ----------------------------------------------------------------------------------


def test_a_slice_says_its_type(api: Api, ns: str) -> None:
    body = slice_("a", addressType="")
    check(api, ns, "endpointslices", body, "addressType: Required value")
    words = 'supported values: "FQDN", "IPv4", "IPv6"'
    problem = f'addressType: Unsupported value: "Foo": {words}'
    check(api, ns, "endpointslices", slice_("a", addressType="Foo"), problem)


def test_the_addresses_of_a_slice(api: Api, ns: str) -> None:
    loopback = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    check(
        api,
        ns,
        "endpointslices",
        slice_("a", "127.0.0.1", "fd00::1", "foo"),
        f'endpoints[0].addresses[0]: Invalid value: "127.0.0.1": {loopback}',
        'endpoints[1].addresses: Invalid value: "fd00::1": must be an IPv4 address',
        f'endpoints[2].addresses[0]: Invalid value: "foo": {IP}',
    )
    check(
        api,
        ns,
        "endpointslices",
        slice_("a", "10.1.1.1", "fd00:0::1", addressType="IPv6"),
        'endpoints[0].addresses: Invalid value: "10.1.1.1": must be an IPv6 address',
        'endpoints[1].addresses[0]: Invalid value: "fd00:0::1": must be in canonical form'
        ' ("fd00::1")',
    )


def test_how_much_a_slice_holds(api: Api, ns: str) -> None:
    addresses = [f"10.1.{i // 250}.{i % 250 + 1}" for i in range(1001)]
    problem = "endpoints: Too many: 1001: must have at most 1000 items"
    check(api, ns, "endpointslices", slice_("a", *addresses), problem)
    problem = "endpoints[0].addresses: Too many: 101: must have at most 100 items"
    body = slice_("a", endpoints=[{"addresses": addresses[:101]}])
    check(api, ns, "endpointslices", body, problem)
    assert api.post(place(ns, "endpointslices"), slice_("a", *addresses[:1000])).status == 201


def test_an_endpoint_has_an_address(api: Api, ns: str) -> None:
    body = slice_("a", endpoints=[{"addresses": []}, {"addresses": ["foo"]}])
    check(
        api,
        ns,
        "endpointslices",
        body,
        f'endpoints[1].addresses[0]: Invalid value: "foo": {IP}',
        "endpoints[0].addresses: Required value",
    )


def test_the_ports_of_a_slice(api: Api, ns: str) -> None:
    ports = [{"port": 80}, {"port": 81}, {"port": 0, "name": "X_", "protocol": "F"}]
    check(
        api,
        ns,
        "endpointslices",
        slice_("a", ports=ports),
        'ports[1].name: Duplicate value: ""',
        f'ports[2].name: Invalid value: "X_": {LABEL}',
        f'ports[2].protocol: Unsupported value: "F": {SUPPORTED}',
    )


def test_what_a_slice_is_taken_with(api: Api, ns: str) -> None:
    body = slice_(
        "a",
        endpoints=[
            {"addresses": ["10.1.1.1"], "zone": "a b"},
            {"addresses": ["10.1.1.1"], "conditions": {"ready": False}},
        ],
        ports=[{"port": 99999}],
    )
    made = api.post(place(ns, "endpointslices"), body)
    assert made.status == 201
    assert made.json["ports"] == [{"name": "", "protocol": "TCP", "port": 99999}]
    assert [e["conditions"] for e in made.json["endpoints"]] == [{}, {"ready": False}]


def test_a_slice_of_nothing_shows_it(api: Api, ns: str) -> None:
    body = slice_("a")
    del body["endpoints"], body["ports"]
    made = api.post(place(ns, "endpointslices"), body).json
    assert (made["endpoints"], made["ports"]) == (None, None)


def test_hints_and_names_in_a_slice(api: Api, ns: str) -> None:
    zones = [{"name": "a"}, {"name": "a"}, {"name": "b c"}]
    endpoint = {"addresses": ["10.1.1.1"], "hostname": "a.b", "nodeName": "N_"}
    path = "endpoints[0]"
    check(
        api,
        ns,
        "endpointslices",
        slice_("a", endpoints=[{**endpoint, "hints": {"forZones": zones}}]),
        f'{path}.nodeName: Invalid value: "N_": {SUBDOMAIN}',
        f'{path}.hostname: Invalid value: "a.b": must not contain dots',
        f'{path}.hints.forZones[1].name: Duplicate value: "a"',
        f'{path}.hints.forZones[2].name: Invalid value: "b c": {LABEL_VALUE}',
    )
    many = {"forZones": [{"name": f"z{i}"} for i in range(9)]}
    problem = f"{path}.hints.forZones: Too many: 9: must have at most 8 items"
    body = slice_("a", endpoints=[{"addresses": ["10.1.1.1"], "hints": many}])
    check(api, ns, "endpointslices", body, problem)


def test_the_type_of_a_slice_stays(api: Api, ns: str) -> None:
    item = api.post(place(ns, "endpointslices"), slice_("a")).json
    refused = api.put(place(ns, "endpointslices", "a"), {**item, "addressType": "IPv6"})
    words = "addressType: Invalid value: null: field is immutable"
    assert refused.message == f'EndpointSlice.discovery.k8s.io "a" is invalid: {words}'


# --- leases and events -----------------------------------------------------------------------


def test_the_numbers_of_a_lease(api: Api, ns: str) -> None:
    check(
        api,
        ns,
        "leases",
        lease("a", leaseDurationSeconds=0, leaseTransitions=-1),
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
        "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
    )


def test_the_times_of_a_lease(api: Api, ns: str) -> None:
    layout = "2006-01-02T15:04:05.000000Z07:00"
    for time, part, wanted in (
        ("2026-01-01T00:00:00.1Z", ".1Z", ".000000"),
        ("2026-01-01T00:00:00Z", "Z", ".000000"),
        ("foo", "foo", "2006"),
    ):
        refused = api.post(place(ns, "leases"), lease("a", renewTime=time))
        why = f'parsing time "{time}" as "{layout}": cannot parse "{part}" as "{wanted}"'
        message = f'Lease in version "v1" cannot be handled as a Lease: {why}'
        assert (refused.status, refused.message) == (400, message)
    made = api.post(place(ns, "leases"), lease("a", renewTime="2026-01-01T01:00:00.123456+01:00"))
    assert made.json["spec"] == {"renewTime": "2026-01-01T00:00:00.123456Z"}


def test_an_event_is_where_its_object_is(api: Api, ns: str) -> None:
    words = "does not match event.namespace"
    body = event("a", ns, involvedObject={"kind": "Service", "name": "web"})
    problem = f'involvedObject.namespace: Invalid value: "": {words}'
    check(api, ns, "events", body, problem)


def test_an_event_of_the_new_kind_says_who_and_what(api: Api, ns: str) -> None:
    check(
        api,
        ns,
        "events",
        event("a", ns, eventTime="2026-01-01T00:00:00.000000Z", reportingComponent="registrar"),
        "reportingInstance: Required value",
        "action: Required value",
    )


# --- services --------------------------------------------------------------------------------


def test_the_ports_of_a_service(api: Api, ns: str) -> None:
    check(api, ns, "services", service("a"), "spec.ports: Required value")
    same = '{"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}'
    check(
        api,
        ns,
        "services",
        service("a", {"port": 80}, {"port": 80}),
        "spec.ports[0].name: Required value",
        "spec.ports[1].name: Required value",
        f"spec.ports[1]: Duplicate value: {same}",
    )
    check(
        api,
        ns,
        "services",
        service(
            "a",
            {"port": 80, "name": "x"},
            {"port": 81, "name": "x", "protocol": "FOO"},
            {"port": 70000, "name": "X_", "targetPort": "bad--name"},
            {"port": 82, "name": "y", "targetPort": 70000},
        ),
        'spec.ports[1].name: Duplicate value: "x"',
        f'spec.ports[1].protocol: Unsupported value: "FOO": {SUPPORTED}',
        f'spec.ports[2].name: Invalid value: "X_": {LABEL}',
        f"spec.ports[2].port: Invalid value: 70000: {RANGE}",
        'spec.ports[2].targetPort: Invalid value: "bad--name": must not contain consecutive'
        " hyphens",
        f"spec.ports[3].targetPort: Invalid value: 70000: {RANGE}",
    )


def test_the_words_of_a_service(api: Api, ns: str) -> None:
    spec = {"type": "Foo", "sessionAffinity": "X", "internalTrafficPolicy": "Y"}
    kinds = '"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'
    check(
        api,
        ns,
        "services",
        service("a", {"port": 80}, **spec, trafficDistribution="Z"),
        'spec.sessionAffinity: Unsupported value: "X": supported values: "ClientIP", "None"',
        f'spec.type: Unsupported value: "Foo": supported values: {kinds}',
        'spec.internalTrafficPolicy: Unsupported value: "Y": supported values: "Cluster", "Local"',
        'spec.trafficDistribution: Unsupported value: "Z": supported values: "PreferClose",'
        ' "PreferSameZone", "PreferSameNode"',
    )


def test_the_names_of_services(api: Api, ns: str) -> None:
    assert api.post(place(ns, "services"), service("1a", {"port": 80})).status == 201
    problem = 'metadata.name: Invalid value: "a.b": must not contain dots'
    check(api, ns, "services", service("a.b", {"port": 80}), problem)


def test_an_external_name_is_one(api: Api, ns: str) -> None:
    body = service("a", type="ExternalName")
    check(api, ns, "services", body, "spec.externalName: Required value")
    body = service("a", type="ExternalName", externalName="a_b")
    check(api, ns, "services", body, f'spec.externalName: Invalid value: "a_b": {SUBDOMAIN}')
