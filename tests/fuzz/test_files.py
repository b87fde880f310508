"""Files: the configuration, lists of backends, secrets, kubeconfigs, resolv.conf."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.cluster.kubeconfig import Kubeconfig
from registrar.config import read_config
from registrar.document import parse_document
from registrar.errors import ClusterError, ConfigError, SourceError
from registrar.settings import duration
from registrar.tokens import secret_in
from sources.dns import _read_servers
from sources.static import _read_groups
from tests.fuzz.declared import only
from tests.fuzz.mutation import bodies, mutated, texts

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
CONFIG = (EXAMPLES / "registrar.yaml").read_bytes()
GROUPS = (EXAMPLES / "backends.yaml").read_bytes()
MORE = b"""\
web: [10.20.0.1:80, "[2001:db8::1]:80", {address: 10.20.0.2, port: 80, weight: 5, zone: a}]
api: &api [10.20.0.3]
all: *api
none: []
"""
FILE_SD = [{"targets": ["10.20.0.1:80", "[2001:db8::1]:80"], "labels": {"zone": "a", "app": "web"}}]
KUBECONFIG = b"""\
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: me}}]
clusters: [{name: lab, cluster: {server: "https://10.90.0.1:6443", insecure-skip-tls-verify: true}}]
users: [{name: me, user: {token: abc}}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@given(st.one_of(mutated([CONFIG, GROUPS, MORE]), bodies(FILE_SD)), st.sampled_from("yj"))
def test_a_document(data: bytes, form: str) -> None:
    file = Path("list.json" if form == "j" else "list.yaml")
    with only(ConfigError, says=f"{file}:"):  # and the line
        parse_document(data.decode(errors="replace"), file)


@given(data=mutated([CONFIG]))
def test_the_configuration(folder: Path, data: bytes) -> None:
    file = folder / "registrar.yaml"
    file.write_bytes(data)
    with only(ConfigError, says=str(file)):
        read_config(file)


@given(data=st.one_of(mutated([GROUPS, MORE]), bodies(FILE_SD)))
def test_a_list_of_backends(folder: Path, data: bytes) -> None:
    file = folder / "backends.yaml"
    file.write_bytes(data)
    with only(ConfigError, says=str(file)):
        groups = _read_groups(file)
        assert groups or parse_document(data.decode("utf-8-sig"), file).value == []


@given(data=st.one_of(mutated([b"s3cret-token\n"]), st.binary(max_size=40)))
def test_a_secret(folder: Path, data: bytes) -> None:
    file = folder / "token"
    file.write_bytes(data)
    with only(SourceError, says=str(file)):
        assert secret_in(file).isprintable()


@given(data=mutated([b"search example\nnameserver 10.20.0.53\nnameserver fe80::1%eth0\n"]))
def test_resolv_conf(folder: Path, data: bytes) -> None:
    file = folder / "resolv.conf"
    file.write_bytes(data)
    _read_servers(file)


@given(data=mutated([KUBECONFIG]))
def test_a_kubeconfig(folder: Path, data: bytes) -> None:
    file = folder / "kubeconfig"
    file.write_bytes(data)
    with only(ClusterError, says=str(folder)):
        asyncio.run(Kubeconfig(str(file), None).load())


@given(texts("500ms", "1m30s", "5s"))
def test_a_duration(text: str) -> None:
    with only(ValueError, says="write one such as"):
        duration(text)
