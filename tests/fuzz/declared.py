"""Which errors a parser may raise, and what they are to say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def only(*kinds: type[Exception], says: str = "") -> Iterator[None]:
    """Allow errors of these kinds alone, each with these words in it."""
    try:
        yield
    except kinds as error:
        if says not in str(error) or not str(error):
            raise AssertionError(f"it says {error!r}, and not {says!r}") from error
