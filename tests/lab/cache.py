"""What the lab builds and keeps, once for each state of what it is made of.

It must never leave half a thing where a whole one is looked for.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path


def cached(name: str, digest: str, make: Callable[[Path], None]) -> Path:
    """Return the path of a thing in the cache, after having it made there if need be."""
    home = os.environ.get("XDG_CACHE_HOME")
    cache = (Path(home) if home else Path.home() / ".cache") / "registrar-lab"
    path = cache / digest[:16] / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / ".lock").open("w") as lock:
            _lock(lock.fileno(), name)
            if not path.exists():
                unfinished = path.with_name(f"{name}.unfinished")
                make(unfinished)
                unfinished.rename(path)
    return path


def _lock(lock: int, name: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting for another build of {name}", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
