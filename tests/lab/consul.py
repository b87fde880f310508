"""Consul agents on machines of their own: one alone with ACLs and TLS, or three servers.

They must never keep anything beyond the lab, nor find any other Consul.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from tests.lab.build import CONSUL, built
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.namespaces import Argv
from tests.lab.processes import Process
from tests.lab.waiting import wait_for

MANAGEMENT = "5b2f7a0e-0000-4000-8000-7e57ab1e0001"
"""The token that may do everything. The lab's own, and known to nobody who should not know it."""

NAME = "consul.lab"
"""What the certificates are made out to."""

ALONE, FIRST_OF_THREE = 60, 61
"""Numbers of machines, below those of backends."""

_NO_PORTS = {"dns": -1, "grpc": -1, "grpc_tls": -1, "serf_wan": -1}


class Agent:
    """One agent; `process` is what runs it, and whatever it stores is gone with `forget`."""

    def __init__(self, lab: Lab, name: str, number: int, config: Mapping[str, object]) -> None:
        self.name = name
        self._machine = Machine(lab.namespace, name, number)
        self.address = self._machine.address
        self.url = f"http://{self.address}:8500"
        self.tls_url = f"https://{self.address}:8501"
        self.namespace = self._machine.namespace
        self._data = lab.state / f"{name}.data"
        self._socket = lab.state / f"{name}.sock"
        self._file = lab.state / f"{name}.json"
        common = {
            "node_name": name,
            "bind_addr": self.address,
            "addresses": {
                "http": f"{self.address} unix://{self._socket}",
                "https": self.address,
            },
            "data_dir": str(self._data),
            "disable_update_check": True,
            "leave_on_terminate": False,
            "log_level": "warn",
            "performance": {"raft_multiplier": 1},
            "ports": _NO_PORTS,
        }
        self._config = {**common, **config}
        argv: Argv = [built(CONSUL), "agent", f"-config-file={self._file}"]
        self.process = Process(lab.state, self.namespace, name, argv, self._answers)

    def add(self) -> None:
        """Make its machine, and start it there."""
        self._machine.add()
        self._file.write_text(json.dumps(self._config))
        self.process.start()

    def restart(self) -> None:
        """Kill it and start it again, with what it has stored."""
        self.process.stop()
        self.process.start()

    def forget(self) -> None:
        """Kill it and start it again, as on an empty disk."""
        self.process.stop()
        shutil.rmtree(self._data)
        self.process.start()

    def end(self) -> None:
        """Kill it, unplug its machine, and leave nothing of it."""
        self.api.close()
        self._machine.end()
        shutil.rmtree(self._data, ignore_errors=True)

    # --- its API, as who may do everything -----------------------------------------------------

    @cached_property
    def api(self) -> httpx.Client:
        """A client to this agent, for a process outside of the lab's namespaces."""
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self._socket)),
            base_url="http://localhost/v1/",
            headers={"X-Consul-Token": MANAGEMENT},
            timeout=30,
        )

    def put(self, path: str, **body: object) -> Any:  # noqa: ANN401  JSON, for a test to look at
        """Return what a PUT is answered with."""
        answer = self.api.put(path, json=body).raise_for_status()
        return answer.json() if answer.content else None

    def register(self, name: str, address: str, port: int = 80, **more: object) -> str:
        """Register an instance of a service with this agent; return its id."""
        instance = str(more.pop("ID", f"{name}-{address}"))
        self.put(
            "agent/service/register", ID=instance, Name=name, Address=address, Port=port, **more
        )
        return instance

    def deregister(self, instance: str) -> None:
        """Take an instance away."""
        self.put(f"agent/service/deregister/{instance}")

    def check(self, check: str, status: str) -> None:
        """Say how a check by TTL stands: passing, warning or critical."""
        self.put(f"agent/check/update/{check}", Status=status)

    def policy(self, name: str, rules: str) -> None:
        """Make a policy, or give it other rules."""
        known = self.api.get(f"acl/policy/name/{name}")
        path = "acl/policy"
        if known.status_code == httpx.codes.OK:
            path += f"/{known.json()['ID']}"
        self.put(path, Name=name, Rules=rules)

    def token(self, *policies: str) -> tuple[str, str]:
        """Make a token; return its accessor and its secret."""
        made = self.put("acl/token", Policies=[{"Name": name} for name in policies])
        return made["AccessorID"], made["SecretID"]

    def delete_token(self, accessor: str) -> None:
        """Delete a token: whoever shows it is refused."""
        self.api.delete(f"acl/token/{accessor}").raise_for_status()

    @property
    def leader(self) -> str:
        """The address of the leader that this agent knows, empty if it knows of none."""
        answer = self._ask("status/leader")
        return str(answer.json()) if answer and answer.status_code == httpx.codes.OK else ""

    def wait_until_ready(self, timeout: float = 60) -> None:
        """Wait until there is a leader, and it knows its tokens."""
        wait_for(self._is_ready, timeout, f"a leader, and answers of {self.name}")

    def _is_ready(self) -> bool:
        # A new leader knows of no tokens for a moment.
        answer = self._ask("agent/services")
        return bool(self.leader) and answer is not None and answer.status_code == httpx.codes.OK

    def _answers(self) -> bool:
        return self._ask("status/leader") is not None

    def _ask(self, path: str) -> httpx.Response | None:
        # httpx leaves a socket open that finds nobody.
        with contextlib.suppress(httpx.HTTPError, OSError), socket.socket(socket.AF_UNIX) as found:
            found.connect(str(self._socket))
            return self.api.get(path, timeout=2)
        return None


