"""The end of a command's help: how it is used."""

from __future__ import annotations


def examples(*lines: str, of: str = "Examples") -> str:
    """Return lines as they are to stand there, which click would wrap."""
    return f"\b\n{of}:\n" + "\n".join(f"  {line}" for line in lines)
