"""Says which version the tree is: that of its tag, or how far it is from one."""

from __future__ import annotations

import subprocess
import sys

from release.locks import ROOT


def version() -> str:
    """Return the version that a wheel of this tree has."""
    argv = (sys.executable, "-m", "hatchling", "version")
    done = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def revision() -> str:
    """Return the commit that the tree is at, `unknown` outside of git."""
    argv = ("git", "rev-parse", "HEAD")
    try:
        done = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def image_tag(version: str) -> str:
    """Return a version as the tag of an image, in which no `+` is allowed."""
    return version.replace("+", "-")
