"""Builds the lab's Go programs into a cache, once for each state of their locked sources.

It never changes the sources.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread

from tests.lab.cache import cached
from tests.lab.errors import LabError

HERE = Path(__file__).parent
OLDEST_GO = (1, 26)


@dataclass(frozen=True)
class Program:
    """A program: the folder of its Go module, the package to build there, and by which modules."""

    name: str
    package: str = "."
    modules: str = "go"

    @property
    def source(self) -> Path:
        return HERE / self.name

    @property
    def module_file(self) -> Path:
        return self.source / f"{self.modules}.mod"

    @property
    def ldflags(self) -> str:
        module = self.module_file.read_text()
        # Without its version Kubernetes takes itself for 0.0.0, and its parts refuse each other.
        version = re.search(r"k8s\.io/kubernetes (v[0-9.]+)", module)
        setting = f" -X k8s.io/component-base/version.gitVersion={version[1]}" if version else ""
        return f"-s -w{setting}"


CONSUL = Program("consul", "github.com/hashicorp/consul")
HELM = Program("helm")


def control_plane() -> Program:
    """Return the control plane: of the newest Kubernetes, or of the one that KUBE names."""
    wanted = os.environ.get("KUBE")
    program = Program("control-plane", modules=f"kube-{wanted}" if wanted else "go")
    if not program.module_file.exists():
        known = (file.stem.removeprefix("kube-") for file in program.source.glob("kube-*.mod"))
        raise LabError(f"KUBE={wanted}: the lab has no such Kubernetes, but {', '.join(known)}")
    return program


def built(program: Program) -> Path:
    """Return the program's path in the cache, after building it if need be."""
    digest = hashlib.sha256(f"{_go_version()} {program.package} {program.ldflags}".encode())
    modules = program.source.glob(f"{program.modules}.*")
    for file in sorted([*modules, *program.source.glob("*.go")]):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return cached(program.name, digest.hexdigest(), partial(_build, program))


def _build(program: Program, path: Path) -> None:
    command: list[str | Path] = [
        "go",
        "build",
        "-v",
        "-trimpath",
        f"-modfile={program.module_file}",
        "-ldflags",
        program.ldflags,
        "-o",
        path,
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
