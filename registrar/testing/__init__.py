"""Tests that every source must pass, for the author of one to run on it. Needs `[testing]`.

docs/sources/writing-your-own.md shows how. Nothing of registrar itself imports this.
"""

import pytest

pytest.register_assert_rewrite("registrar.testing.asking", "registrar.testing.contract")

from registrar.testing.contract import SourceContract  # noqa: E402  as above  to be rewritten
from registrar.testing.hostile import Hostile, dropped, error  # noqa: E402  as above

__all__ = ["Hostile", "SourceContract", "dropped", "error"]