@contextlib.contextmanager
def alone(lab: Lab, **more: object) -> Iterator[Agent]:
    """Run one agent that is the whole cluster: ACLs deny, and TLS wants a client's certificate.

    `more` is further configuration.
    """
    certificates = make_certificates(lab.state / "consul-certs")
    https = {
        "ca_file": str(certificates / "ca.pem"),
        "cert_file": str(certificates / "server.pem"),
        "key_file": str(certificates / "server.key"),
        "verify_incoming": True,
    }
    agent = Agent(
        lab,
        "consul",
        ALONE,
        {
            "server": True,
            "bootstrap_expect": 1,
            "acl": {
                "enabled": True,
                "default_policy": "deny",
                "tokens": {"initial_management": MANAGEMENT, "agent": MANAGEMENT},
            },
            "ports": {**_NO_PORTS, "https": 8501},
            "tls": {"https": https},
            **more,
        },
    )
    with _running(agent):
        yield agent


@contextlib.contextmanager
def three(lab: Lab) -> Iterator[tuple[Agent, Agent, Agent]]:
    """Run a cluster of three servers, without ACLs."""
    numbers = range(FIRST_OF_THREE, FIRST_OF_THREE + 3)
    others = [f"10.90.0.{number}" for number in numbers]
    config = {"server": True, "bootstrap_expect": 3, "retry_join": others, "retry_interval": "1s"}
    first, second, third = (
        Agent(lab, f"consul-{place}", number, config) for place, number in enumerate(numbers)
    )
    with _running(first, second, third):
        yield first, second, third


@contextlib.contextmanager
def _running(*agents: Agent) -> Iterator[None]:
    try:
        for agent in agents:
            agent.add()
        for agent in agents:
            agent.wait_until_ready()
        yield
    finally:
        for agent in agents:
            agent.end()


def make_certificates(folder: Path) -> Path:
    """Make an authority, and certificates of it for the server NAME and for a client."""
    if folder.exists():
        return folder
    folder.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    for name, subject in (("ca", "/CN=lab"), ("server", f"/CN={NAME}"), ("client", "/CN=client")):
        signer = [] if name == "ca" else ["-CA", "ca.pem", "-CAkey", "ca.key"]
        names = [] if name == "ca" else ["-addext", f"subjectAltName=DNS:{subject[4:]}"]
        out = ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", subject]
        subprocess.run(
            ["openssl", "req", "-x509", *key, *signer, *names, *out],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    return folder
