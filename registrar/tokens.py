"""Reads secrets from files, anew each time: tokens rotate.

What a file holds must show nowhere: no message names more than the file.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from registrar.context import Context
from registrar.errors import SourceError
from registrar.file_reader import file_signature

MOST_SECRET_BYTES = 65_536


async def read_secret(context: Context, file: str) -> str:
    """Return the content of a secret's file, stripped. Raise SourceError if it can't be used.

    A relative path starts from the configuration's directory.
    """
    return await context.in_thread(partial(secret_in, context.base / file))


def secret_in(path: Path) -> str:
    """As `read_secret`, for a thread."""
    try:
        content = _read(path).strip()
    except OSError as error:
        raise SourceError(
            f"{path}: the secret can't be read: {error.strerror}; check the path and permissions"
        ) from None
    if not content:
        raise SourceError(f"{path}: the secret is empty; write it into the file")
    if len(content) > MOST_SECRET_BYTES:
        raise SourceError(f"{path}: too large for a secret; check the path")
    # It goes into headers, where a line break would begin another.
    if not content.isascii() or not (text := content.decode("ascii")).isprintable():
        raise SourceError(
            f"{path}: the secret is not one line of printable ASCII; write nothing else into it"
        )
    return text


def _read(path: Path) -> bytes:
    file_signature(path)  # to open a pipe would be to wait for a writer
    with path.open("rb") as file:
        return file.read(MOST_SECRET_BYTES + 1)
