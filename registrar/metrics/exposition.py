"""Writes metrics down as whoever asks wants them: in Prometheus' own format, or OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from registrar.counts import Durations
from registrar.metrics.catalogue import Kind, Metric


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, or histogram, with the values of the metric's labels in their order."""

    metric: Metric
    value: float | Durations
    labels: tuple[str, ...] = ()


def written_down(
    registry: CollectorRegistry, samples: Iterable[Sample], accept: str
) -> tuple[bytes, str]:
    """Return what a registry and the samples say, and its content type, as `accept` asks.

    It takes a while with many samples: it is to be called in a thread.
    """
    encode, content_type = choose_encoder(accept)
    return encode(_Everything(registry, samples)), content_type


class _Everything(Collector):
    """What the registry counts, and the samples."""

    def __init__(self, registry: CollectorRegistry, samples: Iterable[Sample]) -> None:
        self._registry = registry
        self._samples = samples

    def collect(self) -> Iterator[Family]:
        for family in self._registry.collect():
            # When a counter began is of no use here, and doubles what there is to read.
            family.samples = [one for one in family.samples if not one.name.endswith("_created")]
            yield family
        yield from _families(self._samples).values()


_Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_KINDS: Mapping[Kind, type[_Family]] = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}


def _families(samples: Iterable[Sample]) -> Mapping[Metric, _Family]:
    found: dict[Metric, _Family] = {}
    for sample in samples:
        metric = sample.metric
        family = found.get(metric)
        if family is None:
            make = _KINDS[metric.kind]
            family = found[metric] = make(metric.name, metric.meaning, labels=metric.labels)
        value = sample.value
        if isinstance(family, HistogramMetricFamily):
            if isinstance(value, Durations):
                family.add_metric(sample.labels, _cumulated(value), value.total)
        elif not isinstance(value, Durations):
            family.add_metric(sample.labels, value)
    return found


def _cumulated(durations: Durations) -> list[tuple[str, float]]:
    bounds = [*map(floatToGoString, durations.bounds), "+Inf"]
    return list(zip(bounds, accumulate(durations.counts), strict=True))
