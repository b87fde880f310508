"""What the settings of health checks are read into; test_health_complaints.py has the bad ones."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import jsonschema
import pytest
import yaml

from registrar.config import read_config
from registrar.model import (
    Expected,
    GrpcProbe,
    Header,
    HealthCheck,
    HttpProbe,
    PortMapping,
    Probe,
    ProbeTls,
    TcpProbe,
    UdpProbe,
)
from registrar.schema import config_schema
from tests.mapping_file import written

SCHEMA = jsonschema.Draft202012Validator(config_schema())


def read(folder: Path, health: str, defaults: str = "{}", *, told: bool = False) -> PortMapping:
    """Return what a mapping is read into that the schema for editors takes as well."""
    file = written(folder, health, defaults, told=told)
    (mapping,) = read_config(file).mappings
    SCHEMA.validate(yaml.safe_load(file.read_text()))
    return mapping.ports[0]


def expression(data: bytes) -> Expected:
    return Expected(data, is_expression=True)


# --- what is right -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "probe"),
    [
        ("{}", TcpProbe()),
        ("{type: tcp}", TcpProbe()),
        ("{type: tcp, completeHandshake: true}", TcpProbe(completes=True)),
        ('{send: "PING\\r\\n", expect: +PONG}', TcpProbe(b"PING\r\n", Expected(b"+PONG"))),
        ("{send: 'ü', expect: {hex: '0012'}}", TcpProbe("ü".encode(), Expected(b"\0\x12"))),
        ("{send: {hex: fF}, expect: {regex: '^2'}}", TcpProbe(b"\xff", expression(b"^2"))),
        ("{type: tcp, expect: '220'}", TcpProbe(expect=Expected(b"220"))),
        ("{type: udp, send: a}", UdpProbe(b"a")),
        ("{type: udp, send: {hex: 0a0b}, expect: b}", UdpProbe(b"\n\x0b", Expected(b"b"))),
        ("{type: http}", HttpProbe()),
        ("{type: http, path: '/up?a=b', method: HEAD}", HttpProbe("/up?a=b", "HEAD")),
        ("{type: http, method: OPTIONS}", HttpProbe(method="OPTIONS")),
        ("{type: http, method: POST}", HttpProbe(method="POST")),
        ("{type: http, host: 'web.example:8080'}", HttpProbe(host="web.example:8080")),
        ("{type: http, status: 204}", HttpProbe(statuses=((204, 204),))),
        ("{type: http, status: 200-299}", HttpProbe(statuses=((200, 299),))),
        ("{type: http, status: ['204', 500-599]}", HttpProbe(statuses=((204, 204), (500, 599)))),
        ("{type: http, body: ready}", HttpProbe(body=Expected(b"ready"))),
        ("{type: http, body: {hex: '00'}}", HttpProbe(body=Expected(b"\0"))),
        ("{type: http, body: {regex: 'a|b'}}", HttpProbe(body=expression(b"a|b"))),
        ("{type: http, headers: {X-A: b c}}", HttpProbe(headers=(Header("X-A", "b c"),))),
        ("{type: https}", HttpProbe(tls=ProbeTls())),
        (
            "{type: https, path: /up, tls: {verify: false}}",
            HttpProbe("/up", tls=ProbeTls(verify=False)),
        ),
        ("{type: grpc}", GrpcProbe()),
        ("{type: grpc, service: shop.Cart}", GrpcProbe("shop.Cart")),
        ("{type: grpc, tls: {}}", GrpcProbe(tls=ProbeTls())),
        (
            "{type: grpc, tls: {serverName: a.example}}",
            GrpcProbe(tls=ProbeTls(server_name="a.example")),
        ),
    ],
)
def test_what_is_asked(tmp_path: Path, health: str, probe: Probe) -> None:
    assert read(tmp_path, health).check == HealthCheck(probe)


def test_files_start_from_the_configuration(tmp_path: Path) -> None:
    tls = "{caFile: tls/ca.pem, crlFile: crl.pem, certFile: /etc/cert.pem, keyFile: key.pem}"
    check = read(
        tmp_path, f"{{type: https, headers: {{Authorization: {{file: token}}}}, tls: {tls}}}"
    ).check
    assert check == HealthCheck(
        HttpProbe(
            headers=(Header("Authorization", file=tmp_path / "token"),),
            tls=ProbeTls(
                tmp_path / "tls" / "ca.pem",
                tmp_path / "crl.pem",
                Path("/etc/cert.pem"),
                tmp_path / "key.pem",
            ),
        )
    )


@pytest.mark.parametrize("kind", ["tcp", "http", "https", "grpc", "udp, send: a"])
def test_when_and_from_where_it_is_asked(tmp_path: Path, kind: str) -> None:
    check = read(
        tmp_path,
        f"{{type: {kind}, interval: 2s, fastInterval: 500ms, timeout: 250ms, rise: 4, fall: 5, "
        "port: 81, sourceAddress: '2001:db8::7', interface: eth1}",
    ).check
    assert check is not None
    assert check == HealthCheck(
        check.probe, 2.0, 0.25, 4, 5, 0.5, 81, ip_address("2001:db8::7"), "eth1"
    )


def test_nothing_is_asked(tmp_path: Path) -> None:
    none = read(tmp_path, "{type: none, interval: 1s}")
    assert (none.check, none.by_source) == (None, False)
    told = read(tmp_path, "{type: source}", told=True)
    assert (told.check, told.by_source) == (None, True)


# --- what is taken from `defaults.health` ------------------------------------------------------


HTTP = "{type: http, path: /up, method: HEAD, host: h, headers: {A: b}, status: 204}"
HTTPS = "{type: https, path: /up, tls: {caFile: /ca}}"
DIALLED = "port: 81, sourceAddress: 10.0.0.1, interface: eth1"
TRUST = ProbeTls(Path("/ca"))


@pytest.mark.parametrize(
    ("defaults", "health", "probe"),
    [
        pytest.param(
            HTTP,
            "{method: GET}",
            HttpProbe("/up", "GET", "h", (Header("A", "b"),), ((204, 204),)),
            id="of the same type",
        ),
        pytest.param(HTTP, "{type: tcp}", TcpProbe(), id="tcp of http"),
        pytest.param(HTTP, "{type: grpc}", GrpcProbe(), id="grpc of http"),
        pytest.param(HTTP, "{type: udp, send: a}", UdpProbe(b"a"), id="udp of http"),
        pytest.param(
            HTTP,
            "{type: https, method: GET, status: 200}",
            HttpProbe("/up", "GET", "h", (Header("A", "b"),), ((200, 200),), tls=ProbeTls()),
            id="https of http",
        ),
        pytest.param("{type: http, body: a}", "{type: tcp}", TcpProbe(), id="no body"),
        pytest.param(HTTPS, "{type: http}", HttpProbe("/up"), id="http of https"),
        pytest.param(HTTPS, "{type: grpc}", GrpcProbe(tls=TRUST), id="grpc of https"),
        pytest.param(
            "{type: grpc, service: a, tls: {caFile: /ca}}",
            "{type: https}",
            HttpProbe(tls=TRUST),
            id="https of grpc",
        ),
        pytest.param("{type: grpc, service: a}", "{type: tcp}", TcpProbe(), id="no service"),
        pytest.param(
            "{send: a, expect: b}",
            "{type: tcp}",
            TcpProbe(b"a", Expected(b"b")),
            id="no type, then tcp",
        ),
        pytest.param(
            "{type: tcp, send: a, expect: b}", "{type: http}", HttpProbe(), id="http of tcp"
        ),
        pytest.param(
            "{type: tcp, send: a, expect: b, completeHandshake: true}",
            "{type: udp, send: c}",
            UdpProbe(b"c"),
            id="udp of tcp",
        ),
        pytest.param("{type: udp, send: a, expect: b}", "{type: tcp}", TcpProbe(), id="tcp of udp"),
        pytest.param(
            HTTP,
            "{type: null, path: null}",
            HttpProbe("/up", "HEAD", "h", (Header("A", "b"),), ((204, 204),)),
            id="what is null is not given",
        ),
        pytest.param("{type: none}", "{type: tcp}", TcpProbe(), id="tcp of none"),
    ],
)
def test_what_belongs_to_another_type_is_not_taken(
    tmp_path: Path, defaults: str, health: str, probe: Probe
) -> None:
    assert read(tmp_path, health, defaults).check == HealthCheck(probe)


@pytest.mark.parametrize("kind", ["none", "source"])
def test_what_a_check_needs_is_no_matter_where_nothing_is_asked(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path, f"{{type: {kind}}}", f"{{{DIALLED}}}", told=True).check is None


def test_how_it_is_dialled_is_taken(tmp_path: Path) -> None:
    check = read(tmp_path, "{type: grpc}", f"{{type: http, {DIALLED}}}").check
    assert check == HealthCheck(
        GrpcProbe(), port=81, source_address=ip_address("10.0.0.1"), interface="eth1"
    )
