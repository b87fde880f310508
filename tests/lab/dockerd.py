"""A dockerd with all that it has in one folder, and the docker command that speaks to it.

It must never leave a container, a mount or a cgroup behind, nor end what it did not start.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.lab import ownership, parts
from tests.lab.errors import LabError
from tests.lab.leftovers import cgroup_of
from tests.lab.namespaces import Argv, HostNamespace, Namespace
from tests.lab.processes import Process

SOCKET = "docker.sock"


class Dockerd:
    """One daemon. Its state lives where its log does, so that all of it goes with the folder."""

    def __init__(self, folder: Path, namespace: Namespace, settings: Mapping[str, object]) -> None:
        self._folder = folder
        self.socket = folder / SOCKET
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}"}
        """That of whoever speaks to it."""
        self._settings: dict[str, object] = {
            "hosts": [f"unix://{self.socket}"],
            "tls": False,  # said expressly: otherwise it waits for 16 s to frighten us
            "data-root": str(folder / "data"),
            "exec-root": str(folder / "exec"),
            "pidfile": str(folder / "docker.pid"),
            "deprecated-key-path": str(folder / "key.json"),
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": f"/{cgroup_of(folder)}",
            **settings,
        }
        file = folder / "daemon.json"
        argv: Argv = ["dockerd", "--config-file", file]
        self.daemon = Process(folder, namespace, "dockerd", argv, self._answers)

    @classmethod
    @contextlib.contextmanager
    def alone(cls) -> Iterator[Dockerd]:
        """Run one without a lab around it, and without any network; it ends with the block."""
        parts.require(parts.DOCKER_PACKAGES)
        with ownership.owned(secrets.token_hex(3)) as state:
            (folder := state / "docker-0").mkdir()
            namespace = HostNamespace(ownership.namespace_of(state))
            no_network = {"bridge": "none", "iptables": False, "ip-forward": False}
            made = cls(folder, namespace, no_network)
            try:
                namespace.add()
                made.start()
                yield made
            finally:
                namespace.end()
                ownership.destroy(state)

    def start(self) -> None:
        """Start the daemon; return once it answers."""
        (self._folder / "daemon.json").write_text(json.dumps(self._settings))
        self.daemon.start(timeout=60)

    def stop(self) -> None:
        """Stop the daemon as an administrator does; unless it says live-restore, all ends."""
        self.daemon.stop(signal.SIGTERM, timeout=60)

    def docker(self, *arguments: str, check: bool = True) -> str:
        """Run the docker command; return what it prints. Raise LabError if it fails."""
        done = subprocess.run(
            ["docker", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            env=self.environment,
        )
        if check and done.returncode != 0:
            raise LabError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what the daemon knows of a container or an image."""
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", name))
        return found[0]

    def _answers(self) -> bool:
        answers = "Server" in self.docker("version", check=False)
        return self.socket.exists() and answers
