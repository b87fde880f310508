"""Builds registrar's container image: `python -m release.image [BASE]`, or `make image`.

The build itself has no network: what it needs is collected first, for the Python of the base.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from release.locks import LOCK, ROOT
from release.sbom import make_sbom
from release.version import image_tag
from release.version import revision as revision_of_tree
from release.version import version as version_of_tree
from release.wheels import ASK, Target, collect

DOCKERFILE = ROOT / "Dockerfile"


def build(
    tag: str,
    base: str,
    *,
    version: str,
    revision: str,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """Build the image, and return its id; `environment` is that of the docker command."""
    ask = ("run", "--rm", "--network=none", "--entrypoint=python3", base, "-c", ASK)
    target = Target.parse(_docker(environment, *ask))
    with tempfile.TemporaryDirectory() as name:
        context = Path(name)
        for file in (DOCKERFILE, ROOT / ".dockerignore", LOCK):
            shutil.copy(file, context)
        collect(context / "dist" / "wheels", target, version)
        make_sbom(context / "dist" / "registrar.cdx.json", version)
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


def main() -> None:
    """Build the image of the tree as it stands; print its name and its id."""
    version = version_of_tree()
    tag = f"registrar:{image_tag(version)}"
    base = sys.argv[1] if sys.argv[1:] else default_base()
    print(tag, build(tag, base, version=version, revision=revision_of_tree()))


if __name__ == "__main__":
    main()
