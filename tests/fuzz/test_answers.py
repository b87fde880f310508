"""What sources are answered: HTTP lists, Consul, Docker, DNS, and the headers of all."""

from __future__ import annotations

import contextlib
import json
from ipaddress import ip_address
from typing import Any

import dns.exception
import dns.message
import httpx
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from registrar.backoff import retry_after
from registrar.errors import MALFORMED, ConfigError, SourceError
from registrar.model import Answer
from sources.consul.records import Reading, read_instances
from sources.dns.lookup import _step, _Useless
from sources.docker.containers import Recall, Wanted
from sources.docker.daemon import _numbers
from sources.docker.host import DockerHost
from sources.http import _conditions, _read
from tests.fuzz.mutation import bodies, mutated, texts

GROUPS = [
    {"targets": ["10.20.0.1:80", "[2001:db8::1]:80"], "labels": {"app": "web", "zone": "a"}},
    {"targets": []},
]
INSTANCES = [
    {
        "Node": {
            "Node": "one",
            "Address": "10.20.0.1",
            "TaggedAddresses": {"lan": "10.20.0.1", "wan": "10.30.0.1"},
            "Meta": {"zone": "a"},
        },
        "Service": {
            "ID": "web-1",
            "Address": "10.20.0.2",
            "Port": 80,
            "TaggedAddresses": {"lan": {"Address": "10.20.0.2", "Port": 80}},
            "Weights": {"Passing": 2, "Warning": 1},
            "Meta": None,
        },
        "Checks": [{"CheckID": "c", "Status": "passing"}],
    }
]
CONTAINERS = [
    {
        "Id": "0123456789abcdef",
        "State": "running",
        "Status": "Up 3 minutes (healthy)",
        "Names": ["/web-1"],
        "Labels": {"app": "web"},
        "Ports": [{"PrivatePort": 80, "Type": "tcp", "PublicPort": 8080, "IP": "0.0.0.0"}],
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {"Networks": {"net": {"IPAddress": "172.20.0.2"}}},
    }
]
READINGS = st.sampled_from(
    [Reading(None, "up", "down", "zone"), Reading("wan", "up", "down", None)]
)
WANTED = st.sampled_from(
    [
        Wanted((("app", "web"),), None, None, None, "tcp"),
        Wanted((), "web-1", "net", 80, "tcp"),
        Wanted((), "web-1", None, 80, "tcp"),
    ]
)
HEADERS = st.dictionaries(
    st.sampled_from(["ETag", "Last-Modified", "Date", "Retry-After"]),
    texts('"abc"', "Wed, 25 Nov 2026 10:00:00 GMT", "120"),
)


@given(bodies(GROUPS))
def test_a_list_by_http(body: bytes) -> None:
    try:
        groups = _read(body)
    except ConfigError:
        return
    assert len(groups) == len(json.loads(body))
    assert_told(*(group.answer for group in groups))


@given(HEADERS)
def test_the_headers_of_an_answer(said: dict[str, str]) -> None:
    headers = httpx.Headers(
        [(name.encode(), value.encode(errors="surrogateescape")) for name, value in said.items()]
    )
    httpx.Request("GET", "http://list.test/", headers=_conditions(headers))
    wait = retry_after(headers)
    assert wait is None or wait >= 0


@given(bodies(INSTANCES), READINGS)
def test_instances_of_consul(body: bytes, reading: Reading) -> None:
    try:
        answer = read_instances(body, reading)
    except SourceError:
        return
    assert answer.backends or answer.dropped or body.strip().startswith(b"[")
    assert_told(answer)


@given(bodies(CONTAINERS), WANTED)
def test_containers_of_docker(body: bytes, wanted: Wanted) -> None:
    recall = Recall(DockerHost(url="tcp://10.20.3.1:2375"), wanted)
    listed: list[msgspec.Raw] = []
    with contextlib.suppress(*MALFORMED):
        listed = msgspec.json.decode(body, type=list[msgspec.Raw])
    assert_told(recall.answer(listed))


@given(texts("1.52", "1.24"))
def test_a_version_of_docker(text: str) -> None:
    try:
        assert _numbers(text) >= (0, 0)
    except SourceError:
        return


def messages() -> list[bytes]:
    found = []
    for name, kind, answers in (
        ("web.test.", "A", ["web.test. 60 IN A 10.20.0.1", "web.test. 60 IN A 10.20.0.2"]),
        ("web.test.", "AAAA", ["web.test. 60 IN CNAME a.test.", "a.test. 60 IN AAAA 2001:db8::1"]),
        ("_web.test.", "SRV", ["_web.test. 60 IN SRV 0 1 80 t1.test."]),
    ):
        said = "id 1\nopcode QUERY\nrcode NOERROR\nflags QR AA\n;QUESTION\n"
        said += f"{name} IN {kind}\n;ANSWER\n" + "\n".join(answers) + "\n;AUTHORITY\n;ADDITIONAL\n"
        found.append(dns.message.from_text(said).to_wire())
    return found


@given(mutated(messages()))
def test_a_message_of_dns(wire: bytes) -> None:
    try:
        answer = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return
    try:
        step = _step(answer)
    except _Useless:
        return
    for rdata in step.records or ():
        address: Any = getattr(rdata, "address", None)
        if address is not None:
            ip_address(address)


def assert_told(*answers: Answer) -> None:
    """Say that backends are what the types say, and that a drop has a reason in one line."""
    for answer in answers:
        for one in answer.backends:
            assert one.port is None or 0 < one.port < 65_536
            str(one.address)
        for drop in answer.dropped:
            assert drop.reason
            assert len(drop.reason) < 2000
