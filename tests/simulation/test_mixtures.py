"""Three faults at a time, drawn from the rows that don't need a world of their own.

What each row promises by itself isn't asked for here; the invariants are, at every step.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.simulation import (  # noqa: F401  each registers its scenarios
    test_row_01_11_sources,
    test_row_12_20_plugins,
    test_row_21_26_api_server,
    test_row_29_35_process,
    test_row_36_46_services,
)
from tests.simulation.mappings import CHECK, Size
from tests.simulation.rows import MIXED, outcome, seeds

AT_A_TIME = 3
BOUND_S = 35.0
"""For each of them: their longest waits may come one after the other."""


def test_mixtures() -> None:
    __tracebackhide__ = True
    for seed in seeds():
        rng = Random(f"mixture {seed}")  # noqa: S311  it makes a world, not a secret
        names = rng.sample(sorted(MIXED), AT_A_TIME)
        size = Size(
            services=2,
            backends=3,
            parts=rng.choice([1, 2]),
            watched=rng.random() < 0.3,
            publish=rng.choice(["both", "both", "endpointslices", "endpoints"]),
            check=rng.choice([CHECK, CHECK, CHECK, None]),
            on_apscheduler=rng.random() < 0.1,
            bound_s=BOUND_S,
        )
        said = outcome("test_mixtures", seed, [MIXED[name] for name in names], size)
        if said is not None:
            pytest.fail(f"{', '.join(names)}\n{said}", pytrace=False)
