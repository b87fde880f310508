"""Registrar's container image, built for real on a base of Debian's own packages, and kept.

It must never reach for another image: a lab has no registry.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

from release import image
from release.locks import DEV_LOCK, LOCK, ROOT
from tests.lab import parts
from tests.lab.cache import cached
from tests.lab.dockerd import Dockerd
from tests.lab.errors import LabError
from tests.lab.namespaces import Argv

TAG = "registrar:lab"
BASE_TAG = "debian-python:lab"
VERSION, REVISION = "0.1.0", "of-the-lab"
"""Fixed, so that not each commit takes another image."""
# What a slim base has as well: a libc, a shell, Python, and the authorities that are trusted.
BASE_PACKAGES = "python3-minimal,libpython3-stdlib,ca-certificates"
BASE_OPTIONS = (
    "--variant=minbase",
    f"--include={BASE_PACKAGES}",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")),
)
_SUITE = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
_MADE_OF = (
    *("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE"),
    *("release", "registrar", "sources"),
)


def base() -> Path:
    """Return the file system of the base, as a tar."""
    digest = hashlib.sha256(" ".join((_SUITE, *BASE_OPTIONS)).encode()).hexdigest()
    return cached("base.tar", digest, _build_base)


@cache
def built() -> Path:
    """Return the image as `docker save` writes it, tagged `TAG`; it is built if need be."""
    return cached("image.tar", _digest(), _build)


def _digest() -> str:
    digest = hashlib.sha256(str(base()).encode())
    files = [LOCK, DEV_LOCK]
    for name in _MADE_OF:
        path = ROOT / name
        found = path.rglob("*") if path.is_dir() else [path]
        files += [file for file in found if file.is_file() and file.suffix != ".pyc"]
    for file in sorted(files):
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _build_base(path: Path) -> None:
    parts.install(parts.BASE_PACKAGES)
    print("building the base image (minutes the first time, then cached)", file=sys.stderr)
    argv: Argv = ["mmdebstrap", "--quiet", "--format=tar", *BASE_OPTIONS, _SUITE, path]
    done = subprocess.run(argv, check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise LabError(f"mmdebstrap failed:\n{done.stderr[-2000:]}")


def _build(path: Path) -> None:
    print("building the image", file=sys.stderr)
    with Dockerd.alone() as docker:
        docker.docker("import", str(base()), BASE_TAG)
        image.build(
            TAG, BASE_TAG, version=VERSION, revision=REVISION, environment=docker.environment
        )
        docker.docker("save", "-o", str(path), TAG)
