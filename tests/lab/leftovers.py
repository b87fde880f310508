"""What a host with containers leaves behind: those, and mounts, cgroups, sockets.

It must never touch what doesn't bear the name of the host's own folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.lab.waiting import wait_for

CGROUPS = Path("/sys/fs/cgroup")


def folders(state: Path) -> list[Path]:
    """Return the folders of a lab's hosts with containers: dockerd's, and the kubelet's."""
    found = [*state.glob("docker-*"), *state.glob("kubelet-*")]
    return [folder for folder in found if folder.is_dir()]


def cgroup_of(folder: Path) -> str:
    """Return the name of the cgroup that a host's containers are in."""
    return f"rl-{folder.parent.name}-{folder.name}"


def make_cgroup(name: str) -> None:
    """Make a cgroup for a host, in the one tree or in all of them."""
    for root in _trees():
        (root / name).mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (root / file).exists():
                (root / name / file).write_text((root / file).read_text())


def clear(folder: Path) -> None:
    """End the containers of a host whose daemon has gone, and remove its folder."""
    name = cgroup_of(folder)
    roots = [tree / name for tree in _trees() if (tree / name).is_dir()]
    wait_for(lambda: not sum(_end(root) for root in roots), 10, f"the end of all in {name}")
    for root in roots:
        for path, _, _ in os.walk(root, topdown=False):
            Path(path).rmdir()
    for mount in _mounts_below(folder):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    # The one thing that a shim keeps elsewhere.
    for address in folder.glob("exec/containerd/daemon/*/*/*/address"):
        Path(address.read_text().removeprefix("unix://")).unlink(missing_ok=True)
    shutil.rmtree(folder)


def _trees() -> list[Path]:
    """Return one tree for version 2 of cgroups, for version 1 that of each controller."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [tree for tree in CGROUPS.iterdir() if tree.is_dir() and not tree.is_symlink()]


def _end(root: Path) -> bool:
    """Kill what is in a cgroup; return whether there was anything."""
    for path in root.rglob("*"):
        with contextlib.suppress(OSError):  # it went meanwhile
            # What is frozen doesn't even die.
            if path.name == "freezer.state":
                path.write_text("THAWED")
            elif path.name == "cgroup.freeze":
                path.write_text("0")
    found = {int(pid) for file in root.rglob("cgroup.procs") for pid in file.read_text().split()}
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    return [point for point in reversed(points) if Path(point).is_relative_to(folder)]
