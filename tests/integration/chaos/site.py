"""What chaos befalls: Services in all forms, backends, sources; and the truth of all of them.

It must never change a backend or a list but with the truth, in one step.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from tests.lab import Backend, Lab
from tests.lab.control_plane import ADDRESS
from tests.lab.namespaces import Argv
from tests.lab.processes import Process
from tests.simulation.cluster import INSTANCE, NAMESPACE
from tests.simulation.truth import Reach, ServiceTruth, Truth

LIST_SERVER = Path(__file__).parents[2] / "lab" / "list_server.py"
LIST_PORT = 18_500
PORT = 6666
TCP = "{type: tcp, interval: 1s, timeout: 1s, rise: 1, fall: 2}"
HTTP = "{type: http, path: /healthz, interval: 1s, timeout: 1s, rise: 1, fall: 2}"
CONFIRM = "{answers: 3, for: 30s}"
LEASE = "registrar-default"
TIMES = {"leaseDuration": "6s", "renewDeadline": "4s", "retryPeriod": "1s"}
FILE, LIST = "files", "racks"


@dataclass(frozen=True)
class Served:
    """A Service of ours, and its mapping."""

    name: str
    publish: str
    source: str
    group: str
    check: str = TCP


CALM = [
    Served("calm", "both", FILE, "calm"),
    Served("calm-slices", "endpointslices", FILE, "calm"),
    Served("calm-endpoints", "endpoints", FILE, "calm"),
]
"""Nobody touches these, nor their backends: each request to them is answered, come what may."""

ROUGH = [
    Served("web", "both", FILE, "web"),
    Served("api", "endpointslices", FILE, "api", HTTP),
    Served("db", "endpoints", FILE, "db"),
    Served("shelf", "endpoints", LIST, "shelf"),
    Served("rack", "both", LIST, "rack", HTTP),
]
OTHER_FORM = {"endpoints": "both", "both": "endpoints", "endpointslices": "endpoints"}
BACKENDS = {"calm": 3, "web": 3, "api": 3, "db": 3, "shelf": 4, "rack": 3}


class Site:
    """The Services' world. Whoever changes it holds `lock`."""

    def __init__(
        self,
        lab: Lab,
        folder: Path,
        changed: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.lab = lab
        self.folder = folder
        self.lock = RLock()
        self.truth = Truth(changed, clock)
        self.backends: dict[str, list[Backend]] = {}
        argv: Argv = [sys.executable, "-I", "-S", LIST_SERVER, str(LIST_PORT), folder / "list"]
        self.list_server = Process(lab.state, lab.namespace, "list-server", argv)
        self._absent: set[str] = set()
        self._is_mistaken = False

    def build(self) -> None:
        """Make all of it, and write the configuration."""
        self.lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        self.lab.apply(*(self.service(one.name) for one in (*CALM, *ROUGH)))
        for group, count in BACKENDS.items():
            self.backends[group] = [self.lab.backend(f"{group}{n}") for n in range(count)]
        for one in (*CALM, *ROUGH):
            groups = ((one.source, one.group),)
            self.truth.services[one.name] = ServiceTruth(one.name, groups, one.publish)
        (self.folder / "list").mkdir(parents=True)
        self._tell()
        self.list_server.start()
        self._configure()

    def _configure(self) -> None:
        forms = {name: truth.publish for name, truth in self.truth.services.items()}
        lines = "\n".join(f"  - {_mapping(one, forms[one.name])}" for one in (*CALM, *ROUGH))
        options = f"urls: ['http://{ADDRESS}:{LIST_PORT}/'], interval: 1s, timeout: 2s"
        times = ", ".join(f"{key}: {value}" for key, value in TIMES.items())
        self._write(
            "registrar.yaml",
            f"instance: {INSTANCE}\n"
            "sources:\n"
            f"  {FILE}: {{type: static, files: [backends.yaml]}}\n"
            f"  {LIST}: {{type: http, {options}}}\n"
            f"leaderElection: {{namespace: {NAMESPACE}, name: {LEASE}, {times}}}\n"
            f"services:\n{lines}\n",
        )

    def service(self, name: str) -> dict[str, object]:
        """Return a Service as a person applies it."""
        metadata = {"name": name, "namespace": NAMESPACE}
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"port": PORT}]},
        }

    # --- what happens --------------------------------------------------------------------------

    @contextlib.contextmanager
    def becoming(self, backend: Backend, reach: Reach) -> Iterator[None]:
        """Have the truth of a backend be so from before the block on, and that it serves after."""
        with self.lock:
            self.truth.becomes(backend.address, reach)
        try:
            yield
        finally:
            with self.lock:
                self.truth.becomes(backend.address, Reach.SERVES)

    @contextlib.contextmanager
    def without(self, backend: Backend) -> Iterator[None]:
        """Have the sources list a backend no more within the block."""
        with self.lock:
            self._absent.add(backend.address)
            self._tell()
        try:
            yield
        finally:
            with self.lock:
                self._absent.discard(backend.address)
                self._tell()

    @contextlib.contextmanager
    def in_other_form(self, served: Served) -> Iterator[None]:
        """Have a Service be published in another form within the block."""
        for publish, ends in ((OTHER_FORM[served.publish], False), (served.publish, True)):
            with self.lock:
                self.truth.changes(served.name, publish=publish)
                self._configure()
            if not ends:
                yield

    @contextlib.contextmanager
    def empty_by_mistake(self) -> Iterator[None]:
        """Have the lists be empty within the block, of what they ought to hold."""
        with self.lock:
            self._is_mistaken = True
            self._tell()
        try:
            yield
        finally:
            with self.lock:
                self._is_mistaken = False
                self._tell()

    def behave(self, behaviour: str) -> None:
        """Have the list's server hang, trickle, or (empty) answer."""
        (self.folder / "list" / "behaviour").write_text(behaviour)

    # --- what sources say ----------------------------------------------------------------------

    def _tell(self) -> None:
        said: dict[str, list[str]] = {}
        for one in (*CALM, *ROUGH):
            true = [b.address for b in self.backends[one.group] if b.address not in self._absent]
            is_lie = self._is_mistaken and one not in CALM
            said[one.group] = [] if is_lie else [f"{address}:80" for address in true]
            self.truth.lists(one.source, one.group, "all", true)
            self.truth.answered(one.source, one.group, "all", [] if is_lie else true)
        files = {one.group for one in (*CALM, *ROUGH) if one.source == FILE}
        groups = [
            {"targets": targets, "labels": {"group": group}}
            for group, targets in said.items()
            if group not in files
        ]
        self._write("list/list.json", json.dumps(groups))
        backends = {group: said[group] for group in sorted(files)}
        self._write("backends.yaml", json.dumps(backends))

    def _write(self, name: str, text: str) -> None:
        new = self.folder / f"{name}.new"
        new.write_text(text)
        new.rename(self.folder / name)


def _mapping(one: Served, publish: str) -> str:
    group = f"group: {one.group}" if one.source == FILE else f"labels: {{group: {one.group}}}"
    return (
        f"{{service: {NAMESPACE}/{one.name}, from: {{source: {one.source}, {group}}}, "
        f"publish: {publish}, health: {one.check}, confirm: {CONFIRM}}}"
    )


class Clock:
    """Seconds since the world began."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self) -> float:
        return time.monotonic() - self._began
