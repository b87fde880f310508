"""A Docker host outside the cluster: a real dockerd in a namespace, plugged into the lab's bridge.

It must never leave a container, a mount or a cgroup behind, nor end what it did not start.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab import archive, parts
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.leftovers import cgroup_of, clear
from tests.lab.machine import Machine
from tests.lab.namespaces import HostNamespace
from tests.lab.processes import Process

NUMBERS = range(60, 90)
API_PORT = 2375
IMAGE = "lab"
# As PID 1 a server without a handler of its own is deaf to SIGTERM: this one heeds it, if not DEAF.
SERVE = """\
#!/bin/sh
mkdir -p /www
printf %s "${NAME:-$HOSTNAME}" > /www/index.html
[ -n "$DEAF" ] || trap 'exit 0' TERM
httpd -f -p "${PORT:-80}" -h /www &
wait
"""
REFUSED = f"""\
table inet refused {{
  chain in {{ type filter hook input priority -300; tcp dport {API_PORT} reject with tcp reset; }}
}}
"""


class DockerHost:
    """One host. Its containers are those that `docker` made on it."""

    def __init__(self, lab: Lab, folder: Path, config: dict[str, object]) -> None:
        number = int(folder.name.rpartition("-")[2])
        self._machine = Machine(lab.namespace, folder.name, number, HostNamespace)
        self.address = self._machine.address
        self.url = f"tcp://{self.address}:{API_PORT}"
        self.socket = folder / "docker.sock"
        self.routed = f"10.91.{number}.0/24"
        """Addresses for a network of its own that the whole lab has a route to."""
        self._lab = lab
        self._folder = folder
        self._config: dict[str, object] = {
            "hosts": [f"unix://{self.socket}", f"tcp://0.0.0.0:{API_PORT}"],
            "tls": False,  # said expressly: otherwise it waits for 16 s to frighten us
            "bip": "172.30.0.1/24",
            "data-root": str(folder / "data"),
            "exec-root": str(folder / "exec"),
            "pidfile": str(folder / "docker.pid"),
            "deprecated-key-path": str(folder / "key.json"),
            "storage-driver": "vfs",  # on any file system, and without mounts
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": f"/{cgroup_of(folder)}",
            **config,
        }
        self._namespace = self._machine.namespace
        # Its state lives where its log does, so that all of it goes with the folder.
        file = folder / "daemon.json"
        self.daemon = Process(
            folder, self._namespace, "dockerd", ["dockerd", "--config-file", file], self._answers
        )

    @classmethod
    @contextlib.contextmanager
    def on(cls, lab: Lab, **config: object) -> Iterator[DockerHost]:
        """Run a host; it ends with the block. `config` is added to its daemon.json."""
        parts.require(parts.DOCKER_PACKAGES)
        named = {key.replace("_", "-"): value for key, value in config.items()}
        host = cls(lab, _take_folder(lab.state), named)
        try:
            host._plug_in()
            host.start()
            host._load_image()
            yield host
        finally:
            host._end()

    # --- the daemon ----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the daemon; return once it answers."""
        (self._folder / "daemon.json").write_text(json.dumps(self._config))
        self.daemon.start(timeout=60)

    def stop(self) -> None:
        """Stop the daemon as an administrator does; unless it says live-restore, all ends."""
        self.daemon.stop(signal.SIGTERM, timeout=60)

    @contextlib.contextmanager
    def api_refused(self) -> Iterator[None]:
        """Refuse its API over TCP within the block, also on connections that there are."""
        self._namespace.run(["nft", "-f", "-"], stdin=REFUSED).check_returncode()
        try:
            yield
        finally:
            self._namespace.run(["nft", "delete", "table", "inet", "refused"]).check_returncode()

    # --- containers ------------------------------------------------------------------------------

    def docker(self, *arguments: str, check: bool = True) -> str:
        """Run the docker command; return what it prints. Raise LabError if it fails."""
        done = subprocess.run(
            ["docker", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "DOCKER_HOST": f"unix://{self.socket}"},
        )
        if check and done.returncode != 0:
            raise LabError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def serve(self, name: str, *options: str) -> str:
        """Run a container that answers HTTP on its port 80 with its name; return its id."""
        return self.docker("run", "-d", "--name", name, "-e", f"NAME={name}", *options, IMAGE)

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what the daemon knows of a container."""
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", name))
        return found[0]

    # --- start and end ---------------------------------------------------------------------------

    def _plug_in(self) -> None:
        self._machine.add()
        self._lab.namespace.ip(f"route add {self.routed} via {self.address}")
        # dockerd closes the way to its networks where it is the one who makes this a router.
        self._namespace.run(
            ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
        ).check_returncode()

    def _load_image(self) -> None:
        file = self._folder / "image.tar"
        with file.open("wb") as target:
            archive.files(target, {"bin/serve": SERVE.encode()})
        self.docker("import", "-c", 'CMD ["/bin/serve"]', str(file), IMAGE)

    def _answers(self) -> bool:
        return self.socket.exists() and "Server" in self.docker("version", check=False)

    def _end(self) -> None:
        self._machine.end()
        clear(self._folder)
        self._lab.namespace.ip(f"route flush {self.routed}")


def _take_folder(state: Path) -> Path:
    for number in NUMBERS:
        with contextlib.suppress(FileExistsError):
            (folder := state / f"docker-{number}").mkdir()
            return folder
    raise LabError("no free address for a Docker host")
