"""Credentials on real connections: tokens, certificates and authorities that rotate under us."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from registrar.cluster import credentials, pod
from registrar.cluster.client import SERVICES, Client
from registrar.cluster.connect import connect
from registrar.cluster.kubeconfig import Kubeconfig
from registrar.errors import ClusterError, ClusterUnreachable, Unauthorized
from tests.certificates import Authority
from tests.loopback import Loopback, Play, Request, loopback, reply

EMPTY = reply(200, b"{}")
REFUSED = reply(401, b'{"code": 401, "message": "Unauthorized"}')
TIMEOUT_S = 30.0
NOBODY: Mapping[str, object] = {}


class World:
    """An API server that knows one token, and the kubeconfig that leads to it."""

    def __init__(self, base: Path, server: Loopback) -> None:
        self.base = base
        self.server = server
        self.knows = ""
        server.play = self._play
        self.client: Client | None = None

    @property
    def said(self) -> list[str]:
        return [request.headers.get("authorization", "") for request in self.server.requests]

    async def _play(self, request: Request, writer: asyncio.StreamWriter) -> None:
        said = request.headers.get("authorization", "").removeprefix("Bearer ")
        play: Play = EMPTY if said in self.knows.split("|") else REFUSED
        await play(request, writer)

    def put(self, name: str, text: str) -> Path:
        """Write a file as a careful writer does."""
        new = self.base / f"{name}.new"
        new.write_text(text)
        return new.rename(self.base / name)

    def kubeconfig(self, user: Mapping[str, object], server: str = "") -> Path:
        config = {
            "clusters": [
                {
                    "name": "c",
                    "cluster": {
                        "server": server or self.server.url,
                        "certificate-authority": str(self.base / "ca.pem"),
                    },
                }
            ],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        return self.put("kubeconfig", json.dumps(config))

    async def connect(self, user: Mapping[str, object] = NOBODY) -> Client:
        self.client = await connect(str(self.kubeconfig(user)), None, "registrar/test")
        return self.client

    async def ask(self) -> None:
        assert self.client is not None
        await self.client.get(SERVICES, "shop", "web")

    async def ask_until(self, wanted: str) -> None:
        """Ask until it is answered to this token."""
        async with asyncio.timeout(TIMEOUT_S):
            is_over = False
            while not is_over:
                with contextlib.suppress(ClusterError):
                    await self.ask()
                    is_over = self.said[-1] == f"Bearer {wanted}".removesuffix("Bearer ")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def world(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    monkeypatch.setattr(credentials, "LOOK_S", 0.01)
    monkeypatch.setattr(credentials, "RENEW_S", 0.0)
    shutil.copy(authority.file, tmp_path / "ca.pem")
    async with loopback(authority.server(*authority.issue("server", "IP:127.0.0.1"))) as server:
        world = World(tmp_path, server)
        yield world
        if world.client is not None:
            await world.client.aclose()


async def test_a_token_file_is_read_again_when_it_has_changed(world: World) -> None:
    world.put("token", "one\n")
    world.knows = "one"
    await world.connect({"tokenFile": "token", "token": "not-this"})
    await world.ask()
    assert world.said == ["Bearer one"]
    world.put("token", "two\n")
    world.knows = "one|two"
    with capture_logs() as logs:
        await world.ask_until("two")
    (line,) = logs
    assert (line["event"], line["token"], line["certificates"]) == (
        "credentials-renewed",
        True,
        False,
    )
    assert "two" not in str(line)


async def test_a_refused_token_is_read_again_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "LOOK_S", 3600.0)  # nobody looks
    world.put("token", "one")
    world.knows = "one"
    await world.connect({"tokenFile": "token"})
    await world.ask()
    world.put("token", "two")
    world.knows = "two"
    await world.ask()
    assert world.said == ["Bearer one", "Bearer one", "Bearer two"]


async def test_a_token_that_is_still_refused_is_sent_once(world: World) -> None:
    world.put("token", "one")
    world.knows = "two"
    await world.connect({"tokenFile": "token"})
    with pytest.raises(Unauthorized):
        await world.ask()
    assert world.said == ["Bearer one"]


@pytest.mark.parametrize("content", [None, "", "a\nb", "\x00"])
async def test_a_token_file_that_cannot_be_used_leaves_what_was_read_before(
    world: World, content: str | None
) -> None:
    world.put("token", "first-secret")
    world.knows = "first-secret"
    await world.connect({"tokenFile": "token"})
    await world.ask()
    with capture_logs() as logs:
        if content is None:
            (world.base / "token").unlink()
        else:
            world.put("token", content)
        while not logs:
            await world.ask()
        await world.ask()
        await world.ask()
    assert [line["event"] for line in logs] == ["credentials-not-renewed"]
    assert f"{world.base}/token: " in logs[0]["error"]
    assert "secret" not in str(logs).replace("the secret", "")
    assert set(world.said) == {"Bearer first-secret"}
    world.put("token", "last")
    world.knows = "last"
    await world.ask_until("last")


async def test_a_kubeconfig_with_another_token_is_heeded_and_one_with_another_server_is_not(
    world: World,
) -> None:
    world.knows = "one|two"
    await world.connect({"token": "one"})
    await world.ask()
    world.kubeconfig({"token": "two"})
    await world.ask_until("two")
    with capture_logs() as logs:
        world.kubeconfig({"token": "three"}, "https://127.0.0.1:1")
        while not logs:
            await world.ask()
    assert logs[0]["error"] == (
        "another server is named now, https://127.0.0.1:1; restart to go there"
    )
    assert world.said[-1] == "Bearer two"


async def test_a_plugin_is_asked_again_before_what_it_gave_expires(world: World) -> None:
    plugin = world.base / "plugin"
    count = world.base / "count"
    plugin.write_text(
        f"""#!/bin/sh
