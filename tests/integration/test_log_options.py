"""The options of `registrar run` that say how it logs, and their environment variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {}, "json"),
        (["--log-format", "console"], {}, "console"),
        ([], {"REGISTRAR_LOG_FORMAT": "console"}, "console"),
        (["--log-format", "json"], {"REGISTRAR_LOG_FORMAT": "console"}, "json"),
        (["--log-level", "error"], {}, "nothing"),
        ([], {"REGISTRAR_LOG_LEVEL": "error"}, "nothing"),
    ],
)
def test_run_logs_as_it_is_told(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    file = tmp_path / "registrar.yaml"
    file.write_text(
        "sources: {racks: {type: static, files: [missing.yaml]}}\n"
        "services: [{service: shop/web, from: {source: racks}}]\n"
    )
    command = [sys.executable, "-m", "registrar", "run", "--embedded", "--config", str(file)]
    with subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("kubectl ")
        if expected == "nothing":  # there would be a line for the source soon, and for the end
            process.terminate()
            assert process.stderr.read() == ""
            return
        line = process.stderr.readline()
        process.terminate()
        process.stderr.read()
    if expected == "json":
        assert json.loads(line)["level"] in {"info", "warning"}
    else:
        assert line.startswith("20")
        assert "\x1b" not in line  # no colours where there is no terminal
        assert "event" not in line
