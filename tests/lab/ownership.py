"""Where labs keep their state, whose they are, and the sweeping of those whose owner has died.

It must never end a lab that is in use, nor one that is to stay.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.lab import leftovers, namespaces
from tests.lab.errors import LabError
from tests.lab.namespaces import Namespace

# Empty after a reboot, as are the namespaces. Short: a socket's path has 107 characters.
HOME = Path("/run/registrar-lab")
STAYS = "stays"
_OWNER = "owner.lock"


def namespace_of(state: Path) -> str:
    """Return the name of a lab's main namespace."""
    return f"rl-{state.name}"


@contextlib.contextmanager
def owned(name: str) -> Iterator[Path]:
    """Make a lab's state and own it, after a sweep; what is left of it at the end is swept later.

    Raise LabError if there is one of that name.
    """
    with _all_labs_held():
        _sweep()
        state = HOME / name
        try:
            state.mkdir(mode=0o700)
        except FileExistsError:
            raise LabError(f"lab {name} is there already, or being started or ended") from None
        # Not inherited: the children of its owner don't keep a lab alive.
        owner = os.open(state / _OWNER, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        yield state
    finally:
        os.close(owner)


def sweep() -> None:
    """End every lab whose owner has died."""
    with _all_labs_held():
        _sweep()


def destroy(state: Path) -> None:
    """End every process of a lab, and leave nothing of it."""
    for name in namespaces.names(namespace_of(state)):
        Namespace(name).end()
    for folder in leftovers.folders(state):
        leftovers.clear(folder)
    shutil.rmtree(state)


@contextlib.contextmanager
def _all_labs_held() -> Iterator[None]:
    HOME.mkdir(mode=0o700, exist_ok=True)
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep() -> None:
    for state in HOME.iterdir():
        if state.is_dir() and not (state / STAYS).exists() and not _is_owned(state):
            destroy(state)


def _is_owned(state: Path) -> bool:
    with (state / _OWNER).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