echo >> {count}
expires=2100-01-01T00:00:00Z
[ "$(wc -l < {count})" = 1 ] && expires=2001-01-01T00:00:00Z
cat <<END
{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
 "status": {{"token": "t$(wc -l < {count})", "expirationTimestamp": "$expires"}}}}
END
"""
    )
    plugin.chmod(stat.S_IRWXU)
    world.knows = "t1|t2"
    entry = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}
    await world.connect({"exec": entry})
    await world.ask_until("t2")
    for _ in range(5):
        await world.ask_until("t2")
    assert count.read_text() == "\n\n"  # the second one is good for long
    world.knows = "t3"
    await world.ask()  # refused, the plugin was asked at once
    assert world.said[-1] == "Bearer t3"


async def test_an_authority_that_rotates(world: World, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "other")
    await world.connect()
    await world.ask()
    old = (world.base / "ca.pem").read_text()
    world.put("ca.pem", old + other.file.read_text())
    await world.ask()
    await world.server.stop()
    await world.server.start(other.server(*other.issue("server2", "IP:127.0.0.1")))
    await world.ask_until("")


async def test_another_authority_is_not_trusted(world: World, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "other")
    await world.connect()
    await world.server.stop()
    await world.server.start(other.server(*other.issue("server2", "IP:127.0.0.1")))
    with pytest.raises(ClusterUnreachable, match="its certificate is not trusted"):
        await world.ask()


async def test_a_client_certificate_that_rotates(
    world: World, authority: Authority, tmp_path: Path
) -> None:
    await world.server.stop()
    seen: list[str] = []
    tls = authority.server(*authority.issue("server", "IP:127.0.0.1"), asks_clients=True)

    async def note(request: Request, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peercert")
        seen.append(dict(part[0] for part in peer["subject"])["commonName"])
        await EMPTY(request, writer)

    world.server.play = note
    await world.server.start(tls)
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"

    def present(name: str) -> None:
        issued = authority.issue(name)
        for file, new in zip((cert, key), issued, strict=True):
            shutil.copy(new, file)

    present("first")
    user = {"client-certificate": str(cert), "client-key": str(key)}
    await world.connect(user)
    await world.ask()
    halves = authority.issue("second")
    with capture_logs() as logs:
        shutil.copy(halves[0], cert)  # the key is still the old one's
        while not logs:
            await world.ask()
        assert logs[0]["event"] == "credentials-not-renewed"
        assert "a key that is another's" in logs[0]["error"]
        shutil.copy(halves[1], key)
        async with asyncio.timeout(TIMEOUT_S):
            while seen[-1] != "second":
                await world.ask()
    assert set(seen) == {"first", "second"}
    assert [line["event"] for line in logs][-1] == "credentials-renewed"


async def test_a_pod_reads_its_token_again(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(world.server.port))
    world.put("token", "one\n")
    shutil.copy(world.base / "ca.pem", world.base / "ca.crt")
    monkeypatch.setattr(pod, "SERVICE_ACCOUNT", world.base)
    world.knows = "one"
    world.client = await connect(None, None, "registrar/test")
    await world.ask()
    world.put("token", "two")
    world.knows = "two"
    await world.ask()
    assert world.said[-1] == "Bearer two"


async def test_no_repr_shows_a_secret(world: World) -> None:
    world.knows = "geheim"
    client = await world.connect({"token": "geheim"})
    await world.ask()
    assert "geheim" not in repr(client)
    load = Kubeconfig(str(world.base / "kubeconfig"), None).load
    assert "geheim" not in repr(await load())
