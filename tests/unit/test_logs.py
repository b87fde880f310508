"""What is on standard error, as another process sees it: logs are set up for a whole process."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, structlog
from registrar.logs import configure_logs
configure_logs()
log = structlog.get_logger()
log.debug("hidden")
log.info("running", mappings=2)
try:
    token = "s3cret"
    {}["no such key"]
except KeyError as error:
    log.error("hold", reason="internal-error", exc_info=error)
    logging.getLogger("asyncio").error("a task died", exc_info=error)
logging.getLogger("somebody").info("hidden")
logging.getLogger("somebody").warning("in two\\nlines")
"""


def test_without_a_terminal_each_line_is_json_and_a_defect_keeps_its_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )
    running, hold, died, lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert (running["event"], running["level"], running["mappings"]) == ("running", "info", 2)
    assert "timestamp" in running
    for record in (hold, died):
        assert record["level"] == "error"
        assert record["exception"].startswith("Traceback (most recent call last):\n")
        assert record["exception"].endswith("KeyError: 'no such key'")
    assert (died["event"], died["logger"]) == ("a task died", "asyncio")
    assert lines["event"] == "in two\nlines"
    assert "s3cret" not in done.stderr


def test_on_a_terminal_a_defect_is_one_line() -> None:
    screen, terminal = pty.openpty()
    try:
        subprocess.run([sys.executable, "-c", PROGRAM], check=True, stderr=terminal)
        said = os.read(screen, 2**16).decode()
    finally:
        os.close(terminal)
        os.close(screen)
    assert "Traceback" not in said
    assert "s3cret" not in said
    assert "KeyError: 'no such key' (<string>:10)" in said


def test_where_nothing_can_be_written_the_program_goes_on() -> None:
    with Path("/dev/full").open("w") as full:
        program = f"{PROGRAM}print('went on')"
        done = subprocess.run(
            [sys.executable, "-c", program], check=False, stdout=subprocess.PIPE, stderr=full
        )
    assert done.stdout == b"went on\n"


INJECTION = r"""
import logging, structlog
from registrar.logs import configure_logs
configure_logs(form=FORM)
evil = "web\n2026-01-01 [info] published\x1b[2J\x9b1A\r\x7f\u2028\u202e\x00"
log = structlog.get_logger()
log.info("verdict", backend=evil, services=[evil], reason=evil, **{evil: 1})
logging.getLogger("somebody").warning("it said %s", evil)
try:
    raise ValueError(evil)
except ValueError as error:
    log.error("hold", exc_info=error)
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_what_others_say_stays_one_line_and_moves_no_cursor(form: str) -> None:
    program = INJECTION.replace("FORM", repr(form))
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    said = done.stderr.decode()
    assert said.count("\n") == 3  # as many as there are records
    assert all(one.isprintable() for line in said.split("\n") for one in line), repr(said)
    assert [line for line in said.splitlines() if line.startswith("2026-01-01")] == []
