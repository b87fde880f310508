"""Writes metrics down as whoever asks wants them: in Prometheus' own format, or OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from registrar.metrics.catalogue import Kind, Metric


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, with the values of the metric's labels in their order."""

    metric: Metric
    value: float
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


_Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily


def _families(samples: Iterable[Sample]) -> Mapping[Metric, _Family]:
    found: dict[Metric, _Family] = {}
    for sample in samples:
        metric = sample.metric
        family = found.get(metric)
        if family is None:
            make: type[_Family] = (
                CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            )
            family = found[metric] = make(metric.name, metric.meaning, labels=metric.labels)
        family.add_metric(sample.labels, sample.value)
    return found
