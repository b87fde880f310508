"""A way to the API server on which requests meet faults: held, refused, late, cut off, deaf.

    with FaultProxy.on(lab, tmp_path) as proxy:
        run = site.start("--kubeconfig", proxy.kubeconfig(site.user))
        held = proxy.fault("hold", "update", "endpoints", times=1)
        held.wait_until_met()       # a write is under way, and nobody has heard of it yet
        held.end()                  # it goes on

It must never be on the way of anybody whose kubeconfig doesn't name it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx

from tests.certificates import Authority
from tests.lab.control_plane import ADDRESS, SERVER
from tests.lab.lab import Lab
from tests.lab.processes import Process
from tests.lab.waiting import wait_for

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0

Kind = Literal["hold", "refuse", "delay", "break", "deaf"]


@dataclass(frozen=True)
class Fault:
    """A fault that is in force until it is ended."""

    _control: httpx.Client
    _path: str

    @property
    def hits(self) -> int:
        """How many requests have met it; of `deaf`, how many pieces of an answer."""
        return int(self._look()["hits"])

    @property
    def waiting(self) -> int:
        """How many requests wait for its end."""
        return int(self._look()["waiting"])

    def wait_until_met(self, times: int = 1) -> None:
        """Wait until so many requests have met it."""
        wait_for(lambda: self.hits >= times, PATIENCE_S, f"{times} requests that meet a fault")

    def end(self) -> None:
        """Let requests pass again; those that it holds go on."""
        self._control.delete(self._path).raise_for_status()

    def _look(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._control.get(self._path).raise_for_status().json()
        return found


class FaultProxy:
    """One such way, with a certificate of an authority of its own."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._name = f"fault-proxy-{secrets.token_hex(3)}"
        self.authority = Authority(folder, f"{self._name}-authority")
        self._socket = lab.state / f"{self._name}.sock"
        self._control = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self._socket)), base_url="http://proxy"
        )
        cert, key = self.issue()
        upstream = self._cluster_of_lab()["certificate-authority"]
        self.process = Process(
            lab.state,
            lab.namespace,
            self._name,
            [
                *("env", f"PYTHONPATH={ROOT}", sys.executable),
                *("-m", "tests.lab.fault_proxy_server"),
                *(ADDRESS, SERVER, upstream, cert, key, self._socket),
            ],
            self._is_ready,
        )
        self.url = ""

    @classmethod
    @contextlib.contextmanager
    def on(cls, lab: Lab, folder: Path) -> Iterator[FaultProxy]:
        """Run one; it ends with the block. Its certificates are in `folder`."""
        proxy = cls(lab, folder)
        try:
            proxy.process.start()
            port = proxy._control.get("/").raise_for_status().json()["port"]
            proxy.url = f"https://{ADDRESS}:{port}"
            yield proxy
        finally:
            proxy.process.stop()
            proxy._control.close()
            proxy._socket.unlink(missing_ok=True)

    # --- for the client ------------------------------------------------------------------------

    def kubeconfig(self, user: str, **changes: str) -> Path:
        """Return a kubeconfig by which a user of the lab comes this way.

        `changes` are further entries of the user, with `_` for `-`; `token=""` leaves that out.
        """
        config = json.loads(self._lab.kubeconfig(user).read_text())
        config["clusters"][0]["cluster"] = {
            "server": self.url,
            "certificate-authority": str(self.authority.file),
        }
        entry = config["users"][0]["user"]
        entry.update({name.replace("_", "-"): value for name, value in changes.items()})
        config["users"][0]["user"] = {name: value for name, value in entry.items() if value}
        path = self._folder / f"{self._name}-{user}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def issue(self, name: str = "") -> tuple[Path, Path]:
        """Return a certificate for its address, and the key."""
        return self.authority.issue(name or self._name, f"IP:{ADDRESS}")

    def present(self, cert: Path, key: Path) -> None:
        """Present another certificate on new connections, and cut those that there are."""
        told = {"cert": str(cert), "key": str(key)}
        self._control.post("/present", json=told).raise_for_status()
        self.cut()

    # --- faults --------------------------------------------------------------------------------

    def fault(
        self,
        kind: Kind,
        verb: str = "",
        resource: str = "",
        *,
        namespace: str = "",
        name: str = "",
        times: int | None = None,
        **how: object,
    ) -> Fault:
        """Have requests that have all that is given meet a fault.

        `hold` lets them wait until its end; `refuse` answers with `code` and `headers`; `delay`
        makes them `seconds` late; `break` cuts the connection; `deaf` is for watches, which say
        nothing until its end and then catch up. With `applied=True` the request is carried out
        first. Verbs are those of RBAC.
        """
        wanted = {"verb": verb, "resource": resource, "namespace": namespace, "name": name}
        rule = {"fault": kind, **wanted, "times": times, **how}
        answer = self._control.post("/rules", json=rule).raise_for_status()
        return Fault(self._control, f"/rules/{answer.json()['id']}")

    def watches(self) -> int:
        """Return how many watches are under way."""
        return int(self._control.get("/").raise_for_status().json()["watches"])

    def cut(self, verb: str = "", resource: str = "") -> int:
        """Cut the connections of requests that are under way; return how many there were."""
        which = {"verb": verb, "resource": resource}
        answer = self._control.post("/cut", json=which).raise_for_status()
        return int(answer.json()["count"])

    def _cluster_of_lab(self) -> dict[str, str]:
        config = json.loads(self._lab.kubeconfig().read_text())
        found: dict[str, str] = config["clusters"][0]["cluster"]
        return found

    def _is_ready(self) -> bool:
        return "ready" in self.process.log_tail()
