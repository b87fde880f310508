"""Defences that no other test is about. docs/security.md names them all."""

from __future__ import annotations

import re
import socket
import stat
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from registrar.admin.server import serving
from registrar.cluster.connect import connect
from registrar.context import Context
from registrar.files import in_thread
from registrar.model import Admin, NetworkRules, Outcome, Target
from registrar.probe.engine import check
from sources.consul.source import ConsulOptions, ConsulQuery, ConsulSource
from tests import fixed_program as fixed
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
        ("https://127.0.0.1:1", "false", False),
        ("https://127.0.0.1:1", "true", True),
        ("http://127.0.0.1:1", "false", True),
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
