"""What the API server has stored, change by change, as etcd tells it: in order, and without a gap.

It must never lose a version of an object, whatever becomes of the API server or of etcd.
"""

from __future__ import annotations

import json
import subprocess
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Self

from registrar.embedded.values import Object
from tests.lab import Lab
from tests.lab.control_plane import ETCD
from tests.simulation.cluster import NAMESPACE

AS_JSON = "--storage-media-type=application/json"
"""The flag of the API server that makes what it stores legible."""

AGAIN_S = 0.1
RESOURCES = {
    f"/registry/{path}/{NAMESPACE}/": resource
    for path, resource in {
        "services/specs": "services",
        "services/endpoints": "endpoints",
        "endpointslices": "endpointslices",
        "leases": "leases",
    }.items()
}


@dataclass(frozen=True)
class Stored:
    """A change of an object: `object` is what it is now, or was last; `at` when it was heard of."""

    revision: int
    at: float
    type: str
    resource: str
    name: str
    object: Object
    before: Object | None


class History:
    """Follows etcd from the first revision on, within the block."""

    def __init__(self, lab: Lab) -> None:
        self.heard: SimpleQueue[Stored] = SimpleQueue()
        self.revision = 0
        self.gap = ""
        """Why something may be missing, empty if nothing is."""
        self._lab = lab
        self._ended = Event()
        self._curl: subprocess.Popen[bytes] | None = None
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._curl is not None:
            self._curl.kill()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._follow()
        except BaseException as error:  # noqa: BLE001  whatever it is, changes are missed
            self.gap = f"the history is read no more: {error!r}"

    def _follow(self) -> None:
        while not self._ended.wait(AGAIN_S) and not self.gap:
            argv = ["curl", "-sN", "-d", _question(self.revision + 1), f"{ETCD}/v3/watch"]
            self._curl = self._lab.spawn(argv, stdout=subprocess.PIPE)
            assert self._curl.stdout is not None
            for line in self._curl.stdout:
                # One that broke off is told again.
                if line.endswith(b"\n") and not self._take(json.loads(line)):
                    break
            self._curl.kill()
            self._curl.wait()

    def _take(self, answer: Mapping[str, Any]) -> bool:
        result = answer.get("result")
        if result is None or result.get("canceled"):
            if result and int(result.get("compact_revision", 0)) > self.revision:
                self.gap = f"etcd has forgotten what came after {self.revision}: {result}"
            return False
        at = time.monotonic()
        for event in result.get("events", ()):
            revision = int(event["kv"]["mod_revision"])
            if revision < self.revision:
                self.gap = f"etcd tells of {revision} after {self.revision}"
            for stored in _stored(event, revision, at):
                if (stored.before is None) != (event["kv"].get("version") == "1"):
                    self.gap = f"etcd doesn't say what {stored.name} was before {revision}"
                self.heard.put(stored)
            self.revision = revision
        return True


def _question(revision: int) -> str:
    first, last = (b64encode(key).decode() for key in (b"/registry/", b"/registry0"))
    wanted = {"key": first, "range_end": last, "start_revision": str(revision), "prev_kv": True}
    return json.dumps({"create_request": wanted})


def _stored(event: Mapping[str, Any], revision: int, at: float) -> Iterator[Stored]:
    key = b64decode(event["kv"]["key"]).decode()
    resource = next((kind for start, kind in RESOURCES.items() if key.startswith(start)), None)
    if resource is None:
        return
    before = _object(event.get("prev_kv"))
    name = key.rpartition("/")[2]
    if event.get("type") == "DELETE":
        yield Stored(revision, at, "DELETED", resource, name, before or {}, before)
    else:
        type_ = "ADDED" if before is None else "MODIFIED"
        yield Stored(revision, at, type_, resource, name, _object(event["kv"]) or {}, before)


def _object(pair: Mapping[str, Any] | None) -> Object | None:
    found: Object | None = None if pair is None else json.loads(b64decode(pair["value"]))
    return found
