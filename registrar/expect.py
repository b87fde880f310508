"""Looks for what an answer must hold: bytes, or an expression in RE2's syntax.

RE2 takes time that grows with the answer alone, whatever the expression is: a hostile answer can't
hold up the checks of others.
"""

from __future__ import annotations

from collections.abc import Callable

from registrar.model import Expected

MOST_BYTES = 16_384
"""So much of an answer is looked at."""


class Expectation:
    """One thing that is expected. Raise ValueError if its expression is none of RE2's."""

    def __init__(self, expected: Expected) -> None:
        self.is_met: Callable[[bytes], bool]
        """Whether some bytes hold it."""
        if expected.is_expression:
            self.is_met = _search(expected.data)
        else:
            self.is_met = lambda data: expected.data in data


def _search(expression: bytes) -> Callable[[bytes], bool]:
    import re2  # noqa: PLC0415  few need it, and it costs memory

    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1  # of bytes: each stands for itself
    try:
        compiled = re2.compile(expression, options)
    except re2.error as error:
        raise ValueError(error.args[0].decode()) from None  # bytes, as the expression is
    return lambda data: compiled.search(data) is not None
