"""The Docker source through the tests that every source must pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from registrar.model import Backend
from registrar.testing import SourceContract, dropped, error
from sources.docker import DockerSource
from tests.sources.docker_engine import Engine, container, published

GOOD = container("good", published(8080, ip="10.20.0.1"))
NOT_A_URL = "write tcp://HOST:PORT or unix:///PATH"


def _with(**fields: Any) -> list[dict[str, Any]]:  # noqa: ANN401  what a daemon shouldn't say
    return [GOOD, {**container("bad", published(81, ip="10.20.0.2")), **fields}]


class TestDocker(SourceContract):
    source_class = DockerSource
    query = {"labels": {"app": "web"}}

    hostile = {
        "empty": error(b"", "the list of containers is malformed"),
        "half": error(json.dumps([GOOD]).encode()[:-9], "the list of containers is malformed"),
        "an object": error(b'{"message": "no"}', "the list of containers is malformed"),
        "null": error(b"null", "the list of containers is malformed"),
        "HTML": error(b"<html></html>", "the list of containers is malformed"),
        "deep": error(b"[" * 100_000, "the list of containers is malformed"),
        "not UTF-8": dropped(b'[%s, {"Id": "\xff"}]' % json.dumps(GOOD).encode()),
        "large": error(b"[" + b" " * (33 << 20) + b"]", "larger than"),
        "wrong records": dropped([GOOD, 7, None, [], "x", {}], "malformed", count=5),
        "wrong state": dropped(_with(State=7), "malformed"),
        "wrong ports": dropped(_with(Ports={"80/tcp": None}), "malformed"),
        "port of another type": dropped(_with(Ports=[published("80")]), "malformed"),  # type: ignore[arg-type]
        "no such port": dropped(_with(Ports=[published(65_536)]), "malformed"),
        "no address": dropped(_with(Ports=[published(80, ip="here")]), "'here'"),
        "wrong labels": dropped(_with(Labels=["app=web"]), "malformed"),
    }
    invalid_options = {
        "{}": "1:1: the key 'hosts' is missing",
        "{hosts: []}": "1:9: hosts: a list is too short",
        "{hosts: [5]}": "1:10: hosts.0: 5 is not a mapping",
        "{hosts: [10.20.3.7]}": (
            f"1:10: hosts.0: '10.20.3.7' is not the URL of a daemon; {NOT_A_URL}"
        ),
        "{hosts: ['tcp://10.20.3.7']}": NOT_A_URL,
        "{hosts: ['tcp://10.20.3.7:http']}": NOT_A_URL,
        "{hosts: ['tcp://me@10.20.3.7:2376']}": NOT_A_URL,
        "{hosts: ['tcp://10.20.3.7:2376/v1.41']}": NOT_A_URL,
        "{hosts: ['http://10.20.3.7:2376']}": NOT_A_URL,
        "{hosts: ['unix://docker.sock']}": NOT_A_URL,
        "{hosts: ['ssh://10.20.3.7']}": NOT_A_URL,
        "{hosts: ['unix:///run/docker.sock']}": (
            "1:10: hosts.0: 'unix:///run/docker.sock' is incomplete: unix:///run/docker.sock "
            "doesn't say where its containers' ports are reached; give its IP address: "
            "{url: ..., address: 10.20.3.7}"
        ),
        "{hosts: ['tcp://docker1:2376']}": "doesn't say where",
        "{hosts: ['tcp://127.0.0.1:2375']}": "doesn't say where",
        "{hosts: [{url: 'tcp://docker1:2376', address: docker1}]}": "not an IP address",
        "{hosts: ['tcp://10.20.3.7:1', 'tcp://10.20.3.7:1']}": "stands twice among `hosts`",
        "{hosts: ['tcp://10.20.3.7:1'], tls: {certFile: c.pem}}": "certFile without keyFile",
    }
    invalid_queries = {
        "{}": "give labels, name, project, service or network",
        "{containerPort: 80}": "give labels, name, project, service or network",
        "{labels: {}}": "1:10: labels: a mapping is not labels",
        "{labels: [app]}": "1:10: labels: a list is not labels",
        "{labels: {tier: 1}}": "write names and values as text: {app: web, tier: '1'}",
        "{network: lan}": "network without containerPort; give the containers' port",
        "{name: web, containerPort: 0}": "1:28: containerPort: 0 is too small",
        "{name: web, protocol: http}": "'tcp', 'udp' or 'sctp'",
    }

    async def set_up(self) -> None:
        self._engine = Engine()
        await self._engine.start()

    async def tear_down(self) -> None:
        await self._engine.stop()

    def options(self) -> dict[str, object]:
        return {"hosts": [{"url": self._engine.url, "address": "10.20.3.7"}]}

    async def serve(self, backends: Sequence[Backend]) -> None:
        self._engine.body, self._engine.breaks = None, False
        self._engine.goes_on()
        self._engine.has(
            *(
                container(f"web{n}", published(one.port or 0, ip=str(one.address)))
                for n, one in enumerate(backends)
            )
        )

    async def fail(self) -> None:
        self._engine.breaks = True
        self._engine.break_streams()

    async def hang(self) -> None:
        self._engine.hangs = True

    async def serve_hostile(self, answer: bytes | list[Any]) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self._engine.body = body
