"""The demo as a newcomer runs it: what it shows, what it publishes, and that nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.lab import wait_for

FIRST_TABLE_S = 30.0
"""A machine may be busy; bench/demo.py says how long it takes."""
DEMO = [sys.executable, "-m", "registrar", "demo"]


def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)


@dataclass
class Demo:
    """A demo that runs, and what it has printed so far."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, pattern: str, timeout: float = 15) -> re.Match[str]:
        found = wait_for(
            lambda: re.search(pattern, self.text), timeout, lambda: f"{pattern!r} in {self.text}"
        )
        assert found is not None
        return found

    def ready(self, service: str) -> dict[str, bool]:
        """Return what the demo's API server holds for a Service."""
        url = self.wait_for(r"kubectl --server=(\S+) ")[1]
        answer = httpx.get(f"{url}/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices")
        return {
            endpoint["addresses"][0]: endpoint["conditions"]["ready"]
            for piece in answer.json()["items"]
            if piece["metadata"]["labels"]["kubernetes.io/service-name"] == service
            for endpoint in piece["endpoints"]
        }

    @property
    def folder(self) -> Path:
        return Path(self.wait_for(r"edit:\s+(\S+)")[1]).parent


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """Run the demo with no cluster, no kubectl, no configuration and no terminal."""
    log = tmp_path / "log"
    environment = {"HOME": str(tmp_path), "PATH": "", "TMPDIR": str(tmp_path)}
    with log.open("wb") as out:
        process = subprocess.Popen(DEMO, stdout=out, stderr=out, env=environment, cwd=tmp_path)
    try:
        yield Demo(process, log)
    finally:
        process.kill()
        process.wait()


def test_the_first_table_comes_within_seconds_and_what_follows_is_published(demo: Demo) -> None:
    demo.wait_for(r"shop/web .* 192\.0\.2\.12:8080 .* up .* ready", FIRST_TABLE_S)
    assert demo.ready("web") == {f"192.0.2.{n}": True for n in (11, 12, 13)}
    assert demo.ready("mysql") == {f"192.0.2.{n}": True for n in (21, 22)}
    demo.wait_for(r"s  shop/web  192\.0\.2\.12:8080  down  \(connection refused\)")
    demo.wait_for(r"192\.0\.2\.12:8080  published as not ready")
    assert demo.ready("web")["192.0.2.12"] is False
    died = demo.text.count("  up  ")
    wait_for(lambda: demo.text.count("  up  ") > died, 30, "its return")
    wait_for(lambda: demo.ready("web")["192.0.2.12"], 30, "its return to what is published")


def test_its_file_can_be_edited_and_nothing_is_left_at_the_end(demo: Demo) -> None:
    demo.wait_for("Services and their backends", FIRST_TABLE_S)
    file = demo.folder / "backends.yaml"
    file.write_text(file.read_text().replace("  # - 192.0.2.19:8080 ", "  - 192.0.2.19:8080 #"))
    demo.wait_for(r"shop/web  192\.0\.2\.19:8080  up", 30)
    wait_for(lambda: demo.ready("web").get("192.0.2.19") is True, 30, "the new one")
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(10) == 0
    assert not demo.folder.exists()
    assert "Traceback" not in demo.text


def test_it_ends_by_itself_and_says_what_is_no_duration() -> None:
    done = run([*DEMO, "--for", "1s"])
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    done = run([*DEMO, "--for", "soon"])
    assert done.returncode == 2
    assert "'soon' is not a duration; write one such as 500ms, 5s or 2m" in done.stderr


def test_on_a_terminal_the_table_is_live() -> None:
    main, end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(
        [*DEMO, "--for", "6s"], stdin=end, stdout=end, stderr=end, env=environment
    )
    os.close(end)
    said = b""
    with contextlib.suppress(OSError):  # so does Linux say that the other end is closed
        while piece := os.read(main, 65536):
            said += piece
    os.close(main)
    assert process.wait(10) == 0
    text = said.decode()
    assert "\x1b[" in text
    assert re.search(r"192\.0\.2\.12:8080.*down", text)


def test_the_same_program_runs_against_the_embedded_api_server(tmp_path: Path) -> None:
    (tmp_path / "registrar.yaml").write_text(
        "sources: {files: {type: static, files: [backends.yaml]}}\n"
        "services: [{service: shop/web, from: {source: files}, health: {type: none}}]\n"
    )
    (tmp_path / "backends.yaml").write_text(json.dumps({"web": ["10.20.1.1:80"]}))
    log = tmp_path / "log"
    argv = [sys.executable, "-m", "registrar", "run", "--embedded"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*argv, "--config", str(tmp_path / "registrar.yaml")], stdout=out, stderr=out
        )
    try:
        running = Demo(process, log)
        running.wait_for('"event": "published"')
        assert running.ready("web") == {"10.20.1.1": True}
        port = running.wait_for(r"--server=http://127\.0\.0\.1:(\d+)")[1]
        again = run(
            [*argv, "--config", str(tmp_path / "registrar.yaml"), "--port", port],
        )
        assert again.returncode == 2
        assert f"port {port} is taken; name another with --port" in again.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_the_embedded_api_server_needs_no_configuration(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "registrar", "run", "--embedded"],
            stdout=out,
            stderr=out,
            env={"HOME": str(tmp_path), "PATH": "", "TMPDIR": str(tmp_path)},
        )
    try:
        running = Demo(process, log)
        running.wait_for('"service": "shop/web".*"endpoints": 3')
        assert running.ready("web") == {f"192.0.2.{n}": True for n in (11, 12, 13)}
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
