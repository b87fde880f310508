"""The Consul source through the tests that every source must pass."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import pytest

from registrar.model import Backend
from registrar.source import MOST_BYTES
from registrar.testing import SourceContract, dropped, error
from sources.consul.source import ConsulSource
from tests.sources.consul_agent import Said, ScriptedAgent, instance, instances

GOOD = instance("10.20.0.1")
BAD = "10.20.0.2"


class TestConsul(SourceContract):
    source_class = ConsulSource
    query = {"service": "web"}
    secret = "a-token-that-nobody-may-see"  # noqa: S105  it opens nothing

    hostile = {
        "empty": error(Said(b""), "no list of instances"),
        "half": error(Said(json.dumps([GOOD, GOOD])[:-20]), "no list of instances"),
        "not a list": error(Said('{"Node": {}}'), "no list of instances"),
        "null": error(Said("null"), "no list of instances"),
        "not UTF-8": dropped(Said(f"[{json.dumps(GOOD)}, ".encode() + b'"caf\xe9"]')),
        "html": error(Said("<html>"), "no list of instances"),
        "deep": error(Said("[" * 100_000), "no list of instances"),
        "no index": error(Said([GOOD], index=""), "no X-Consul-Index"),
        "a strange index": error(Said([GOOD], index="-1"), "no X-Consul-Index"),
        "a huge index": error(Said([GOOD], index="9" * 5000), "no X-Consul-Index"),
        "huge": error(Said(b"[" + b" " * MOST_BYTES), "larger than"),
        "trickle": error(Said([GOOD], trickle=True)),
        "redirect": error(Said(status=301, headers={"Location": "/"}), "redirects"),
        "not found": error(Said(status=404), "404"),
        "too many": error(Said(status=429, headers={"Retry-After": "3"}), "429"),
        "no leader": error(Said("No cluster leader", status=500), "No cluster leader"),
        "an error of many lines": error(Said("one\ntwo\x1b[2J" * 999, status=500), "one two"),
        "no leader, and yet an answer": error(
            Said([], headers={"X-Consul-KnownLeader": "false"}), "no leader"
        ),
        "filtered": error(
            Said([GOOD], headers={"X-Consul-Results-Filtered-By-ACLs": "true"}), "ACLs hide"
        ),
        "no records": dropped(Said([GOOD, 5, "x", [], None]), "malformed", count=4),  # type: ignore[list-item]
        "half a record": dropped(Said([GOOD, {"Node": {}}]), "Service"),
        "a name": dropped(Said([GOOD, instance("db1.example")]), "no IP address"),
        "no address": dropped(Said([GOOD, instance("", node={"Address": ""})]), "no IP address"),
        "a name with more": dropped(Said([GOOD, instance("a\nb\x1b[2J")]), "no IP address"),
        "a long name": dropped(Said([GOOD, instance("a" * 5000)]), "no IP address"),
        "wrong types": dropped(
            Said([GOOD, instance(BAD, "80"), instance(BAD, Meta=7), instance(7)]),  # type: ignore[arg-type]
            "Expected",
            count=3,
        ),
        "ports": dropped(Said([GOOD, instance(BAD, 65536), instance(BAD, -1)]), "Port", count=2),
        "a weight": dropped(
            Said([GOOD, instance(BAD, Weights={"Passing": -1, "Warning": 1})]), "Weights"
        ),
        "no checks": dropped(Said([GOOD, instance(BAD, checks=[{"CheckID": "a"}])]), "Status"),
    }
    invalid_options = {
        "{}": "1:1: the key 'url' is missing",
        "{url: consul:8500}": "1:7: url.0: 'consul:8500' is not an http or https URL",
        "{url: 'http://c:99999'}": "1:7: url.0: 'http://c:99999' is not an http or https URL",
        "{url: [http://a, 'http://b/?x=1']}": "1:18: url.1: 'http://b/?x=1' is not an agent's URL",
        "{url: 'http://me:secret@c'}": "1:7: url.0: the value is a URL with a password",
        "{url: []}": "1:7: url: a list is too short",
        "{url: http://c, wait: 20m}": "1:23: wait: '20m' is too large",
        "{url: http://c, consistency: weak}": "1:30: consistency: 'weak' is not one of the known",
        "{url: http://c, watches: 0}": "1:26: watches: 0 is too small",
        "{url: http://c, tls: {certFile: a}}": "tls",
    }
    invalid_queries = {
        "{}": "1:1: the key 'service' is missing",
        "{service: a/b}": "1:11: service: 'a/b' is not the name of a service",
        "{service: ..}": "1:11: service: '..' is not the name of a service",
        "{service: a, tags: b}": "1:20: tags: 'b' is not a list",
        "{service: a, critical: up}": "1:24: critical: 'up' is not one of the known values",
    }

    @pytest.fixture(autouse=True)
    def _no_authorities(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", os.devnull)  # the system's take long to read

    async def set_up(self) -> None:
        self._agent = ScriptedAgent()
        await self._agent.start()

    async def tear_down(self) -> None:
        await self._agent.stop()

    def options(self) -> dict[str, object]:
        assert self.secret is not None
        (self.base / "token").write_text(self.secret)
        return {"url": self._agent.url, "tokenFile": "token"}

    async def serve(self, backends: Sequence[Backend]) -> None:
        self._agent.script = None
        await self._agent.set(*instances(backends))

    async def fail(self) -> None:
        self._agent.script = lambda _: Said("No cluster leader", status=500)

    async def hang(self) -> None:
        self._agent.script = lambda _: None

    async def serve_hostile(self, answer: Said) -> None:
        self._agent.script = lambda _: answer
