"""One lab: a control plane, backends, and on demand a node.

Everything it has is in its own namespaces and its own state; it must never touch another's.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.lab import audit, credentials, node, ownership, parts, registers
from tests.lab.audit import AuditRecord
from tests.lab.backend import Backend, Host
from tests.lab.build import built, control_plane
from tests.lab.control_plane import ControlPlane
from tests.lab.errors import LabError
from tests.lab.machine import BRIDGE
from tests.lab.namespaces import Argv, Namespace
from tests.lab.node import Node

PERSISTENT = "hand"
HOST_NUMBERS = range(100, 255)


class Lab:
    """A lab that runs. Get one from `up`, `up_persistent` or `persistent`."""

    def __init__(
        self, state: Path, api_server_flags: Sequence[str] = (), *, pods: bool = False
    ) -> None:
        self.state = state
        self.namespace = Namespace(ownership.namespace_of(state))
        # A link to the build this lab was started with, which later sources don't change.
        program = state / "control-plane"
        self._control_plane = ControlPlane(
            program, state, self.namespace, api_server_flags, pods=pods
        )
        self.etcd = self._control_plane.etcd
        self.api_server = self._control_plane.api_server
        self.controller_manager = self._control_plane.controller_manager
        proxy = self.kubeconfig(credentials.PROXY)
        self.node = Node(program, proxy, state, self.namespace)
        self._backends: dict[str, Backend] = {}
        self._users = iter(credentials.WITHOUT_RIGHTS)

    @classmethod
    @contextlib.contextmanager
    def up(cls, *api_server_flags: str, pods: bool = False) -> Iterator[Lab]:
        """Run a lab of our own: it ends with the block, or is swept once this process has died.

        `api_server_flags` are given to the API server after the usual ones. With `pods` the
        control plane is one for a `PodNode`.
        """
        program = prepare()
        with ownership.owned(secrets.token_hex(3)) as state:
            lab = cls(state, api_server_flags, pods=pods)
            try:
                lab._start(program)
                yield lab
            finally:
                lab._end()

    @classmethod
    def up_persistent(cls) -> Lab:
        """Start the one lab that stays when we end, until `down`."""
        program = prepare()
        with ownership.owned(PERSISTENT) as state:
            lab = cls(state)
            try:
                lab._start(program)
                lab.boot_node()
            except BaseException:
                lab._end()
                raise
            (state / ownership.STAYS).touch()
        return lab

    @classmethod
    def persistent(cls) -> Lab | None:
        """Return the lab that stays, if it is there."""
        state = ownership.HOME / PERSISTENT
        return cls(state) if (state / ownership.STAYS).exists() else None

    def down(self) -> None:
        """End the lab that stays."""
        (self.state / ownership.STAYS).unlink()
        self._end()

    # --- the API ---------------------------------------------------------------------------------

    @cached_property
    def api(self) -> httpx.Client:
        """A client to the API server as admin, for a process outside the lab's namespaces."""
        transport = httpx.HTTPTransport(uds=str(self._control_plane.api_socket))
        return httpx.Client(transport=transport, base_url="http://localhost", timeout=30)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as admin; return what it prints. Raise LabError if it fails, with `check`."""
        done = self.run(["kubectl", *arguments], stdin=stdin)
        if check and done.returncode != 0:
            raise LabError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, *objects: Mapping[str, object]) -> None:
        """Apply objects as admin."""
        documents = "\n---\n".join(map(json.dumps, objects))
        self.kubectl("apply", "-f", "-", stdin=documents)

    def audit(self, user: str) -> list[AuditRecord]:
        """Return what a user has asked of the API server, in the order of the answers.

        A record may come a moment after its answer; that of a watch comes at its end.
        """
        return audit.records(self._control_plane.audit_log, user)

    def writes(self, user: str) -> list[AuditRecord]:
        """Return what a user has written, or tried to."""
        return [record for record in self.audit(user) if record.verb in audit.WRITES]

    # --- users -----------------------------------------------------------------------------------

    def new_user(self) -> str:
        """Return a user that this process has not used yet, without any rights."""
        return next(self._users)

    def kubeconfig(self, user: str = credentials.ADMIN) -> Path:
        """Return the kubeconfig of a user, for a process within the lab."""
        return credentials.kubeconfig(self.state, user)

    def grant(self, user: str, manifest: Path, namespace: str) -> None:
        """Give a user the Roles and ClusterRoles of a manifest: those, and nothing else.

        A Role that names no namespace of its own is for `namespace`.
        """
        self.apply(*bound(user, yaml.safe_load_all(manifest.read_text()), namespace))

    # --- processes -------------------------------------------------------------------------------

    def run(
        self,
        argv: Argv,
        *,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command within the lab to its end, as `environment` says and `env` adds."""
        environment = {**self.environment(), **(env or {})}
        return self.namespace.run(argv, stdin=stdin, env=environment, timeout=timeout)

    def spawn(
        self,
        argv: Argv,
        *,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command within the lab; what it prints is appended to `log` of the lab's state.

        It gets its own session, and is killed at the end of the lab if it still runs.
        """
        return self.namespace.spawn(
            argv,
            log or self.state / "spawned.log",
            cwd=cwd,
            env={**self.environment(), **(env or {})},
            stdin=stdin,
            stdout=stdout,
        )

    def environment(self) -> dict[str, str]:
        """Return what makes kubectl be the lab's, and act as admin."""
        path = f"{self.state / 'bin'}:{os.environ['PATH']}"
        return {"KUBECONFIG": str(self.kubeconfig()), "PATH": path}

    # --- backends and the node -------------------------------------------------------------------

    def backend(self, name: str, port: int = 80, address: str | None = None) -> Backend:
        """Add a backend, and return it once it serves; `address` is one of 10.90.0.100 to .254."""
        with self._backends_file() as file:
            hosts = [Host(**host) for host in json.loads(file.read_text() or "[]")]
            if name in {host.name for host in hosts}:
                raise LabError(f"there is a backend {name} already")
            taken = {host.number for host in hosts}
            wanted = [int(address.rpartition(".")[2])] if address else HOST_NUMBERS
            free = [number for number in wanted if number in HOST_NUMBERS and number not in taken]
            if not free:
                raise LabError(f"no free address for backend {name}")
            host = Host(name, free[0], port)
            file.write_text(json.dumps([asdict(known) for known in (*hosts, host)]))
        backend = self._backends[name] = Backend(self.state, self.namespace, host)
        backend.add()
        return backend

    def remove(self, backend: Backend) -> None:
        """Remove a backend; its address is free again."""
        backend.remove()
        self._backends.pop(backend.name, None)
        with self._backends_file() as file:
            hosts = json.loads(file.read_text())
            file.write_text(json.dumps([host for host in hosts if host["name"] != backend.name]))

    def backends(self) -> dict[str, Backend]:
        """Return all backends by name, also those that another process has added."""
        with self._backends_file() as file:
            for known in json.loads(file.read_text() or "[]"):
                if known["name"] not in self._backends:
                    backend = Backend(self.state, self.namespace, Host(**known))
                    self._backends[backend.name] = backend
        return dict(self._backends)

    def boot_node(self) -> Node:
        """Boot the node unless it runs; return it once kube-proxy has made its first sync."""
        if not self.node.is_running:
            addresses = [{"type": "InternalIP", "address": text} for text in node.ADDRESSES]
            self.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.NAME}})
            status = json.dumps({"status": {"addresses": addresses}})
            self.kubectl(
                "patch",
                "node",
                node.NAME,
                "--type=merge",
                "--subresource=status",
                "--patch",
                status,
            )
            self.node.boot()
        return self.node

    @contextlib.contextmanager
    def _backends_file(self) -> Iterator[Path]:
        file = self.state / "backends.json"
        with file.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield file

    # --- start and end ---------------------------------------------------------------------------

    def _start(self, program: Path) -> None:
        (self.state / "control-plane").symlink_to(program)
        self.namespace.add()
        self.namespace.ip(
            f"link add {BRIDGE} type bridge forward_delay 0",
            f"addr add 10.90.0.1/24 dev {BRIDGE}",
            f"addr add fd00:90::1/64 dev {BRIDGE} nodad",
            f"link set {BRIDGE} up",
            f"tuntap add {node.TAP} mode tap",
            f"link set {node.TAP} master {BRIDGE} up",
        )
        self._control_plane.start()

    def _end(self) -> None:
        if "api" in self.__dict__:
            self.api.close()
        for backend in self._backends.values():
            backend.namespace.end()
        self.namespace.end()
        ownership.destroy(self.state)


def prepare() -> Path:
    """Install the system parts and build the programs, whatever is missing of them."""
    parts.require()
    registers.library()
    return built(control_plane())


def bound(user: str, roles: Iterable[dict[str, Any]], namespace: str) -> Iterator[dict[str, Any]]:
    """Yield Roles and ClusterRoles, and what gives them to a user; see `Lab.grant`."""
    for role in roles:
        is_role = role["kind"] == "Role"
        within = role["metadata"].setdefault("namespace", namespace) if is_role else ""
        yield role
        yield _binding(role, user, within)


def _binding(role: dict[str, Any], user: str, namespace: str) -> dict[str, Any]:
    group, kind, name = "rbac.authorization.k8s.io", role["kind"], role["metadata"]["name"]
    return {
        "apiVersion": f"{group}/v1",
        "kind": f"{kind}Binding",
        "metadata": {
            "name": f"{name}-{user}",
            **({"namespace": namespace} if namespace else {}),
        },
        "roleRef": {"apiGroup": group, "kind": kind, "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
