"""Builds the lab's Go programs into a cache, once for each state of their locked sources.

It never changes the sources, and never leaves half a program where a whole one is looked for.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from tests.lab.errors import LabError

HERE = Path(__file__).parent
OLDEST_GO = (1, 26)


@dataclass(frozen=True)
class Program:
    """A program: the folder of its Go module, and the package to build there."""

    name: str
    package: str = "."

    @property
    def source(self) -> Path:
        return HERE / self.name

    @property
    def ldflags(self) -> str:
        module = (self.source / "go.mod").read_text()
        # Without its version Kubernetes takes itself for 0.0.0, and its parts refuse each other.
        version = re.search(r"k8s\.io/kubernetes (v[0-9.]+)", module)
        setting = f" -X k8s.io/component-base/version.gitVersion={version[1]}" if version else ""
        return f"-s -w{setting}"


CONTROL_PLANE = Program("control-plane")
CONSUL = Program("consul", "github.com/hashicorp/consul")
HELM = Program("helm")


def built(program: Program) -> Path:
    """Return the program's path in the cache, after building it if need be."""
    digest = hashlib.sha256(f"{_go_version()} {program.package} {program.ldflags}".encode())
    for file in sorted([*program.source.glob("go.*"), *program.source.glob("*.go")]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME")
    cache = (Path(home) if home else Path.home() / ".cache") / "registrar-lab"
    path = cache / digest.hexdigest()[:16] / program.name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / ".lock").open("w") as lock:
            _lock(lock.fileno(), program.name)
            if not path.exists():
                _build(program, path)
    return path


def _lock(lock: int, name: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting for another build of {name}", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _build(program: Program, path: Path) -> None:
    unfinished = path.with_suffix(".unfinished")
    command: list[str | Path] = [
        "go",
        "build",
        "-v",
        "-trimpath",
        "-ldflags",
        program.ldflags,
        "-o",
        unfinished,
    ]
    # The Go that is installed, and the modules that are locked: nothing is fetched in their place.
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
    print(f"building {program.name} (minutes the first time, then cached)", file=sys.stderr)
    began = time.monotonic()
    said: list[str] = []
    with subprocess.Popen(
        [*command, program.package],
        cwd=program.source,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        reader = Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
        reader.start()
        try:
            _tell_progress(process, began, said)
        except BaseException:
            process.terminate()
            raise
        reader.join()
    if process.returncode != 0:
        raise LabError(f"go build of {program.name} failed:\n{''.join(said[-20:])}")
    unfinished.rename(path)
    print(f"built {program.name} in {time.monotonic() - began:.0f} s", file=sys.stderr)


def _tell_progress(process: subprocess.Popen[str], began: float, said: list[str]) -> None:
    terminal = sys.stderr.isatty()
    start, end = ("\r", "") if terminal else ("", "\n")
    while True:
        try:
            process.wait(1 if terminal else 15)
        except subprocess.TimeoutExpired:
            # go prints a line for each package that it compiles.
            progress = f"  {len(said)} packages compiled, {time.monotonic() - began:.0f} s"
            print(start + progress, end=end, file=sys.stderr, flush=True)
        else:
            if terminal:
                print(file=sys.stderr)
            return


def _go_version() -> str:
    wanted = ".".join(map(str, OLDEST_GO))
    remedy = f"the lab needs Go {wanted} or later on the PATH; see go.dev/doc/install"
    try:
        done = subprocess.run(
            ["go", "env", "GOVERSION"], cwd=HERE, check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise LabError(f"{remedy} (go can't be run: {error})") from None
    found = done.stdout.strip()
    match = re.match(r"go(\d+)\.(\d+)", found)
    if match and (int(match[1]), int(match[2])) < OLDEST_GO:
        raise LabError(f"{remedy} (this is {found})")
    return found
