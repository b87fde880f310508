"""The page on metrics, docs/metrics.md, made of the catalogue."""

from __future__ import annotations

from registrar.metrics.catalogue import ALL, LABELS, Kind, Metric

HEAD = """\
# Metrics

<!-- Made by `make docs` of registrar/metrics/catalogue.py: change it there. -->

`GET /metrics` at `admin.listen` answers in Prometheus' format, or in OpenMetrics where that is
asked for. It needs no token, and says nothing that has to be kept secret: names of Services and
sources, and numbers.

[config/prometheus/rules.yaml](../config/prometheus/rules.yaml) has alerts on them, each with what
to do in [operations.md](operations.md#alerts), and
[config/grafana/dashboard.json](../config/grafana/dashboard.json) a dashboard. Every replica has
metrics of its own. One that stands by tells what it knows as well, but writes nothing: where that
matters, ask for `and on (job, instance) registrar_leader == 1`.

With 10,000 Services, `registrar_backends` and `registrar_hold` are nearly all there is: a series
for each Service, and one for each verdict and each Hold it has besides. All others stay as few as
the sources and the labels' values are. Where that is too much, drop the two when scraping
(`metric_relabel_configs`): `registrar_services_held` and `registrar_endpoints` have the sums.

"""


def page() -> str:
    """Return the page."""
    labels = "".join(f"| `{name}` | {LABELS[name]} |\n" for name in sorted(LABELS))
    return (
        f"{HEAD}"
        "| metric and labels | type, unit | meaning | when it is odd |\n|---|---|---|---|\n"
        f"{''.join(map(_row, ALL))}\n"
        "A histogram has `_bucket`, `_sum` and `_count` beside its name; `process_*` are those of "
        "every\nPrometheus client: CPU, memory, descriptors, start.\n\n"
        "## Labels\n\n"
        f"| label | values |\n|---|---|\n{labels}"
    )


def _row(one: Metric) -> str:
    labels = f" {{{', '.join(one.labels)}}}" if one.labels else ""
    unit = f", {one.unit}" if one.unit != "count" or one.kind is Kind.HISTOGRAM else ""
    return f"| `{one.name}{labels}` | {one.kind.value}{unit} | {one.meaning} | {one.odd} |\n"
