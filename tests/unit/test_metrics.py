"""The metrics as a scrape sees them, of a program that runs; and that docs/metrics.md is theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registrar.metrics import catalogue
from registrar.metrics.page import page
from registrar.model import Outcome, Target
from tests.embedded_program import EmbeddedProgram, checked, embedded_program

DOCS = Path(__file__).parents[2] / "docs"

CONFIGURATION = """
instance: office
sources:
  racks: {type: static, files: [racks.yaml]}
  lost: {type: static, files: [missing.yaml]}
defaults: {health: {type: tcp, interval: 100ms, timeout: 50ms, rise: 1, fall: 1}}
services:
  - service: shop/web
    from: {source: racks, group: web}
    create: {port: 80}
  - service: shop/held
    from: {source: lost}
    create: {port: 80}
  - service: shop/frozen
    from: {source: racks, group: web}
    create: {port: 80}
    paused: true
  - service: shop/plain
    from: {source: racks, group: plain}
    health: {type: none}
    create: {port: 80}
"""
RACKS = """
web: [10.20.1.1:80, 10.20.1.2:80, 127.0.0.9:80]
plain: [10.20.2.1:80]
"""


class Backends:
    """Which backends are dead."""

    def __init__(self) -> None:
        self.dead: set[str] = set()

    def outcome(self, target: Target) -> Outcome:
        return Outcome.FAILED if str(target.address) in self.dead else Outcome.PASSED


@pytest.fixture
def backends() -> Backends:
    return Backends()


@pytest.fixture
async def program(tmp_path: Path, backends: Backends) -> AsyncIterator[EmbeddedProgram]:
    (tmp_path / "racks.yaml").write_text(RACKS)
    async with embedded_program(tmp_path, CONFIGURATION, checked(backends.outcome)) as made:
        await made.wait_for_sample('registrar_services{state="held"}', 2)
        await made.wait_for_sample('registrar_services{state="in-place"}', 2)
        yield made


async def test_services_are_told_by_state_hold_and_verdict(program: EmbeddedProgram) -> None:
    found = await program.metrics()
    assert found['registrar_services_held{reason="source-unknown"}'] == 1
    assert found['registrar_services_held{reason="paused"}'] == 1
    assert found['registrar_services_held{reason="contested"}'] == 0
    assert found['registrar_hold{reason="source-unknown",service="shop/held"}'] == 1
    assert not any("registrar_hold" in name and "shop/web" in name for name in found)
    assert found['registrar_backends{service="shop/web",verdict="up"}'] == 2
    assert found['registrar_backends{service="shop/plain",verdict="unchecked"}'] == 1
    assert found['registrar_endpoints{state="ready"}'] == 3
    assert found['registrar_dropped_backends{reason="not-publishable"}'] >= 1


async def test_a_backend_that_dies_is_told_and_how_long_it_took(
    program: EmbeddedProgram, backends: Backends
) -> None:
    before = await program.metrics()
    backends.dead.add("10.20.1.2")
    found = await program.wait_for_sample('registrar_endpoints{state="not-ready"}')
    assert found['registrar_backends{service="shop/web",verdict="down"}'] == 1
    assert found['registrar_verdict_transitions_total{to="down"}'] == 1
    assert found['registrar_checks_total{outcome="failed",type="tcp"}'] >= 1
    wrote = 'registrar_writes_total{action="replace",kind="endpointslices",result="written"}'
    assert found[wrote] - before.get(wrote, 0) == 1
    told = "registrar_change_to_published_seconds_count"
    assert found[told] - before[told] == 1


async def test_sources_are_told_by_what_they_know(program: EmbeddedProgram) -> None:
    found = await program.metrics()
    assert found['registrar_source_parts{source="lost",state="unknown"}'] == 1
    assert found['registrar_source_parts{source="racks",state="known"}'] == 2
    assert found['registrar_source_backends{source="racks"}'] == 4
    assert found['registrar_source_answer_age_seconds{source="racks"}'] >= 0
    assert 'registrar_source_answer_age_seconds{source="lost"}' not in found
    assert found['registrar_source_questions_total{result="answered",source="racks"}'] >= 2
    assert found['registrar_source_questions_total{result="failed",source="lost"}'] >= 1


async def test_the_program_itself_is_told(program: EmbeddedProgram) -> None:
    found = await program.metrics()
    assert found["registrar_leader"] == found["registrar_ready"] == 1
    assert found["registrar_config_applied"] == 1
    assert found["registrar_queue_length"] == found["registrar_queue_age_seconds"] == 0
    assert found["registrar_reconcile_duration_seconds_count"] >= 4
    assert found['registrar_watches{resource="services",state="heard"}'] == 1
    assert found['registrar_watches{resource="services",state="unheard"}'] == 0
    assert found['registrar_api_requests_total{code="200",resource="services",verb="list"}'] == 1
    assert found["process_resident_memory_bytes"] > 0
    (build,) = [name for name in found if name.startswith("registrar_build_info")]
    assert 'version="' in build


async def test_a_file_that_is_not_applied_is_told_until_it_is(
    program: EmbeddedProgram, tmp_path: Path
) -> None:
    file = tmp_path / "registrar.yaml"
    right = file.read_text()
    applied_at = (await program.metrics())["registrar_config_applied_timestamp_seconds"]
    file.write_text("services: 7\n")
    await program.wait_for_sample('registrar_reloads_total{outcome="failed"}')
    found = await program.metrics()  # in one answer, gauges are a moment older than counters
    assert found["registrar_config_applied"] == 0
    assert found["registrar_config_applied_timestamp_seconds"] == applied_at
    file.write_text(right)
    found = await program.wait_for_sample("registrar_config_applied")
    assert found['registrar_reloads_total{outcome="applied"}'] == 1
    assert found["registrar_config_applied_timestamp_seconds"] > applied_at


async def test_a_resync_is_told_by_its_way_and_its_worst_outcome(program: EmbeddedProgram) -> None:
    for service in ("shop/web", "shop/held"):
        answer = await program.client.post("/resync", json={"services": [service]})
        assert answer.status_code == 200
    found = await program.metrics()
    assert found['registrar_resyncs_total{outcome="unchanged",way="socket"}'] == 1
    assert found['registrar_resyncs_total{outcome="held",way="socket"}'] == 1


async def test_a_change_of_the_lead_is_told(program: EmbeddedProgram) -> None:
    program.app.lead_changed()
    found = await program.metrics()
    assert found['registrar_leader_transitions_total{to="leading"}'] == 1


async def test_both_formats_are_spoken(program: EmbeddedProgram) -> None:
    plain = await program.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    openmetrics = await program.get("/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


async def test_every_metric_is_in_the_catalogue(program: EmbeddedProgram) -> None:
    """And none has a label, or for a bounded one a number of values, that it doesn't allow for."""
    answer = await program.get("/metrics")
    types = dict(
        line.removeprefix("# TYPE ").split(" ")
        for line in answer.text.splitlines()
        if line.startswith("# TYPE registrar_")
    )
    assert types == {one.name: one.kind.value for one in catalogue.ALL}


async def test_scrapes_at_the_same_time_are_all_answered(program: EmbeddedProgram) -> None:
    answers = await asyncio.gather(*(program.get("/metrics") for _ in range(5)))
    assert all(answer.text.count("# TYPE registrar_leader gauge") == 1 for answer in answers)


def test_the_page_is_made_of_the_catalogue() -> None:
    made = page()
    assert (DOCS / "metrics.md").read_text() == made, "docs/metrics.md is old: `make docs`"


def test_every_label_is_explained() -> None:
    used = {label for one in catalogue.ALL for label in one.labels}
    assert used == catalogue.LABELS.keys()
