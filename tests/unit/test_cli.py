from __future__ import annotations

import sys
from typing import NoReturn

import click
import pytest
from structlog.testing import capture_logs

from registrar import cli
from registrar.errors import ClusterError, ClusterUnreachable, ConfigError, Forbidden


@pytest.fixture(autouse=True)
def _as_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "configure_logs", lambda **_: None)  # it is for a whole process


def status_of(*arguments: str) -> int:
    """Return the exit status of a command line."""
    before = sys.argv
    sys.argv = ["registrar", *arguments]
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = before
    assert isinstance(ended.value.code, int)
    return ended.value.code


def failing(error: Exception) -> click.Command:
    def fail() -> NoReturn:
        raise error

    return click.Command("fail", callback=fail)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("runn",),
        ("run", "--nope"),
        ("run", "--config"),
        ("once", "-o", "xml"),
        ("validate", "too", "many"),
    ],
)
def test_a_wrong_use_ends_with_2_and_says_what_is_right(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(("Usage: registrar", "Error: "))
    assert "Traceback" not in said


def test_asking_for_help_is_no_wrong_use() -> None:
    assert status_of("--help") == 0
    assert status_of("--version") == 0


@pytest.mark.parametrize(
    ("error", "status"),
    [(ConfigError(), 2), (ClusterError("as it is"), 3), (Forbidden("services is forbidden"), 3)],
)
def test_what_is_raised_on_purpose_has_its_status(
    error: Exception,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "cli", failing(error))
    assert status_of() == status
    assert str(error) in capsys.readouterr().err


def test_a_cluster_that_cannot_be_used_comes_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "cli", failing(ClusterUnreachable("example: no answer in time")))
    assert status_of() == 3
    assert "no answer in time; check the server" in capsys.readouterr().err


def test_a_defect_is_said_in_one_line_with_its_place_and_logged_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = KeyError("no such key")
    monkeypatch.setattr(cli, "cli", failing(error))
    with capture_logs() as logs:
        assert status_of() == 70
    said = capsys.readouterr().err
    assert said.startswith("registrar: internal error: KeyError: 'no such key' (test_cli.py:")
    assert said.endswith("; report it, with the log\n")
    assert said.count("\n") == 1
    assert [(line["event"], line["exc_info"]) for line in logs] == [("internal-error", error)]


def test_a_defect_on_a_terminal_comes_with_the_way_to_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "cli", failing(KeyError("no such key")))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with capture_logs() as logs:
        assert status_of() == 70
    assert "2>registrar.log" in capsys.readouterr().err
    assert logs == []
