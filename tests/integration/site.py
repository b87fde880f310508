"""One site that uses registrar: a namespace, a user with the shipped Roles, files, processes.

It must never give that user more than config/rbac does.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import AuditRecord, Backend, Lab, wait_for

CONFIG = Path(__file__).parents[2] / "config"
ROLE, CREATE_ROLE, CLUSTER_ROLE, LEASE_ROLE = (
    CONFIG / "rbac" / rights / "role.yaml" for rights in ("namespace", "create", "ranges", "lease")
)
HEALTH = "{type: tcp, interval: 500ms, timeout: 400ms, rise: 2, fall: 2}"

Addresses = dict[str, bool]
"""What Endpoints say: `ADDRESS:PORT` and whether it is ready."""


@dataclass
class Run:
    """A process of `registrar run`."""

    log: Path
    process: subprocess.Popen[bytes]

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """Return what it has logged, or what it has logged of one event."""
        text = self.log.read_text() if self.log.exists() else ""
        whole = text[: text.rfind("\n") + 1].splitlines()
        found: list[dict[str, Any]] = [json.loads(line) for line in whole]
        return [line for line in found if event in {"", line["event"]}]

    def wait_for_line(self, event: str, timeout: float = 30, **values: object) -> dict[str, Any]:
        """Return the first line of an event that has the values."""

        def look() -> dict[str, Any] | None:
            lines = self.lines(event)
            return next((line for line in lines if values.items() <= line.items()), None)

        found = wait_for(look, timeout, f"a line {event} {values} in {self.log.read_text()}")
        assert found is not None
        return found

    def holds(self) -> list[tuple[str, str]]:
        """Return reason and detail of each Hold that it has logged."""
        return [(line["reason"], line["detail"]) for line in self.lines("hold")]

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """End it with -9."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout: float = 30) -> int:
        """Send SIGTERM; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)


@dataclass
class Site:
    """A namespace of its own, and what registrar is given to serve it."""

    lab: Lab
    namespace: str
    user: str
    folder: Path
    _backends: list[Backend] = field(default_factory=list)
    _runs: list[Run] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def on(
        cls, lab: Lab, name: str, folder: Path, roles: Sequence[Path] = (ROLE, CLUSTER_ROLE)
    ) -> Iterator[Site]:
        """Make a site; end its processes and its backends with the block."""
        user = lab.new_user()
        namespace = f"{name}-{user.removeprefix('registrar-')}"
        lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for role in roles:
            lab.grant(user, role, namespace)
        site = cls(lab, namespace, user, folder)
        try:
            yield site
        finally:
            for run in site._runs:
                run.kill()
            for backend in site._backends:
                lab.remove(backend)
            lab.kubectl("delete", "namespace", namespace, "--wait=false")

    # --- what there is to serve --------------------------------------------------------------

    def backend(self, name: str, port: int = 80) -> Backend:
        """Add a backend that serves."""
        made = self.lab.backend(f"{name}-{self.user.removeprefix('registrar-')}", port)
        self._backends.append(made)
        return made

    def service(self, name: str, **spec: object) -> None:
        """Apply a Service without a selector, or with whatever `spec` says."""
        spec = {"ports": [{"port": 6666}], **spec}
        self.lab.apply(self.object("v1", "Service", name, spec=spec))

    def object(self, api: str, kind: str, name: str, **rest: object) -> dict[str, object]:
        """Return an object of the namespace."""
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}

    def allow_to_create_services(self) -> None:
        """Add to the user's rights the one that `create` needs."""
        self.lab.grant(self.user, CREATE_ROLE, self.namespace)

    # --- files -------------------------------------------------------------------------------

    def configure(
        self, services: str, *, sources: str = "", more: str = "", health: str = HEALTH
    ) -> Path:
        """Write a configuration with the source `files`; NS in it stands for the namespace.

        `sources` are lines of others, `more` further sections.
        """
        services = textwrap.dedent(services).replace("NS/", f"{self.namespace}/")
        text = (
            "sources:\n  files: {type: static, files: [backends.yaml]}\n"
            f"{textwrap.indent(textwrap.dedent(sources), '  ')}\n"
            f"defaults: {{health: {health}}}\n"
            f"{textwrap.dedent(more)}"
            f"services:\n{textwrap.indent(services, '  ')}\n"
        )
        return self.write("registrar.yaml", text)

    def list_backends(self, **groups: Sequence[Backend | str]) -> None:
        """Write the file that the source reads: for each group, backends or records as text."""
        self.write(
            "backends.yaml",
            json.dumps(
                {
                    name: [b if isinstance(b, str) else f"{b.address}:{b.port}" for b in members]
                    for name, members in groups.items()
                }
            ),
        )

    def write(self, name: str, text: str) -> Path:
        """Write a file of the configuration's folder."""
        # As a careful writer does it: nobody ever sees half a file.
        new = self.folder / f"{name}.new"
        new.write_text(text)
        return new.rename(self.folder / name)

    # --- registrar ---------------------------------------------------------------------------

    def argv(self, command: str, *arguments: str | Path) -> list[str | Path]:
        """Return a command of registrar for this configuration, cluster and user."""
        kubeconfig = self.lab.kubeconfig(self.user)
        options = ("--config", self.folder / "registrar.yaml", "--kubeconfig", kubeconfig)
        return [sys.executable, "-m", "registrar", command, *options, *arguments]

    def start(self, *arguments: str | Path) -> Run:
        """Start `registrar run`, with further arguments."""
        # Not beside the files that it watches: each line would be news of that folder.
        log = self.folder / "logs" / f"run-{len(self._runs)}.log"
        log.parent.mkdir(exist_ok=True)
        run = Run(log, self.lab.spawn(self.argv("run", *arguments), log=log, cwd=self.folder))
        self._runs.append(run)
        return run

    def once(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `registrar once` to its end."""
        return self.lab.run(self.argv("once", *arguments))

    # --- what the cluster holds --------------------------------------------------------------

    def endpoints(self, name: str) -> Addresses | None:
        """Return the published addresses of a Service, None where there is no Endpoints."""
        found = self.get("api/v1", "endpoints", name)
        return None if found is None else in_endpoints(found)

    def slices(self, name: str) -> list[dict[str, Any]]:
        """Return the slices of a Service, whoever made them."""
        url = f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"
        wanted = {"labelSelector": f"kubernetes.io/service-name={name}"}
        answer = self.lab.api.get(url, params=wanted).raise_for_status()
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def own_slices(self, name: str) -> list[dict[str, Any]]:
        """Return the slices of a Service that registrar has made."""
        label = "endpointslice.kubernetes.io/managed-by"
        found = self.slices(name)
        return [one for one in found if one["metadata"]["labels"][label] == "registrar.internal"]

    def served(self, name: str) -> Addresses:
        """Return the addresses in the slices of a Service: what kube-proxy reads."""
        return in_slices(self.slices(name))

    def has_form(self, name: str, publish: str) -> bool:
        """Whether a Service is published in one of the forms, and nothing is left of others."""
        ours = self.own_slices(name)
        others = [one for one in self.slices(name) if one not in ours]
        endpoints = self.get("api/v1", "endpoints", name)
        labels = endpoints["metadata"].get("labels", {}) if endpoints else {}
        is_mirrored = "endpointslice.kubernetes.io/skip-mirror" not in labels
        is_there = (bool(ours), bool(others), endpoints is not None)
        return {
            "both": is_there == (True, False, True) and not is_mirrored,
            "endpoints": is_there == (False, True, True) and is_mirrored,
            "endpointslices": is_there == (True, False, False),
        }[publish]

    def wait_for_form(self, name: str, publish: str, timeout: float = 30) -> None:
        """Wait until a Service is published in a form, and in no other."""
        wait_for(lambda: self.has_form(name, publish), timeout, f"the form {publish}")

    def wait_for_served(self, name: str, wanted: Addresses, timeout: float = 30) -> None:
        """Wait until exactly these are in the slices of a Service."""
        wait_for(
            lambda: self.served(name) == wanted,
            timeout,
            lambda: f"{len(wanted)} addresses; there are {self.served(name)}",
        )

    def cluster_ip(self, name: str) -> str:
        """Return the address at which the cluster serves a Service."""
        found = self.get("api/v1", "services", name)
        assert found is not None
        return str(found["spec"]["clusterIP"])

    def get(self, api: str, resource: str, name: str) -> dict[str, Any] | None:
        """Return an object of the namespace, None if there is none."""
        answer = self.lab.api.get(f"/{api}/namespaces/{self.namespace}/{resource}/{name}")
        if answer.status_code == 404:
            return None
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def wait_for_endpoints(self, name: str, wanted: Addresses | None, timeout: float = 30) -> None:
        """Wait until exactly these are published."""
        log = self._runs[-1].log if self._runs else None

        def words() -> str:
            said = log.read_text() if log and log.exists() else ""
            return f"{wanted}; there is {self.endpoints(name)}; registrar said:\n{said}"

        wait_for(lambda: self.endpoints(name) == wanted, timeout, words)

    def writes(self) -> list[AuditRecord]:
        """Return what registrar has written, or tried to, but for Events, which are news of it."""
        return [one for one in self.lab.writes(self.user) if one.resource != "events"]


def in_slices(slices: Iterable[Mapping[str, Any]]) -> Addresses:
    """Return the addresses in slices, and whether they are ready."""
    return {
        f"{address}:{port['port']}": endpoint["conditions"]["ready"]
        for piece in slices
        for port in piece["ports"] or ()
        for endpoint in piece["endpoints"] or ()
        for address in endpoint["addresses"]
    }


def ready_addresses(slices: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the addresses that are ready in one of the slices."""
    pieces = [in_slices([one]) for one in slices]
    return frozenset(address for piece in pieces for address, ready in piece.items() if ready)


def place(backend: Backend) -> str:
    """Return a backend as Addresses name it."""
    return f"{backend.address}:{backend.port}"


def in_endpoints(found: Mapping[str, Any]) -> Addresses:
    """Return the addresses in a v1 Endpoints, and whether they are ready."""
    return {
        f"{address['ip']}:{port['port']}": ready
        for subset in found.get("subsets", ())
        for port in subset["ports"]
        for ready, key in ((True, "addresses"), (False, "notReadyAddresses"))
        for address in subset.get(key, ())
    }
