"""A source of somebody else: made of the very page that shows how, in an environment of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from release.locks import DEV_LOCK, ROOT, locked
from release.version import version
from tests.lab import wait_for

PAGE = ROOT / "docs" / "sources" / "writing-your-own.md"
FENCE = re.compile(r"^```\w+ (?P<file>\S+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
FOR_TESTS = {"iniconfig", "packaging", "pluggy", "pygments", "pytest", "pytest-asyncio"}


class Outsider:
    """The folder of the package, and the environment that it is installed in."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "registrar-lines"
        self.bin = base / "env" / "bin"
        self._base = base

    def write(self) -> None:
        self.folder.mkdir()
        for found in FENCE.finditer(PAGE.read_text()):
            (self.folder / found["file"]).write_text(found["text"])

    def install(self) -> None:
        """Install registrar as it is released: the wheel that is made of the sdist."""
        wheels, released = self._base / "wheels", self._base / "released"
        self.run(
            sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", released, cwd=ROOT
        )
        (sdist,) = released.iterdir()
        build = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
        for package in (sdist, self.folder):
            self.run(*build, "--no-index", "--wheel-dir", wheels, package)
        # Of the tree at once it is the same.
        self.run(*build, "--no-index", "--wheel-dir", released, ROOT)
        (of_sdist,), (of_tree,) = wheels.glob("registrar-0*"), released.glob("*.whl")
        assert contents(of_sdist) == contents(of_tree)
        venv.create(self._base / "env", with_pip=True)
        locked = self._base / "locked.txt"
        locked.write_text(_locked())
        self.pip("--require-hashes", "-r", locked)
        self.pip("--no-deps", "--no-index", *wheels.iterdir())

    def pip(self, *arguments: str | Path) -> None:
        self.run(self.bin / "pip", "install", "-q", "--disable-pip-version-check", *arguments)

    def run(self, *argv: str | Path, cwd: Path | None = None) -> str:
        """Run a command to its end, which must be a good one."""
        done = subprocess.run(
            argv,
            cwd=cwd or self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self, *argv: str | Path) -> Iterator[Path]:
        """Run a command for the block; yield the file of what it says."""
        log = self._base / "run.log"
        with log.open("wb") as said:
            process = subprocess.Popen(argv, cwd=self.folder, env=_environment(), stderr=said)
            try:
                yield log
            finally:
                process.terminate()
                process.wait(30)


def _environment() -> dict[str, str]:
    # What the tests' own environment has set must not leak into the other.
    return {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}


def _locked() -> str:
    """Return the lock of what registrar needs, and of what its testing module needs."""
    wanted = set(locked()) | FOR_TESTS
    return "".join(one.text for name, one in locked(DEV_LOCK).items() if name in wanted)


def contents(wheel: Path) -> dict[str, int]:
    """Return the names of a wheel's files, with a check of what is in them."""
    with zipfile.ZipFile(wheel) as archive:
        return {one.filename: one.CRC for one in archive.infolist()}


@pytest.fixture(scope="module")
def outsider(tmp_path_factory: pytest.TempPathFactory) -> Outsider:
    made = Outsider(tmp_path_factory.mktemp("outsider"))
    made.write()
    made.install()
    return made


@contextmanager
def inventory(lines: list[str]) -> Iterator[int]:
    """Run the inventory of the page, with these lines for the role `web`; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = "".join(f"{line}\n" for line in [*lines, "# end"]).encode()
            self.send_response(200 if self.path == "/web" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_its_environment_knows_nothing_of_this_tree(outsider: Outsider) -> None:
    place = outsider.run(outsider.bin / "python", "-c", "import registrar; print(registrar)")
    assert str(outsider.bin.parent) in place
    assert str(ROOT) not in place


def test_what_is_released_runs(outsider: Outsider) -> None:
    registrar = outsider.bin / "registrar"
    assert f"registrar {version()}\n" in outsider.run(registrar, "version")
    assert "shop/mysql" in outsider.run(registrar, "demo", "--for", "3s")


def test_it_passes_the_contract(outsider: Outsider) -> None:
    said = outsider.run(outsider.bin / "python", "-m", "pytest", "-q", "test_lines.py")
    assert re.search(r"^\d\d passed", said, re.MULTILINE), said
    assert "skipped" not in said


def test_its_backends_are_published(outsider: Outsider) -> None:
    page = (outsider.folder / "registrar.yaml").read_text()
    lines = ["10.20.1.1:8080", "db.example:80"]
    with inventory(lines) as port:
        config = outsider.folder / "served.yaml"
        fast = page.replace("8099", str(port)).replace("type: lines", "type: lines, interval: 1s")
        config.write_text(fast)
        assert outsider.run(outsider.bin / "registrar", "validate", "--config", config)
        command = (outsider.bin / "registrar", "run", "--embedded", "--config", config)
        with outsider.running(*command) as log:

            def published() -> list[str]:
                server = re.search(r"--server=(\S+)", log.read_text())
                if server is None:
                    return []
                found = httpx.get(f"{server[1]}/api/v1/namespaces/shop/endpoints/web")
                return [
                    f"{address['ip']}:{port['port']}"
                    for subset in found.json().get("subsets") or ()
                    for port in subset["ports"]
                    for address in subset["addresses"]
                ]

            wait_for(lambda: published() == ["10.20.1.1:8080"], 30, log.read_text)
            assert "'db.example:80' is not an IP address" in log.read_text()
            lines.append("10.20.1.2:8080")
            both = ["10.20.1.1:8080", "10.20.1.2:8080"]
            wait_for(lambda: published() == both, 30, log.read_text)


def test_its_settings_are_checked_with_a_position(outsider: Outsider) -> None:
    text = (outsider.folder / "registrar.yaml").read_text()
    config = outsider.folder / "wrong.yaml"
    config.write_text(text.replace("role: web", "rôle: web"))
    argv = (outsider.bin / "registrar", "validate", "--config", config)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "wrong.yaml:5:31: unknown key 'rôle'; did you mean 'role'?" in done.stdout + done.stderr
