from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from registrar.config import Config, read_config
from registrar.errors import ConfigError
from registrar.model import HealthCheck, HttpProbe, NetworkRules, RangeKind, ServiceKey, TcpProbe

GOOD = """\
instance: office
networks: {allow: [10.20.0.0/16], deny: ["2001:db8::/32"]}
sources:
  racks: {type: static, files: [racks/*.yaml]}
defaults:
  health: {type: http, path: /up, interval: 2s, timeout: 500ms, rise: 1}
services:
  - service: shop/mysql
    from: {source: racks, group: mysql}
    health: {type: tcp, fall: 5}
  - service: shop/web
    ports:
      http: {from: {source: racks, group: web}, health: {path: /healthz}}
      admin:
        from: [{source: racks}, {source: racks, group: web}]
        port: 9000
        health: {type: none}
"""


def read(tmp_path: Path, text: str) -> Config:
    (tmp_path / "registrar.yaml").write_text(text)
    return read_config(tmp_path / "registrar.yaml")


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("", []),
        ("cluster: []", []),
        ('cluster: [10.96.0.0/16, "fd00::/64"]', ["10.96.0.0/16", "fd00::/64"]),
    ],
)
def test_the_clusters_own_ranges(tmp_path: Path, text: str, ranges: list[str]) -> None:
    networks = read(tmp_path, f"services: []\nnetworks: {{{text}}}\n").networks
    given = {(str(one.network), one.kind) for one in networks.cluster.all}
    assert given == {(network, RangeKind.GIVEN) for network in ranges}


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_good_file(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert config.base == tmp_path
    assert config.instance == "office"
    assert config.networks == NetworkRules(
        (ip_network("10.20.0.0/16"),), (ip_network("2001:db8::/32"),)
    )
    mysql, web = config.mappings
    assert mysql.key == ServiceKey("shop", "mysql")
    assert [port.name for port in mysql.ports] == [None]
    assert [port.name for port in web.ports] == ["http", "admin"]
    assert [len(port.queries) for port in web.ports] == [1, 2]
    assert web.ports[1].port == 9000
    # One query asked by two mappings is one query.
    assert web.ports[0].queries[0] == web.ports[1].queries[1]


def test_health_is_taken_from_the_defaults_where_a_mapping_says_nothing(tmp_path: Path) -> None:
    mysql, web = read(tmp_path, GOOD).mappings
    assert mysql.ports[0].check == HealthCheck(TcpProbe(), 2.0, 0.5, 1, 5)
    assert web.ports[0].check == HealthCheck(HttpProbe("/healthz"), 2.0, 0.5, 1, 3)
    assert web.ports[1].check is None


def test_without_defaults_a_backend_is_checked_by_tcp(tmp_path: Path) -> None:
    (mapping,) = read(
        tmp_path,
        "sources: {a: {type: static, files: [x]}}\nservices: [{service: s/a, from: {source: a}}]",
    ).mappings
    assert mapping.ports[0].check == HealthCheck(TcpProbe(), 5.0, 1.0, 2, 3)


SOURCES = "sources: {racks: {type: static, files: [a.yaml]}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "servces: []",
            "registrar.yaml:1:1: the key 'services' is missing; add it\n"
            "registrar.yaml:1:1: unknown key 'servces'; did you mean 'services'?",
            id="unknown key, with the likely one",
        ),
        pytest.param(
            "services: []\nhealth: {}",
            "registrar.yaml:2:1: unknown key 'health'; "
            "known: acceptRemoved, admin, apiServer, defaults, instance, leaderElection, networks, "
            "resync, selfPreservation, services, sources",
            id="unknown key, with none that is near",
        ),
        pytest.param(
            SOURCES + "services:\n- {service: a/b, from: {source: racks, grup: x}}",
            "registrar.yaml:3:40: unknown key 'grup'; did you mean 'group'?",
            id="unknown key of a query",
        ),
        pytest.param(
            "sources: {racks: {type: static, files: [a], intervall: 5s}}\nservices: []",
            "registrar.yaml:1:45: unknown key 'intervall'; did you mean 'interval'?",
            id="unknown key of a source",
        ),
        pytest.param(
            "services:\n- {service: a/b, from: {source: a}, health: {fal: 3}}",
            "registrar.yaml:2:46: unknown key 'fal'; did you mean 'fall'?",
            id="unknown key of a health check",
        ),
        pytest.param(
            "services: shop/web",
            "registrar.yaml:1:11: services: 'shop/web' is not a list; "
            "write a list: [...], or lines that begin with '- '",
            id="wrong type: text for a list",
        ),
        pytest.param(
            "services: []\ndefaults: [health]",
            "registrar.yaml:2:11: defaults: a list is not a mapping; "
            "write keys and values: {key: value}",
            id="wrong type: list for a mapping",
        ),
        pytest.param(
            "- services",
            "registrar.yaml:1:1: the file: a list is not a mapping; "
            "write keys and values: {key: value}",
            id="wrong type: list for the whole file",
        ),
        pytest.param(
            "services: []\n'defaults[0]': {}",
            "registrar.yaml:2:1: unknown key 'defaults[0]'; did you mean 'defaults'?",
            id="unknown key that looks like a step of pydantic's",
        ),
        pytest.param(
            "services: []\ndefaults: {health: {rise: '2'}}",
            "registrar.yaml:2:27: defaults.health.rise: '2' is not a whole number; "
            "write digits without quotes",
            id="wrong type: text for a number",
        ),
        pytest.param(
            "services: []\ninstance: 7",
            "registrar.yaml:2:11: instance: 7 is not text; put it in quotes",
            id="wrong type: number for text",
        ),
        pytest.param(
            "services: []\ndefaults: {health: {interval: 5}}",
            "registrar.yaml:2:31: defaults.health.interval: 5 is not a duration; "
            "write a number with its unit, such as 500ms, 5s or 2m",
            id="bad duration: no unit",
        ),
        pytest.param(
            "services: []\ndefaults: {health: {interval: 5 sec}}",
            "registrar.yaml:2:31: defaults.health.interval: '5 sec' is not a duration; "
            "write a number with its unit, such as 500ms, 5s or 2m",
            id="bad duration: unknown unit",
        ),
        pytest.param(
            "services: []\ndefaults: {health: {interval: 1s, timeout: 2s}}\n",
            None,
            id="a default alone may be odd",
        ),
        pytest.param(
            SOURCES + "services:\n- {service: a/b, from: {source: racks}, health: {timeout: 9s}}",
            "registrar.yaml:3:49: a timeout of 9s is longer than the interval of 5s; "
            "shorten the timeout or lengthen the interval",
            id="timeout above interval",
        ),
        pytest.param(
            "services: []\nnetworks: {allow: [10.0.0.300/8]}",
            "registrar.yaml:2:20: networks.allow.0: '10.0.0.300/8' is not a network; "
            "write one such as 10.20.0.0/16 or 2001:db8::/48",
            id="bad address",
        ),
        pytest.param(
            "services: []\nnetworks: {allow: [10.1.2.3/8]}",
            "registrar.yaml:2:20: networks.allow.0: '10.1.2.3/8' is a network with host bits set; "
            "write 10.0.0.0/8",
            id="host bits",
        ),
        pytest.param(
            SOURCES + "services:\n- {service: a/b, from: {source: racks}, port: 65536}",
            "registrar.yaml:3:47: services.0.port: 65536 is too large; it must be 65535 or less",
            id="port out of range",
        ),
        pytest.param(
            SOURCES + "services:\n- {service: a/b, from: {source: racks}, port: 0}",
            "registrar.yaml:3:47: services.0.port: 0 is too small; it must be 1 or more",
            id="port zero",
        ),
        pytest.param(
            SOURCES
            + "services:\n- service: a/b\n  from: {source: racks}\n"
            + "- service: a/b\n  from: {source: racks}",
            "registrar.yaml:5:12: Service a/b stands twice, first in line 3; "
            "keep one mapping, whose `from` takes a list of queries",
            id="duplicate Service",
        ),
        pytest.param(
            SOURCES + "services:\n- {service: a/b, from: {source: rack}}",
            "registrar.yaml:3:33: unknown source 'rack'; did you mean 'racks'?",
            id="unknown source",
        ),
        pytest.param(
            "services: []\napiServer: {requestsPerSecond: 0, burst: 1.5, concurrency: 257}",
            "registrar.yaml:2:32: apiServer.requestsPerSecond: 0 is too small; "
            "it must be 1 or more\n"
            "registrar.yaml:2:42: apiServer.burst: 1.5 is not a whole number; "
            "write digits without quotes\n"
            "registrar.yaml:2:60: apiServer.concurrency: 257 is too large; it must be "
            "256 or less",
            id="limits that are none",
        ),
        pytest.param(
            "services: []\nleaderElection: {leaseDuration: 10s}",
            "registrar.yaml:2:17: leaderElection.renewDeadline (10s) is not shorter than "
            "leaseDuration (10s); a leader has to stop before others may begin: make it two thirds "
            "of that",
            id="a leader that would not stop in time",
        ),
        pytest.param(
            "services: []\nleaderElection: {retryPeriod: 10s}",
            "registrar.yaml:2:31: leaderElection.retryPeriod (10s) is not shorter than "
            "renewDeadline (10s); make it a fifth of that",
            id="a lease that is not renewed in time",
        ),
        pytest.param(
            "services:\n- {service: a/b, from: {source: racks}}",
            "registrar.yaml:2:33: unknown source 'racks'; known: none",
            id="unknown source where there are none",
        ),
        pytest.param(
            "sources: {racks: {type: statik}}\nservices: []",
            "registrar.yaml:1:25: unknown source type 'statik'; did you mean 'static'?",
            id="unknown source type",
        ),
        pytest.param(
            "sources: {racks: {files: [a]}}\nservices: []",
            "registrar.yaml:1:11: the key 'type' is missing; add it",
            id="source without a type",
        ),
        pytest.param(
            SOURCES + "services:\n- {service: a/b, from: {group: x}}",
            "registrar.yaml:3:18: the key 'source' is missing; add it",
            id="query without a source",
        ),
        pytest.param(
            SOURCES + "services:\n- {service: web, from: {source: racks}}",
            "registrar.yaml:3:13: services.0.service: 'web' is not a Service; "
            "write NAMESPACE/NAME, such as shop/mysql",
            id="Service without a namespace",
        ),
        pytest.param(
            SOURCES + "services:\n- {service: a/b}",
            "registrar.yaml:3:3: Service a/b needs either `from` or `ports`; "
            "give `from` for a Service with one port, `ports` for one with several",
            id="neither from nor ports",
        ),
        pytest.param(
            SOURCES + "services:\n- {service: a/b, ports: {Http: {from: {source: racks}}}}",
            "registrar.yaml:3:26: key 'Http' is not a DNS label; "
            "use lower-case letters, digits and '-', as in web-1",
            id="port name",
        ),
        pytest.param(
            SOURCES
            + "services:\n- {service: a/b, from: {source: racks}, health: {type: tcp, path: /}}",
            "registrar.yaml:3:67: `path` beside type tcp; write `type: http` or `type: https`",
            id="path of a check by tcp",
        ),
        pytest.param(
            SOURCES + "services:\n- {service: a/b, from: {source: racks}, health: {type: source}}",
            "registrar.yaml:3:49: type source, and source racks says nothing of health; "
            "write another type, such as tcp",
            id="health by a source that says nothing of it",
        ),
        pytest.param(
            SOURCES + "services:\n- {service: a/b, from: {source: racks}, publish: slices}",
            "registrar.yaml:3:50: services.0.publish: 'slices' is not one of the known values; "
            "write 'both', 'endpoints' or 'endpointslices'",
            id="unknown mode",
        ),
        pytest.param(
            "", "registrar.yaml: the file is empty; write `sources` and `services`", id="empty"
        ),
    ],
)
def test_bad_input_is_told_with_place_value_and_remedy(
    tmp_path: Path, text: str, message: str | None
) -> None:
    if message is None:
        assert read(tmp_path, text).mappings == ()
    else:
        assert complaint(tmp_path, text) == message


def test_every_problem_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    told = complaint(
        tmp_path,
        "instance: A\nsources: {racks: {type: static, files: []}}\n"
        "services:\n- {service: b, from: {source: racks}}\n",
    )
    assert [line.split(":")[1] for line in told.splitlines()] == ["1", "4"]


def test_a_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(tmp_path / "none.yaml")
    assert str(caught.value) == (
        f"{tmp_path}/none.yaml: there is no such file; "
        "name it with --config FILE or $REGISTRAR_CONFIG"
    )
