"""What may be said of an exception that nobody meant to be read: its text may hold a secret."""

from __future__ import annotations

import traceback
from pathlib import Path


def where(error: BaseException) -> str:
    """Return the file and line where it was raised, as `file.py:7`; empty if it never was."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{Path(frames[0].filename).name}:{frames[0].lineno}" if frames else ""
