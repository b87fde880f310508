"""Several replicas of one site, each a process and a user of its own, so that the audit tells them.

It must never give one of them more than the shipped Roles do.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.integration.site import CLUSTER_ROLE, LEASE_ROLE, ROLE, Run, Site
from tests.lab import AuditRecord, wait_for

LEASE = "registrar-default"
PATIENCE_S = 30.0


@dataclass
class Replica:
    """One replica: its user of the cluster, and the process that runs now."""

    site: Site
    user: str
    runs: list[Run] = field(default_factory=list)

    @property
    def run(self) -> Run:
        return self.runs[-1]

    def start(self, kubeconfig: Path | None = None) -> Run:
        """Start a process, by default on the straight way to the API server."""
        way = kubeconfig or self.site.lab.kubeconfig(self.user)
        self.runs.append(self.site.start("--kubeconfig", way))
        self.run.wait_for_line("running")
        return self.run

    def freeze(self) -> None:
        """Send SIGSTOP: it is there, and does nothing."""
        self.run.process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self.run.process.pid}/stat")
        wait_for(lambda: _state(stat) == "T", PATIENCE_S, "a frozen process")

    def thaw(self) -> None:
        """Send SIGCONT."""
        os.kill(self.run.process.pid, signal.SIGCONT)

    @property
    def leads(self) -> bool:
        """Whether the process says that it leads."""
        said = [line["event"] for line in self.run.lines() if line["event"] in _LEADING]
        return self.run.is_running and said[-1:] == ["leading"]

    def writes(self, resource: str = "") -> list[AuditRecord]:
        """Return what it has written, or tried to: of one resource, or all that is published."""
        unpublished = {"events", "leases"}
        found = self.site.lab.writes(self.user)
        return [
            w
            for w in found
            if w.resource == resource or not (resource or w.resource in unpublished)
        ]


_LEADING = {"leading", "lead-lost", "standing-by", "lease-released"}


class Replicas:
    """The replicas of a site, whose configuration names the site's namespace for the Lease."""

    def __init__(self, site: Site, count: int) -> None:
        self.site = site
        self.all = [Replica(site, self._user()) for _ in range(count)]

    def start(self) -> None:
        """Start all of them, and wait until one leads."""
        for replica in self.all:
            replica.start()
        self.leader()

    def leader(self, besides: Sequence[Replica] = (), timeout: float = PATIENCE_S) -> Replica:
        """Return who leads, once somebody does, `besides` those."""
        others = [replica for replica in self.all if replica not in besides]

        def look() -> Replica | None:
            return next((one for one in others if one.runs and one.leads), None)

        found = wait_for(look, timeout, "a leader")
        assert found is not None
        return found

    def lease(self) -> dict[str, Any]:
        """Return the spec of the Lease."""
        found = self.site.get("apis/coordination.k8s.io/v1", "leases", LEASE)
        assert found is not None
        spec: dict[str, Any] = found["spec"]
        return spec

    def acquired_at(self) -> datetime:
        """Return when the Lease was last acquired."""
        return datetime.fromisoformat(self.lease()["acquireTime"])

    def writes(self) -> list[AuditRecord]:
        """Return what all of them have written, or tried to, besides the Lease and Events."""
        return [write for replica in self.all for write in replica.writes()]

    def _user(self) -> str:
        user = self.site.lab.new_user()
        for role in (ROLE, CLUSTER_ROLE, LEASE_ROLE):
            self.site.lab.grant(user, role, self.site.namespace)
        return user


def election(site: Site, **times: str) -> str:
    """Return the section of the configuration, with times other than the defaults."""
    said = "".join(f", {name}: {value}" for name, value in times.items())
    return f"leaderElection: {{namespace: {site.namespace}{said}}}\n"


def _state(stat: Path) -> str:
    # The third field of proc(5)'s stat, after a name that may hold anything.
    return stat.read_text().rpartition(")")[2].split()[0]
