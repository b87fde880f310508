"""Control characters in what others say: they move no cursor, wherever they are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from registrar import cli as program
from registrar.difference import Change, Difference
from registrar.errors import ClusterError
from registrar.metrics.catalogue import Kind, Metric
from registrar.metrics.exposition import Sample, written_down
from registrar.output import print_differences
from registrar.status import HoldStatus
from tests.fakes import pass_time
from tests.unit.test_events import world
from tests.unit.test_status_command import EVERYTHING, PART, WEB, Fixed, asked

EVIL = "web\x1b[2J\x1b]0;title\x07\x9b1A\r\x7f\u2028\u202e\x00<script>[/bold]"


def is_tame(text: str) -> bool:
    return all(one.isprintable() for line in text.split("\n") for one in line)


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
@pytest.mark.parametrize("more", [[], ["shop/web"], ["--watch", "--for", "100ms"]])
def test_status_moves_no_cursor(tmp_path: Path, output: str, more: list[str]) -> None:
    backend = replace(WEB.backends[0], reason=EVIL)
    hold = HoldStatus(reason="source-unknown", detail=EVIL)
    web = replace(WEB, holds=(hold,), notices=(EVIL,), dropped=(EVIL,), backends=(backend,))
    source = replace(EVERYTHING.sources[1], parts=(replace(PART, name=EVIL, error=EVIL),))
    said = replace(EVERYTHING, services=(web,), sources=(source,), leader=EVIL, leads=False)
    done = asked(Fixed(said), tmp_path / "socket", "status", *more, "-o", output)
    assert "web" in done.stdout
    assert is_tame(done.stdout), repr(done.stdout)


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_plan_moves_no_cursor(capsys: pytest.CaptureFixture[str], output: str) -> None:
    change = Change("+", EVIL, EVIL, EVIL)
    print_differences([Difference(EVIL, (change,), (EVIL,), (EVIL,))], output)
    said = capsys.readouterr().out
    assert "script" in said
    assert is_tame(said), repr(said)


def test_an_error_moves_no_cursor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: Any) -> None:  # noqa: ANN401  click's
        raise ClusterError(EVIL)

    monkeypatch.setattr(program, "configure_logs", lambda **_: None)  # it is for a whole process
    monkeypatch.setattr(program, "cli", fail)
    with pytest.raises(SystemExit):
        program.main()
    said = capsys.readouterr().err
    assert "registrar: web" in said
    assert is_tame(said), repr(said)


def test_a_word_that_a_person_writes_moves_no_cursor(tmp_path: Path) -> None:
    done = asked(Fixed(), tmp_path / "socket", "status", f"shop/{EVIL.replace(chr(0), '')}")
    assert done.exit_code == click.UsageError.exit_code
    assert is_tame(done.stderr), repr(done.stderr)


@pytest.mark.looptime
async def test_an_event_is_one_line_of_a_bounded_length() -> None:
    site = world()
    async with site.running():
        await site.say("10.0.0.1")
        site.says.error = EVIL + "a" * 5000
        await site.look()
        await pass_time(120)
    messages = [event.message for event in site.cluster.events()]
    assert any("script" in one for one in messages), messages
    for one in messages:
        assert one.isprintable(), repr(one)
        assert len(one) <= 1024


def test_a_label_of_a_metric_is_one_value() -> None:
    metric = Metric("registrar_x", Kind.GAUGE, "of a test", "", ("source",))
    evil = f'{EVIL}"}} 1\nregistrar_x{{source="forged"'
    text, _ = written_down(CollectorRegistry(), [Sample(metric, 1.0, (evil,))], "")
    (line,) = [one for one in text.decode().split("\n") if one and not one.startswith("#")]
    assert line.startswith('registrar_x{source="web')
    assert line.endswith('\\"} 1\\nregistrar_x{source=\\"forged\\""} 1.0')
