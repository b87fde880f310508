"""What config/ has for Prometheus and Grafana fits the metrics that there are."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from registrar.metrics import catalogue
from registrar.metrics.catalogue import Kind
from registrar.model import Outcome
from tests.embedded_program import checked, embedded_program
from tests.lab import parts

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "prometheus" / "rules.yaml"
CASES = Path(__file__).with_name("alerts.yaml")
DASHBOARD = ROOT / "config" / "grafana" / "dashboard.json"
CONFIGURATION = """
instance: office
sources: {racks: {type: static, files: [racks.yaml]}}
services:
  - {service: shop/web, from: {source: racks}, create: {port: 80}}
"""


@pytest.fixture(scope="module", autouse=True)
def _promtool() -> None:
    parts.require({"promtool": "prometheus"})


def promtool(*arguments: str | Path, given: str = "") -> str:
    done = subprocess.run(
        ["promtool", *arguments], check=False, capture_output=True, text=True, input=given
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def test_the_rules_are_rules() -> None:
    promtool("check", "rules", RULES)


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", CASES)
    tests = yaml.safe_load(CASES.read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {alert["alert"] for alert in alerts()}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names


async def test_a_real_scrape_pleases_promtool(tmp_path: Path) -> None:
    (tmp_path / "racks.yaml").write_text("web: [10.20.1.1:80]")
    engine = checked(lambda _: Outcome.PASSED)
    async with embedded_program(tmp_path, CONFIGURATION, engine) as program:
        await program.wait_for_sample("registrar_change_to_published_seconds_count")
        scraped = (await program.get("/metrics")).text
    assert promtool("check", "metrics", given=scraped) == ""


def test_every_alert_has_a_runbook_that_exists() -> None:
    for alert in alerts():
        page, _, anchor = alert["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
        assert anchor in [heading.lower().replace(" ", "-") for heading in headings], alert["alert"]


def test_every_alert_and_every_panel_asks_for_metrics_that_exist() -> None:
    there = set()
    for one in catalogue.ALL:
        ends = ("_bucket", "_sum", "_count") if one.kind is Kind.HISTOGRAM else ("",)
        there |= {one.name + end for end in ends}
    asked = {name for query in queries() for name in re.findall(r"\bregistrar_\w+", query)}
    assert asked <= there
    # What the dashboard shows nothing of, nobody looks at.
    shown = {name for query in panels() for name in re.findall(r"\bregistrar_\w+", query)}
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    assert names | {"registrar_ready"} == {one.name for one in catalogue.ALL}


def test_every_query_is_one_that_prometheus_reads(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", file)


def queries() -> Iterator[str]:
    yield from (alert["expr"] for alert in alerts())
    yield from panels()


def panels() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
