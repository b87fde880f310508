"""In the quick loop each parser gets a few examples; `make fuzz` is where they are many."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import settings

FEW = 10


def pytest_collection_modifyitems(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    if config.getoption("--hypothesis-profile") == "fuzz":
        return
    for item in items:
        function = getattr(item, "obj", None)
        if item.path.parent.name == "fuzz" and hasattr(function, "hypothesis"):
            used = getattr(function, "_hypothesis_internal_use_settings", settings())
            settings(used, max_examples=FEW)(function)
