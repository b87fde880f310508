"""What users asked of the API server, from its audit log.

It must never take a line for a record before the API server has finished writing it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

# ResponseComplete only: a watch is seen once it has ended.
POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted, Panic]
rules: [{level: Metadata}]
"""
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class AuditRecord:
    """A request that the API server has answered."""

    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    timestamp: datetime
    """When the request was received."""


def records(log: Path, user: str) -> list[AuditRecord]:
    """Return what a user has asked, in the order of the answers."""
    text = log.read_text() if log.exists() else ""
    whole_lines = text[: text.rfind("\n") + 1].splitlines()
    # Most lines are of others; json is slow.
    own = (json.loads(line) for line in whole_lines if json.dumps(user) in line)
    return [_record(event) for event in own if event["user"]["username"] == user]


def _record(event: dict[str, object]) -> AuditRecord:
    target = event.get("objectRef", {})
    status = event.get("responseStatus", {})
    user = event["user"]
    assert isinstance(target, dict)
    assert isinstance(status, dict)
    assert isinstance(user, dict)
    return AuditRecord(
        user=user["username"],
        verb=str(event["verb"]),
        resource=target.get("resource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=status.get("code", 0),
        timestamp=datetime.fromisoformat(str(event["requestReceivedTimestamp"])),
    )
