"""Every metric: its name, type, labels and meaning, and what to do when it is odd.

docs/metrics.md is made of this. A label has few values, but for `service` and `source`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """What Prometheus calls the type of a metric."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `name` is as queries write it; `odd`: what an odd value means, and what to do.

    `buckets` are the upper bounds of a histogram.
    """

    name: str
    kind: Kind
    meaning: str
    odd: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def unit(self) -> str:
        """What it counts in: the name says it where it is a physical one."""
        return "seconds" if "_seconds" in self.name else "count"


LABELS = {
    "action": "`create`, `replace`, `delete`",
    "code": "the status of HTTP, or `none` where no answer came",
    "kind": "`endpoints`, `endpointslices`, `services`",
    "outcome": "what came of it; the metric says which there are",
    "python": "the version of Python",
    "reason": "a hold reason of [operations.md](operations.md), or what the metric says",
    "resource": "the kind of object, in the API server's plural",
    "result": "what came of it; the metric says which there are",
    "service": "NAMESPACE/NAME of a mapped Service",
    "source": "the name of a source in the configuration",
    "state": "the metric says which there are",
    "to": "what it became",
    "type": "the type of health check: `tcp`, `http`, `https`, `grpc`, `udp`",
    "verb": "`get`, `list`, `watch`, `create`, `replace`, `merge`, `delete`",
    "verdict": "`up`, `down`, `unknown`, `unchecked`",
    "version": "the version of registrar",
    "way": "`socket`, `http`, `signal`, `annotation`, `schedule`, `other`",
}

PER_SERVICE_S = (0.005, 0.025, 0.1, 0.5, 2.5)
"""Few, for each Service has one."""
LATENESS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLOW_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def _gauge(name: str, labels: tuple[str, ...], meaning: str, odd: str) -> Metric:
    return Metric(f"registrar_{name}", Kind.GAUGE, meaning, odd, labels)


def _counter(name: str, labels: tuple[str, ...], meaning: str, odd: str) -> Metric:
    return Metric(f"registrar_{name}_total", Kind.COUNTER, meaning, odd, labels)


def _seconds(
    name: str, labels: tuple[str, ...], buckets: tuple[float, ...], meaning: str, odd: str
) -> Metric:
    name = f"registrar_{name}_seconds"
    return Metric(name, Kind.HISTOGRAM, meaning, odd, labels, buckets)


# --- the program -----------------------------------------------------------------------------

BUILD_INFO = _gauge(
    "build_info",
    ("version", "python"),
    "1; the labels say what runs",
    "Two versions for long: an update has stopped halfway.",
)
READY = _gauge(
    "ready",
    (),
    "1 once all that the cluster holds has been listed",
    "0: nothing is decided yet for some Services. Look for `cluster-unheard` in the log.",
)
LEADER = _gauge(
    "leader",
    (),
    "1 on the replica that writes, 0 on those that stand by",
    "The sum over all replicas is 1. 0: nothing is written; look for `not-elected`.",
)
LEADER_TRANSITIONS = _counter(
    "leader_transitions",
    ("to",),
    "How often this replica became `leading` or `standing-by`",
    "It grows though nothing restarts: the API server answers too late to renew the Lease.",
)
CONFIG_APPLIED = _gauge(
    "config_applied",
    (),
    "1 while what the configuration file says is in force",
    "0: `reload-failed` or `reload-held` in the log says why; what was in force before stays so.",
)
CONFIG_APPLIED_AT = _gauge(
    "config_applied_timestamp_seconds",
    (),
    "When the configuration in force was applied, in seconds since 1970",
    "It says whether a change has arrived on each replica.",
)
RELOADS = _counter(
    "reloads",
    ("outcome",),
    "Changes of the configuration file: `applied`, `failed`, `held`",
    "As `registrar_config_applied`.",
)
RESYNCS = _counter(
    "resyncs",
    ("way", "outcome"),
    "Resyncs by the worst outcome of their Services: `unchanged`, `corrected`, `held`, `failed`",
    "`corrected` of the schedule again and again: somebody else changes what is published.",
)
EVENTS_DROPPED = _counter(
    "events_dropped",
    (),
    "Kubernetes Events that were too many to write",
    "A burst is usual in an outage; the log has what the Events lack.",
)

# --- Services --------------------------------------------------------------------------------

SERVICES = _gauge(
    "services",
    ("state",),
    "Mapped Services: `in-place`, `changing`, `held`, `waiting` (not looked at yet)",
    "`held`: see `registrar_services_held`. `waiting` for long: see `registrar_ready`.",
)
SERVICES_HELD = _gauge(
    "services_held",
    ("reason",),
    "Services that are held, in whole or in part, by reason; one may have several",
    "The table of hold reasons in operations.md says what to do for each.",
)
HOLD = _gauge(
    "hold",
    ("service", "reason"),
    "1 while a Service is held for that reason; absent when it is not",
    "The table of hold reasons in operations.md says what to do for each.",
)
BACKENDS = _gauge(
    "backends",
    ("service", "verdict"),
    "Backends of a Service by verdict; `up` is always there, the others where there are some",
    "`up` is 0 and there are others: everything of the Service is down, or nothing is known.",
)
ENDPOINTS = _gauge(
    "endpoints",
    ("state",),
    "Endpoints that ought to be published, of all Services: `ready`, `not-ready`, `draining`",
    "A sudden drop of `ready`: see verdicts and sources.",
)
DROPPED_BACKENDS = _gauge(
    "dropped_backends",
    ("reason",),
    "Backends that a source lists and that are not published: `not-publishable` (the address must "
    "not be), `no-port`",
    "`backend-dropped` in the log names them; networks.md says what is never published.",
)
CHANGE_TO_PUBLISHED = _seconds(
    "change_to_published",
    (),
    SLOW_S,
    "From a source's answer or a verdict to the end of the write that brings it to the nodes",
    "Above a second for a single change: see the API server's latency and the queue.",
)

# --- the loop --------------------------------------------------------------------------------

RECONCILE_S = _seconds(
    "reconcile_duration",
    (),
    FAST_S,
    "How long one look at a Service takes, its writes included; the count is that of all looks",
    "Slow: see `registrar_write_duration_seconds`.",
)
QUEUE_WAIT_S = _seconds(
    "queue_wait",
    (),
    FAST_S,
    "How long a Service whose time has come waits for its look",
    "Seconds: more changes than can be written. See the API server, and its limits.",
)
QUEUE_LENGTH = _gauge(
    "queue_length",
    (),
    "Services whose time has come and that nobody looks at yet",
    "It stays high: as `registrar_queue_wait_seconds`.",
)
QUEUE_AGE = _gauge(
    "queue_age_seconds",
    (),
    "For how long the oldest of them has waited, 0 if there is none",
    "It grows without end: the loop stands still. Restart, and report it with the log.",
)

# --- sources ---------------------------------------------------------------------------------

SOURCE_QUESTIONS = _counter(
    "source_questions",
    ("source", "result"),
    "Questions to sources, polls alone: `answered`, `failed`, `timed-out`",
    "`source-unknown` in the log has the reason. What is published stays.",
)
SOURCE_QUESTION_S = _seconds(
    "source_question_duration",
    ("source",),
    SLOW_S,
    "How long a source takes to answer or to fail",
    "Near the source's `timeout`: it is slow, or the network is.",
)
SOURCE_ANSWER_AGE = _gauge(
    "source_answer_age_seconds",
    ("source",),
    "Age of the oldest last good answer among the parts of a source; absent before the first",
    "More than some intervals: that part is unknown; the status names it.",
)
SOURCE_PARTS = _gauge(
    "source_parts",
    ("source", "state"),
    "Parts of a source: `known`, `unknown` (the last question failed), `waiting` (none answered "
    "yet). A query whose parts are not known counts as one that is `unknown`",
    "`unknown`: mend what `source-unknown` names in the log. What is published stays.",
)
SOURCE_BACKENDS = _gauge(
    "source_backends",
    ("source",),
    "Backends in the last good answers of a source",
    "0, or a sudden drop: is it true? Removals of much are confirmed first.",
)
SOURCE_DROPPED = _gauge(
    "source_dropped_records",
    ("source",),
    "Records in the last good answers of a source that can't be used",
    "`record-dropped` in the log names them and says why.",
)

# --- health ----------------------------------------------------------------------------------

TARGETS = _gauge(
    "check_targets",
    (),
    "What is checked: address, port and check; Services that ask the same share one",
    "It says what a check's cost is multiplied by.",
)
CHECKS = _counter(
    "checks",
    ("type", "outcome"),
    "Health checks: `passed`, `failed`, `silent` (no answer in time, no way there), `unknown` "
    "(could not be run)",
    "`unknown`: see `registrar_checks_not_run`.",
)
CHECK_S = _seconds(
    "check_duration",
    ("service",),
    PER_SERVICE_S,
    "How long a check takes that got an answer of any kind; to 7 ms where there are many",
    "Near the check's `timeout`: backends are slow, or registrar has too little CPU.",
)
CHECK_LATENESS = _seconds(
    "check_lateness",
    (),
    LATENESS_S,
    "How long after it was due a check begins",
    "More than 25 ms: registrar has too little CPU for so many checks.",
)
CHECKS_NOT_RUN = _gauge(
    "checks_not_run",
    (),
    "Targets whose last check could not be run, for want of something of our own",
    "`checks-not-run` in the log has the reason: descriptors, permissions, no route.",
)
VERDICTS = _counter(
    "verdict_transitions",
    ("to",),
    "Turns of a verdict to `up`, `down` or `unknown`",
    "Steadily many: backends flap. Look at `verdict` in the log, raise `rise` and `fall`.",
)
SELF_PRESERVATION = _gauge(
    "self_preservation",
    (),
    "1 while the silence of backends is taken for a fault of our own",
    "1: look at the network of registrar itself; refusals and wrong answers still count.",
)

# --- the API server --------------------------------------------------------------------------

API_REQUESTS = _counter(
    "api_requests",
    ("verb", "resource", "code"),
    "Requests to the API server by its answer",
    "429: it asks for patience. 403: a right is missing. `none`: it did not answer.",
)
API_REQUEST_S = _seconds(
    "api_request_duration",
    ("verb", "resource"),
    FAST_S,
    "How long the API server takes to answer; for a watch, to begin",
    "Slow for all verbs: the API server or etcd is.",
)
WRITES = _counter(
    "writes",
    ("kind", "action", "result"),
    "Writes of what is published: `written`, `conflict` (it was not as it is known, and is read "
    "again), `forbidden`, `rejected`, `busy` (429 or 5xx), `unanswered`",
    "A few conflicts are usual. The rest: the Holds `forbidden`, `rejected`, "
    "`cluster-unreachable`.",
)
WRITE_S = _seconds(
    "write_duration",
    ("kind",),
    FAST_S,
    "How long the API server takes to answer a write of what is published",
    "Slow: admission webhooks on that kind, or etcd.",
)
WATCHES = _gauge(
    "watches",
    ("resource", "state"),
    "What is watched of the cluster, one per kind and namespace: `heard`, `unheard`",
    "`unheard`: what is known of the cluster may be old; `cluster-unheard` in the log says why.",
)
WATCHES_BROKEN = _counter(
    "watches_broken",
    ("resource",),
    "Watches that ended with an error and not at their time; each is made again",
    "Steadily: something between cuts long connections, a proxy with a short timeout.",
)

ALL: tuple[Metric, ...] = tuple(one for one in list(globals().values()) if isinstance(one, Metric))
