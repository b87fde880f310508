"""No secret of the configuration shows, wherever one can stand and whatever goes wrong with it.

The real program is run with a secret in each place, on servers that say back what they were sent;
then all that it has said anywhere is searched.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import httpx
import pytest
import yaml

from registrar.app.app import App
from registrar.app.construction import Mode
from registrar.app.demo import embedded_cluster
from registrar.app.running import ClusterOptions, running
from registrar.config import read_config
from registrar.model import CheckResult, Outcome, Target
from tests.certificates import Authority
from tests.embedded_program import wait_until
from tests.loopback import Loopback, Request, loopback, reply
from tests.simulated_engine import played

CONFIGURATION = """
instance: office
sources:
  consul: {{type: consul, url: "{consul}", tokenFile: consul.token, interval: 1s}}
  list: {{type: http, urls: ["{list}"], tokenFile: list.token, interval: 1s}}
  hosts: {{type: docker, interval: 1s,
           hosts: [{{url: "tcp://127.0.0.1:{docker}", address: 10.20.3.7}}],
           tls: {{caFile: authority.pem, certFile: client.pem, keyFile: client.key}}}}
  broken-key: {{type: http, urls: ["{docker_url}"], interval: 1s,
                tls: {{caFile: authority.pem, certFile: client.pem, keyFile: broken.key}}}}
  broken-token: {{type: consul, url: "{consul}", tokenFile: broken.token, interval: 1s}}
  racks: {{type: static, files: [racks.yaml]}}
defaults: {{health: {{type: tcp, interval: 500ms, timeout: 100ms}}}}
services:
  - {{service: shop/consul, from: {{source: consul, service: web}}, create: {{port: 80}}}}
  - {{service: shop/list, from: {{source: list}}, create: {{port: 80}}}}
  - {{service: shop/hosts, from: {{source: hosts, labels: {{a: b}}, containerPort: 80}},
     create: {{port: 80}}}}
  - {{service: shop/key, from: {{source: broken-key}}, create: {{port: 80}}}}
  - {{service: shop/token, from: {{source: broken-token, service: web}}, create: {{port: 80}}}}
  - {{service: shop/racks, from: {{source: racks}}, health: {{type: none}}, create: {{port: 80}}}}
