"""Collects the wheels that an image is made of, by hash, so that its build needs no network.

`python -m release.wheels FOLDER` collects those for this machine's own Python.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from release.locks import DEV_LOCK, LOCK, ROOT, locked
from release.version import version

OLDEST_GLIBC_MINOR = 5  # as of manylinux1
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")


@dataclass(frozen=True)
class Target:
    """The Python that the wheels are for. `python` and `glibc` are versions of two numbers."""

    python: str
    machine: str
    glibc: str

    @classmethod
    def here(cls) -> Target:
        """Return this machine's own."""
        return cls.parse(f"{platform.python_version()} {platform.machine()} {_glibc()}")

    @classmethod
    def parse(cls, text: str) -> Target:
        """Return what `ASK` has printed. Raise ValueError if there are no wheels for it."""
        python, machine, glibc = (*text.split(), "")[:3]
        if not glibc.startswith("2."):
            raise ValueError(
                "the base must have glibc: some of the packages have wheels for no other"
            )
        return cls(".".join(python.split(".")[:2]), machine, ".".join(glibc.split(".")[:2]))

    def options(self) -> list[str]:
        """Return the options of `pip download` that mean this Python."""
        tags = [f"manylinux_2_{minor}" for minor in self._glibc_minors()]
        tags += ["manylinux2014", "manylinux2010", "manylinux1", "linux"]
        python = self.python.replace(".", "")
        return [
            *(f"--platform={tag}_{self.machine}" for tag in tags),
            f"--python-version={self.python}",
            "--implementation=cp",
            *(f"--abi={abi}" for abi in (f"cp{python}", "abi3", "none")),
        ]

    def _glibc_minors(self) -> range:
        return range(int(self.glibc.partition(".")[2]), OLDEST_GLIBC_MINOR - 1, -1)


ASK = "import platform as p; print(p.python_version(), p.machine(), p.libc_ver()[1])"
"""What a Python is to run for `Target.parse`."""


def collect(folder: Path, target: Target, of: str) -> None:
    """Put the locked wheels into a folder, and pip, which installs them, and registrar's own."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory() as name:
        wanted = Path(name) / "wanted.txt"
        wanted.write_text(LOCK.read_text() + locked(DEV_LOCK)["pip"].text)
        download = (*PIP, "download", "--require-hashes", "--no-deps", "--only-binary=:all:")
        _run(*download, *target.options(), "-d", folder, "-r", wanted)
    own_wheel(folder, of)


def own_wheel(folder: Path, of: str) -> None:
    """Build registrar's own wheel into a folder; what that needs is in the development lock."""
    wheel = ("wheel", "--no-deps", "--no-build-isolation", "--no-index")
    _run(*PIP, *wheel, "-w", folder, ROOT, SETUPTOOLS_SCM_PRETEND_VERSION=of)


def _run(*argv: str | Path, **environment: str) -> None:
    subprocess.run(argv, check=True, env={**os.environ, **environment})


def _glibc() -> str:
    return platform.libc_ver()[1]


if __name__ == "__main__":
    collect(Path(sys.argv[1]), Target.here(), version())
