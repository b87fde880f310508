"""Defences that no other test is about. docs/security.md names them all."""

from __future__ import annotations

import hmac
import re
import socket
import stat
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from registrar.admin.access import Access
from registrar.admin.handlers import Handlers
from registrar.admin.server import serving
from registrar.cluster.connect import connect
from registrar.config import read_config
from registrar.context import Context
from registrar.errors import ConfigError
from registrar.model import Admin, NetworkRules, Outcome, Target
from registrar.threads import in_thread
from sources.consul.source import ConsulOptions, ConsulQuery, ConsulSource
from tests import fixed_program as fixed
from tests.checking import check
from tests.fakes import CHECK, NoFiles, mapping
from tests.fixed_program import FixedProgram
from tests.loopback import loopback, reply
from tests.world import ELSEWHERE, World

ROOT = Path(__file__).parents[2]


# --- what is dialled and published ---------------------------------------------------------------


async def test_a_check_dials_the_address_and_asks_no_resolver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []
    async with loopback() as server:
        server.play = reply(200)
        port = int(server.url.rpartition(":")[2])
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: asked.append(args))
        found = await check(Target(ip_address("127.0.0.1"), port, CHECK))
    assert found.outcome is Outcome.PASSED
    assert asked == []


@pytest.mark.looptime
async def test_what_may_not_be_published_is_not_even_dialled() -> None:
    rules = NetworkRules(
        (ip_network("10.0.0.0/24"),), (ip_network("10.0.0.9/32"),), ELSEWHERE.cluster
    )
    world = World(mapping(), networks=rules)
    world.cluster.service()
    async with world.running():
        await world.say("10.0.0.1", "10.0.0.9", "10.0.1.1", "127.0.0.1", "169.254.169.254")
        assert [str(one.address) for one in world.engine.targets] == ["10.0.0.1"]


@pytest.mark.looptime
async def test_a_name_that_comes_to_mean_another_address_is_decided_on_anew() -> None:
    world = World(mapping())
    world.cluster.service()
    async with world.running():
        await world.say("10.0.0.1")
        await world.judge("10.0.0.1", Outcome.PASSED, Outcome.PASSED)
        # The same name, say, a moment after its address was found to be up.
        await world.say("10.0.0.1", "127.0.0.1", "198.51.100.7", "10.0.0.2")
        assert world.published() == {"10.0.0.1": True}
        # And once it means nothing else: what is refused takes the place of nothing.
        await world.say("127.0.0.1", "198.51.100.7")
        assert not {"127.0.0.1", "198.51.100.7"} & set(world.published() or ())
        assert {str(one.address) for one in world.engine.targets} <= {"10.0.0.1", "10.0.0.2"}


# --- secrets and trust ---------------------------------------------------------------------------


