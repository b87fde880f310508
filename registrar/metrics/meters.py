"""Counts what happens and is nowhere else to be read afterwards: one value for each App.

Each method is told of one thing by whoever does it, and costs a few microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

from registrar.cluster.metered import Asked
from registrar.metrics import catalogue
from registrar.metrics.catalogue import Metric
from registrar.metrics.exposition import Sample, written_down
from registrar.resync import Order, Outcomes, State

_WRITTEN = frozenset({"endpoints", "endpointslices", "services"})
_ACTIONS = frozenset({"create", "replace", "delete"})
_RESULTS = {"none": "unanswered", "403": "forbidden", "404": "conflict", "409": "conflict"}

_WAYS = {
    "HTTP": "http",
    "the unix socket": "socket",
    "SIGUSR1": "signal",
    "the annotation": "annotation",
    "the schedule": "schedule",
}
_WORST_FIRST = (State.FAILED, State.HELD, State.CORRECTED, State.UNCHANGED)


class Meters:
    """The counters of one App, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(metric: Metric) -> Counter:
            return Counter(metric.name, metric.meaning, metric.labels, registry=registry)

        def histogram(metric: Metric) -> Histogram:
            return Histogram(
                metric.name,
                metric.meaning,
                metric.labels,
                registry=registry,
                buckets=metric.buckets,
            )

        self._leads = counter(catalogue.LEADER_TRANSITIONS)
        self._reloads = counter(catalogue.RELOADS)
        self._resyncs = counter(catalogue.RESYNCS)
        self._change = histogram(catalogue.CHANGE_TO_PUBLISHED)
        self._look = histogram(catalogue.RECONCILE_S)
        self._wait = histogram(catalogue.QUEUE_WAIT_S)
        self._questions = counter(catalogue.SOURCE_QUESTIONS)
        self._question = histogram(catalogue.SOURCE_QUESTION_S)
        self._requests = counter(catalogue.API_REQUESTS)
        self._request = histogram(catalogue.API_REQUEST_S)
        self._writes = counter(catalogue.WRITES)
        self._write = histogram(catalogue.WRITE_S)
        self._broken = counter(catalogue.WATCHES_BROKEN)
        self._is_applied = True
        self._applied_at = time.time()

    def written_down(self, samples: Iterable[Sample], accept: str) -> tuple[bytes, str]:
        """Return everything with the samples, and its content type. Call it in a thread."""
        return written_down(self._registry, samples, accept)

    def own_samples(self) -> tuple[Sample, ...]:
        """Return what is known here and is no count."""
        return (
            Sample(catalogue.CONFIG_APPLIED, self._is_applied),
            Sample(catalogue.CONFIG_APPLIED_AT, self._applied_at),
        )

    def lead_changed(self, *, leads: bool) -> None:
        """Count that this replica leads from now on, or stands by."""
        self._leads.labels("leading" if leads else "standing-by").inc()

    def reloaded(self, outcome: str) -> None:
        """Count what came of a change of the configuration file."""
        self._reloads.labels(outcome).inc()
        self._is_applied = outcome == "applied"
        if self._is_applied:
            self._applied_at = time.time()

    def resynced(self, order: Order, found: Outcomes) -> None:
        """Count a resync by the worst that came of it."""
        states = {one.state for one in found.values()} or {State.UNCHANGED}
        worst = next(state for state in _WORST_FIRST if state in states)
        way = next((way for said, way in _WAYS.items() if order.by.startswith(said)), "other")
        self._resyncs.labels(way, worst.value).inc()

    def waited(self, seconds: float) -> None:
        """Count for how long a Service has waited for its look."""
        self._wait.observe(seconds)

    def looked(self, seconds: float) -> None:
        """Count how long a look at a Service has taken."""
        self._look.observe(seconds)

    def published_after(self, seconds: float) -> None:
        """Count how long a change has taken to be published."""
        self._change.observe(seconds)

    def questioned(self, source: str, result: str, seconds: float) -> None:
        """Count a question to a source."""
        self._questions.labels(source, result).inc()
        self._question.labels(source).observe(seconds)

    def asked(self, one: Asked) -> None:
        """Count a request to the API server."""
        self._requests.labels(one.verb, one.resource, one.code).inc()
        self._request.labels(one.verb, one.resource).observe(one.seconds)
        if one.resource in _WRITTEN and one.verb in _ACTIONS:
            self._writes.labels(one.resource, one.verb, _result(one.code)).inc()
            self._write.labels(one.resource).observe(one.seconds)

    def watch_broken(self, resource: str) -> None:
        """Count a watch that has ended with an error."""
        self._broken.labels(resource).inc()


def _result(code: str) -> str:
    if code.startswith("2"):
        return "written"
    if code == "429" or code.startswith("5"):
        return "busy"
    return _RESULTS.get(code, "rejected")
