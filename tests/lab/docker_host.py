"""A Docker host outside the cluster: a real dockerd in a namespace, plugged into the lab's bridge.

It must never leave a container, a mount or a cgroup behind, nor end what it did not start.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.lab import archive, parts
from tests.lab.dockerd import SOCKET, Dockerd
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.leftovers import clear
from tests.lab.machine import Machine
from tests.lab.namespaces import HostNamespace

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


class DockerHost(Dockerd):
    """One host. Its containers are those that `docker` made on it."""

    def __init__(self, lab: Lab, folder: Path, config: dict[str, object]) -> None:
        number = int(folder.name.rpartition("-")[2])
        self._machine = Machine(lab.namespace, folder.name, number, HostNamespace)
        self.address = self._machine.address
        self.url = f"tcp://{self.address}:{API_PORT}"
        self.routed = f"10.91.{number}.0/24"
        """Addresses for a network of its own that the whole lab has a route to."""
        self._lab = lab
        self._namespace = self._machine.namespace
        settings = {
            "hosts": [f"unix://{folder / SOCKET}", f"tcp://0.0.0.0:{API_PORT}"],
            "bip": "172.30.0.1/24",
            "storage-driver": "vfs",  # on any file system, and without mounts
            **config,
        }
        super().__init__(folder, self._namespace, settings)

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

    @contextlib.contextmanager
    def api_refused(self) -> Iterator[None]:
        """Refuse its API over TCP within the block, also on connections that there are."""
        self._namespace.run(["nft", "-f", "-"], stdin=REFUSED).check_returncode()
        try:
            yield
        finally:
            self._namespace.run(["nft", "delete", "table", "inet", "refused"]).check_returncode()

    # --- containers ------------------------------------------------------------------------------

    def serve(self, name: str, *options: str) -> str:
        """Run a container that answers HTTP on its port 80 with its name; return its id."""
        return self.docker("run", "-d", "--name", name, "-e", f"NAME={name}", *options, IMAGE)

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