async def test_only_its_own_user_gets_into_the_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "registrar.sock"
    async with serving(FixedProgram(fixed.status()), Admin(socket=path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


KUBECONFIG = """
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "%s", insecure-skip-tls-verify: %s}}]
users: [{name: a, user: {token: t}}]
"""


@pytest.mark.parametrize(
    ("server", "skip", "is_said"),
    [
        ("https://192.0.2.1:1", "false", False),
        ("https://192.0.2.1:1", "true", True),
        ("http://192.0.2.1:1", "false", True),
        ("http://127.0.0.1:1", "false", False),  # nobody is on the way
        ("http://[::1]:1", "false", False),
        ("http://localhost:1", "false", False),
    ],
)
async def test_an_api_server_that_is_not_verified_is_said(
    tmp_path: Path, server: str, skip: str, *, is_said: bool
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG % (server, skip))
    with capture_logs() as logs:
        client = await connect(str(file), None, "a test")
        await client.aclose()
    assert [one["event"] for one in logs] == ["api-server-unverified"] * is_said


async def test_a_token_that_goes_unencrypted_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    context = Context(tmp_path, NoFiles(), in_thread)
    for url, said in (
        ("http://a.example", ["http://a.example: the token is sent unencrypted; use https"]),
        ("https://a.example", []),
    ):
        options = ConsulOptions.model_validate({"url": url, "tokenFile": "token"})
        source = ConsulSource(options, context)
        query = ConsulQuery.model_validate({"service": "web"})
        assert list(await source.warnings(query)) == said


def test_no_source_can_have_certificates_go_unchecked() -> None:
    for file in (ROOT / "sources").rglob("*.py"):
        assert not re.search(r"insecure|verify\s*=\s*False|CERT_NONE", file.read_text()), file


# --- what registrar is made of -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_dependency_is_locked_by_hash(name: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[\w.\-\[\]]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
        assert "://" not in entry, entry
    assert "--require-hashes" in (ROOT / "Makefile").read_text()


# --- what its rights come to ---------------------------------------------------------------------

READS = {"get", "list", "watch"}
MOST_RIGHTS = {
    "services": {*READS, "create"},  # create: where a mapping asks for it
    "endpoints": {*READS, "create", "update", "delete"},
    "endpointslices": {*READS, "create", "update", "delete"},
    "events": {"create", "patch"},
    "leases": {*READS, "create", "update"},
    "nodes": {"list", "watch"},
    "servicecidrs": {"list", "watch"},
}


def shipped_rules() -> Iterator[dict[str, list[str]]]:
    for file in (ROOT / "config").rglob("*.yaml"):
        text = file.read_text()
        if "{{" in text or "rbac.authorization.k8s.io" not in text:
            continue  # a template, whose objects are compared with these
        for one in yaml.safe_load_all(text):
            if one and one["kind"] in {"Role", "ClusterRole"}:
                yield from one["rules"]


def test_a_stolen_service_account_reads_no_secret_and_runs_nothing() -> None:
    rules = list(shipped_rules())
    assert len(rules) > 5
    for rule in rules:
        assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}
        for resource in rule["resources"]:
            assert set(rule["verbs"]) <= MOST_RIGHTS.get(resource, set()), rule


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../secrets", "web/../../secrets/a", "web?x=1", "web#", "web%2f", "WEB", "a b", "web\\n"],
)
def test_no_name_of_the_configuration_is_another_path_of_the_api_server(
    tmp_path: Path, name: str
) -> None:
    file = tmp_path / "registrar.yaml"
    for service in (f"shop/{name}", f"{name}/web"):
        file.write_text(
            "sources: {racks: {type: static, files: [a]}}\n"
            f'services: [{{service: "{service}", from: {{source: racks}}}}]\n'
        )
        with pytest.raises(ConfigError, match="is not a Service"):
            read_config(file)


@pytest.mark.parametrize("path", ["/a\\r\\nHost: b", "/a b", "/\\u00e9", "a", "/\\x00"])
def test_the_path_of_a_check_adds_no_header(tmp_path: Path, path: str) -> None:
    file = tmp_path / "registrar.yaml"
    file.write_text(
        "sources: {racks: {type: static, files: [a]}}\nservices:\n"
        f'- {{service: a/b, from: {{source: racks}}, health: {{type: http, path: "{path}"}}}}\n'
    )
    with pytest.raises(ConfigError, match="path"):
        read_config(file)


# --- guesses --------------------------------------------------------------------------------------


async def test_tokens_are_compared_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("s3cret")
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    # Whatever the comparison says holds: nothing else looks at the token.
    assert await Access(tmp_path / "token").refuse("Bearer s3cret") is not None
    assert compared == [(b"s3cret", b"s3cret")]


async def test_guesses_run_out(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    now = 0.0
    guarded = Access(tmp_path / "token", lambda: now)
    told = [await guarded.refuse(f"Bearer {guess}") for guess in range(7)]
    assert [one.status if one else 200 for one in told] == [403] * 5 + [429] * 2
    assert await guarded.refuse("Bearer s3cret") is None  # nobody is locked out by guesses
    now = 10.0
    again = [await guarded.refuse("Bearer guess") for _ in range(2)]
    assert [one.status if one else 200 for one in again] == [403, 429]


async def test_guesses_do_not_fill_the_log(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    app = Handlers(FixedProgram(fixed.status()), Access(tmp_path / "token")).application()
    async with TestClient(TestServer(app)) as client:
        with capture_logs() as logs:
            for _ in range(30):
                await client.post("/resync", headers={"Authorization": "Bearer guess"})
    assert len(logs) == 5
