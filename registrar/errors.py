"""Every exception that registrar raises on purpose, for callers to tell apart.

    RegistrarError
    ├── ConfigError              the configuration, or a file that it names, can't be used
    ├── RangesForbidden          the cluster's own ranges are neither given nor to be read
    ├── LeaseForbidden           the Lease that elects the leader is not to be read
    ├── NotRunning               there is no running program to ask
    ├── NoTable                  the machine's IPVS table can't be read
    ├── SourceError              a source does not know; never stands for "nothing there"
    └── ClusterError             the API server did not do what was asked
        ├── ClusterUnreachable   no answer: refused, timed out, cut off
        ├── ClusterBusy          429 or 5xx: try again, not before `retry_after`
        ├── Unauthorized         401
        ├── Forbidden            403
        ├── NamespaceTerminating 403 because the namespace is on its way out
        ├── NotFound             404
        ├── Conflict             409: what the decision was based on is no longer so
        ├── Expired              410: the resourceVersion is too old, list again
        ├── Rejected             any other 4xx: the object is refused as it is
        └── NotLeading           nothing was sent: another replica is the one that writes

A message is one line, fit for a person, and never holds a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for what is not JSON, too deep, or of another type than it should be."""


class RegistrarError(Exception):
    """The root of the tree."""


class NotRunning(RegistrarError):
    """There is no running program to ask."""


class NoTable(RegistrarError):
    """The machine's IPVS table can't be read; the message says why, and what helps."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file; `line` and `column` count from 1, None if unknown."""

    file: Path
    message: str
    remedy: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = str(self.file)
        if self.line is not None:
            place += f":{self.line}:{self.column}"
        return f"{place}: {self.message}; {self.remedy}"


class ConfigError(RegistrarError):
    """The configuration can't be used. Carries every problem found, not only the first."""

    def __init__(self, *problems: Problem) -> None:
        ordered = sorted(problems, key=lambda p: (str(p.file), p.line or 0, p.column or 0))
        super().__init__("\n".join(str(problem) for problem in ordered))
        self.problems = tuple(ordered)


class RangesForbidden(RegistrarError):
    """The cluster's own ranges are not given, and the API server doesn't let them be read."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the cluster's own ranges are not known, for this user may not list and watch {what}; "
            "grant config/rbac/ranges, or list the node, pod and Service ranges as networks.cluster"
        )


class LeaseForbidden(RegistrarError):
    """The Lease that elects the leader is not to be read."""

    def __init__(self, lease: str) -> None:
        super().__init__(
            f"no leader can be elected, for this user may not list and watch the Lease {lease}; "
            "grant config/rbac/lease in its namespace, or switch it off with "
            "`leaderElection: {enabled: false}`"
        )


class SourceError(RegistrarError):
    """The source does not know. `retry_after` (seconds): before that it is useless to ask."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClusterError(RegistrarError):
    """The API server did not do what was asked."""


class ClusterUnreachable(ClusterError):
    """No answer from the API server."""


class ClusterBusy(ClusterError):
    """The API server asks for patience. `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unauthorized(ClusterError):
    """The API server doesn't know who asks."""


class Forbidden(ClusterError):
    """The API server knows who asks, and doesn't let them."""


class NamespaceTerminating(ClusterError):
    """Nothing more can be made in the namespace, which is being deleted."""


class NotFound(ClusterError):
    """There is no such object."""


class Conflict(ClusterError):
    """The object is not, or no longer, the one that was meant."""


class Expired(ClusterError):
    """The resourceVersion is too old to continue from."""


class Rejected(ClusterError):
    """The API server refuses the request as it is; repeating it is useless."""


class NotLeading(ClusterError):
    """Nothing was sent, for another replica is the one that writes."""
