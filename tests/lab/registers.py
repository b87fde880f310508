"""Lets the node's kernel run on processors that have more registers than it has room for.

Debian's user-mode-linux (6.1) keeps those of its processes in 2,696 bytes; with AMX there are some
11,000. Linux then refuses to write them, and no process of the node gets as far as its first step.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

from tests.lab.cache import cached
from tests.lab.errors import LabError
from tests.lab.parts import install

SOURCE = Path(__file__).with_suffix(".c")
PACKAGES = {"cc": "gcc", "file:/usr/include/elf.h": "libc6-dev"}


def library() -> Path | None:
    """Return what has to be between that kernel and this machine's, None on most machines."""
    has_amx = re.search(r"^flags\b.*\bamx_tile\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    if not has_amx:
        return None
    return cached("registers.so", hashlib.sha256(SOURCE.read_bytes()).hexdigest(), _build)


def argv() -> list[str]:
    """Return what the kernel's command begins with."""
    needed = library()
    return [] if needed is None else ["env", f"LD_PRELOAD={needed}"]


def _build(library: Path) -> None:
    install(PACKAGES)
    command = ["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    if subprocess.run(command, check=False).returncode != 0:
        raise LabError(f"{SOURCE.name} could not be built: see above")
