"""How one of several replicas is elected to write."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeaderElection:
    """The Lease by which it is elected, and its times in seconds.

    `namespace` and `name` are None where the pod's own namespace and the instance's name will do.
    With `warm_standby` a replica that doesn't lead observes and checks all the same.
    """

    namespace: str | None = None
    name: str | None = None
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    warm_standby: bool = True