admin: {{listen: "127.0.0.1:{admin}", tokenFile: admin.token, socket: admin.sock}}
"""
FAILING = ("consul", "list", "hosts", "broken-key", "broken-token")

TOKENS = {
    "consul.token": "c0nsul-5f1e2d3c-token",
    "list.token": "l1st-9a8b7c6d-token",
    "admin.token": "adm1n-1b2c3d4e-token",
    "kubeconfig": "kub3-7e6f5a4b-token",
    "shown by somebody who has none": "gu3ss-0f9e8d7c-token",
    "broken.key": "brok3n-key-2d3e4f5a",
    "broken.token": "brok3n-token-6a7b8c9d",
}


@dataclass
class Said:
    """All that was said, by where."""

    secrets: tuple[str, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)

    def take(self, where: str, text: str) -> None:
        self.texts[where] = self.texts.get(where, "") + text

    @property
    def leaks(self) -> list[str]:
        forms = {
            form
            for secret in self.secrets
            for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("=")[:-1])
        }
        return [
            f"{where}: {form}"
            for where, text in self.texts.items()
            for form in forms
            if form in text
        ]


class Site:
    """The files, the servers, and the program's commands."""

    def __init__(self, folder: Path, said: Said, admin: int, cluster: str) -> None:
        self.cluster = cluster
        self.folder = folder
        self.said = said
        self.url = f"http://127.0.0.1:{admin}"
        self.log = folder / "logs" / "run.log"
        self.log.parent.mkdir()

    def command(self, *arguments: str) -> list[str]:
        options = ["--config", str(self.folder / "registrar.yaml")]
        if arguments[0] in {"run", "plan", "once"}:
            options += ["--kubeconfig", str(self.folder / "kubeconfig")]
        return [sys.executable, "-m", "registrar", arguments[0], *options, *arguments[1:]]

    async def hear(self, *arguments: str, **environment: str) -> None:
        """Run a command to its end, and take what it says."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **environment},
        )
        out, _ = await process.communicate()
        assert out, arguments
        self.said.take(" ".join(arguments), out.decode())

    async def ask(self, method: str, path: str, token: str | None = None) -> int:
        """Ask the running program over HTTP, and take what it says."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            answer = await client.request(method, path, headers=headers)
        self.said.take(f"{method} {path}", f"{answer.headers} {answer.text}")
        return answer.status_code

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the program within the block, and take its log."""
        with self.log.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *self.command("run"), stdout=log, stderr=log
            )
            try:
                yield process
                process.terminate()
                await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        self.said.take("the log", self.log.read_text())

    async def written(self, path: str) -> str:
        """Take what was written to the API server."""
        async with httpx.AsyncClient(base_url=self.cluster, timeout=60) as client:
            text = (await client.get(path)).raise_for_status().text
        self.said.take(path, text)
        return text

    async def events(self) -> str:
        """Take the Events."""
        return await self.written("/api/v1/events")

    async def wait_for_line(self, *parts: str) -> None:
        async def is_there() -> bool:
            lines = self.log.read_text().splitlines()
            return any(all(part in line for part in parts) for line in lines)

        await wait_until(is_there, f"a line with {parts} in {self.log.read_text()}")


async def say_back(request: Request, writer: asyncio.StreamWriter) -> None:
    """Refuse, and repeat whatever was sent as proof of who it is, as some servers do."""
    shown = [request.headers.get(name, "") for name in ("x-consul-token", "authorization")]
    words = f"who is {' '.join(shown).strip()}?"
    await reply(403, words.encode(), {"X-Told": words})(request, writer)


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[Loopback, Loopback, Loopback]]:
    authority = Authority(tmp_path)
    authority.issue("client")
    tls = authority.server(*authority.issue("server", "IP:127.0.0.1"), asks_clients=True)
    async with loopback() as consul, loopback() as lists, loopback(tls) as docker:
        for one in (consul, lists, docker):
            one.play = say_back
        yield consul, lists, docker


@pytest.fixture
async def site(tmp_path: Path, servers: tuple[Loopback, Loopback, Loopback]) -> AsyncIterator[Site]:
    for name in ("consul.token", "list.token", "admin.token"):
        (tmp_path / name).write_text(f"{TOKENS[name]}\n")
    (tmp_path / "broken.key").write_text(f"{TOKENS['broken.key']}\n")
    (tmp_path / "broken.token").write_text(f"{TOKENS['broken.token']}\nand more\n")
    (tmp_path / "racks.yaml").write_text("web: [10.20.1.1:80, 127.0.0.1:80]\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        admin = int(free.getsockname()[1])
    consul, lists, docker = servers
    file = tmp_path / "registrar.yaml"
    file.write_text(
        CONFIGURATION.format(
            consul=consul.url,
            list=lists.url,
            docker=docker.port,
            docker_url=docker.url,
            admin=admin,
        )
    )
    key = [line for line in (tmp_path / "client.key").read_text().splitlines() if "--" not in line]
    said = Said((*TOKENS.values(), *key))
    async with embedded_cluster(tmp_path, read_config(file).mappings, 0) as cluster:
        kubeconfig = yaml.safe_load(cluster.kubeconfig.read_text())
        kubeconfig["users"][0]["user"]["token"] = TOKENS["kubeconfig"]
        cluster.kubeconfig.write_text(yaml.safe_dump(kubeconfig))
        made = Site(tmp_path, said, admin, cluster.url)
        yield made
        for path in ("/api/v1/services", "/api/v1/endpoints"):
            await made.written(path)
        await made.events()
    assert said.leaks == []


async def test_the_running_program_shows_none(
    site: Site, servers: tuple[Loopback, Loopback, Loopback]
) -> None:
    async with site.running() as process:
        for source in FAILING:
            await site.wait_for_line("source-unknown", f'"{source}"')
        await site.wait_for_line("published", "shop/racks")
        for path in ("/status", "/metrics", "/healthz", "/readyz", "/"):
            await site.ask("GET", path)
        assert await site.ask("POST", "/resync", TOKENS["admin.token"]) == 200
        guess = TOKENS["shown by somebody who has none"]
        assert await site.ask("POST", "/resync", guess) == 403
        process.send_signal(signal.SIGUSR1)
        await site.wait_for_line("resync", "SIGUSR1")
        (site.folder / "registrar.yaml").write_text("sources: 7")
        await site.wait_for_line("reload-failed")
        await site.wait_for_line("order-refused")
        # Written about a second after the Hold began, and the rest at the end.
    assert "SourceUnknown" in await site.events()
    # The secrets were where they belong, and were used.
    consul, lists, docker = servers
    sent = [request.headers for server in (consul, lists) for request in server.requests]
    assert {TOKENS["consul.token"]} <= {one.get("x-consul-token") for one in sent}
    assert {f"Bearer {TOKENS['list.token']}"} <= {one.get("authorization") for one in sent}
    assert docker.requests


async def test_the_other_commands_show_none(site: Site) -> None:
    async with site.running():
        for source in FAILING:
            await site.wait_for_line("hold", f"shop/{source.removeprefix('broken-')}")
        await site.wait_for_line("published", "shop/racks")
        await asyncio.gather(
            site.hear("plan", "-o", "json"),
            site.hear("once", REGISTRAR_LOG_FORMAT="console"),
            site.hear("validate"),
            site.hear("render"),
        )
        kubeconfig = site.folder / "kubeconfig"
        right = kubeconfig.read_text()
        for wrong in (f"{right}}}", right.replace("kind: Config", "kind: [Config"), "7"):
            kubeconfig.write_text(wrong)
            await site.hear("plan")
        kubeconfig.write_text(right)


async def test_no_value_of_the_program_shows_one_as_python_writes_it(site: Site) -> None:
    config = read_config(site.folder / "registrar.yaml")
    options = ClusterOptions(str(site.folder / "kubeconfig"))

    async def run_check(_: Target) -> CheckResult:
        return CheckResult(Outcome.PASSED)

    async with running(config, options, Mode.STAY, played(run_check)) as app:
        await app.heard(30)

        async def is_published() -> bool:
            return len(app.reconciler.standings) == len(config.mappings)

        await wait_until(is_published, "a look at each Service")
        names = set()
        for one in values(app):
            names.add(type(one).__name__)
            site.said.take("repr", repr(one))
        # Among them are those that hold a secret.
        assert {"App", "Config", "Login", "ConsulSource", "DockerOptions", "Admin"} <= names


def values(app: App) -> Iterator[object]:
    """Yield whatever of registrar's own types can be reached from the program."""
    seen: set[int] = set()
    left: list[object] = [app]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, ModuleType | type):
            continue
        seen.add(id(one))
        module = type(one).__module__
        is_ours = module.partition(".")[0] in {"registrar", "sources"}
        if is_ours:
            yield one
        if is_ours or isinstance(one, Iterable) or module in {"builtins", "functools", "_asyncio"}:
            left += gc.get_referents(one)
