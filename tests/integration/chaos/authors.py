"""Who has written what the API server has stored: from its audit log.

It must never guess without saying so: `guesses` counts the writes whose record was lost.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registrar.embedded.values import text_at
from tests.integration.chaos.history import Stored
from tests.simulation.cluster import HANDS, MIRROR, NAMESPACE

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
omitStages: [ResponseStarted, Panic]
rules:
  - level: RequestResponse
    namespaces: [shop]
    verbs: [create, update, patch, delete]
    resources:
      - {group: "", resources: [services, endpoints]}
      - {group: discovery.k8s.io, resources: [endpointslices]}
      - {group: coordination.k8s.io, resources: [leases]}
  - level: None
"""
CONTROLLERS = "kube-controller-manager"
MIRRORING = "endpointslicemirroring-controller"
OPEN_S = 30.0
"""A request that has been open for longer went with the API server that had it."""
CREATED = {"create", "update", "patch"}


@dataclass(frozen=True)
class Asked:
    """A request to write that the API server has received."""

    verb: str
    resource: str
    name: str
    by: str
    at: float


class Authors:
    """Reads the log as it grows. `replicas` are the names of users by whom registrar writes."""

    def __init__(self, log: Path, replicas: Mapping[str, str]) -> None:
        self.guesses = 0
        self._log = log
        self._replicas = replicas
        self._read = 0
        self._rest = b""
        self._by_version: dict[tuple[str, int], str] = {}
        self._by_deleted: dict[str, str] = {}
        self._open: dict[str, Asked] = {}

    def read(self) -> None:
        """Read what is new."""
        if not self._log.exists():
            return
        with self._log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def of(self, stored: Stored) -> str | None:
        """Return who wrote it, as the checker names them; None if that isn't known yet."""
        if stored.type == "DELETED":
            return self._by_deleted.pop(text_at(stored.object, "metadata", "uid"), None)
        return self._by_version.pop((stored.resource, stored.revision), None)

    def guess(self, stored: Stored) -> str | None:
        """Return who must have written it: whose request has never been answered."""
        self.guesses += 1
        long_ago = time.monotonic() - OPEN_S
        self._open = {key: asked for key, asked in self._open.items() if asked.at > long_ago}
        for key, asked in self._open.items():
            is_delete = asked.verb not in CREATED
            of_same = asked.resource == stored.resource and asked.name in {"", stored.name}
            if of_same and is_delete == (stored.type == "DELETED"):
                del self._open[key]
                return asked.by
        return None

    def _take(self, event: dict[str, Any]) -> None:
        target = event.get("objectRef") or {}
        if target.get("namespace") != NAMESPACE:
            return
        by, verb, resource = self._named(event), event["verb"], target["resource"]
        if event["stage"] == "RequestReceived":
            self._open[event["auditID"]] = Asked(
                verb, resource, target.get("name", ""), by, time.monotonic()
            )
            return
        code = (event.get("responseStatus") or {}).get("code", 0)
        if code != 504:  # the API server gave up waiting, not the one who writes
            self._open.pop(event["auditID"], None)
        if code >= 300:
            return
        answer = event.get("responseObject")
        if verb in CREATED:
            version = text_at(answer, "metadata", "resourceVersion")
            if version:
                self._by_version.setdefault((resource, int(version)), by)
        else:
            uid = text_at(answer, "metadata", "uid") or text_at(answer, "details", "uid")
            self._by_deleted[uid] = by

    def _named(self, event: Mapping[str, Any]) -> str:
        user, agent = event["user"]["username"], event.get("userAgent", "")
        if user in self._replicas:
            return self._replicas[user]
        if agent.startswith(CONTROLLERS):
            return MIRROR if agent.endswith(MIRRORING) else ""
        return HANDS
