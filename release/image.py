"""Builds registrar's container image: `python -m release.image [BASE]`, or `make image`.

The build itself has no network: what it needs is collected first, for the Python of the base.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from release.locks import LOCK, ROOT
from release.wheels import ASK, Target, collect

DOCKERFILE = ROOT / "Dockerfile"


def build(
    tag: str,
    base: str | None = None,
    *,
    version: str,
    revision: str = "unknown",
    environment: Mapping[str, str] = os.environ,
) -> str:
    """Build the image, and return its id; `environment` is that of the docker command."""
    base = base or default_base()
    ask = ("run", "--rm", "--network=none", "--entrypoint=python3", base, "-c", ASK)
    target = Target.parse(_docker(environment, *ask))
    with tempfile.TemporaryDirectory() as name:
        context = Path(name)
        for file in (DOCKERFILE, ROOT / ".dockerignore", LOCK):
            shutil.copy(file, context)
        collect(context / "dist" / "wheels", target)
        arguments = {"BASE": base, "VERSION": version, "REVISION": revision}
        options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        _docker(environment, "build", "-q", "--network=none", "-t", tag, *options, str(context))
    return _docker(environment, "image", "inspect", "--format={{.Id}}", tag)


def default_base() -> str:
    """Return the base that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert found is not None, "the Dockerfile names a base"
    return found[1]


def _docker(environment: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], check=False, capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        raise RuntimeError(f"docker {arguments[0]}: {done.stdout}{done.stderr}")
    return done.stdout.strip()
